//! Wakes when an address of this machine comes or goes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use tokio::io::unix::AsyncFd;

/// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h.
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// The kernel's announcements of address changes; none if it makes no such.
pub struct AddressEvents(Option<AsyncFd<OwnedFd>>);

impl AddressEvents {
    /// Must be called within the runtime. `without` says what follows if there are none.
    pub fn open(without: &'static str) -> Self {
        let socket = subscribe().inspect_err(|error| tracing::warn!(%error, "{without}"));
        Self(socket.ok())
    }

    /// Returns after at least one change; what changed is for the caller to look at. Cancel safe.
    pub async fn changed(&mut self) {
        if let Some(socket) = &self.0 {
            match announced(socket).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "changes of addresses are seen no more"),
            }
            self.0 = None;
        }
        std::future::pending().await
    }
}

fn subscribe() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_GROUPS))?;
    // SAFETY: the descriptor is owned by the value that is registered, and never replaced.
    Ok(unsafe { AsyncFd::register(fd)? })
}

async fn announced(socket: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut buffer = [0u8; 8192];
    let mut guard = socket.readable().await?;
    loop {
        let received = guard.try_io(|fd| Ok(socket::recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?));
        match received {
            Ok(Ok(_)) => {}
            // Too many announcements for the socket: some were dropped, so something changed.
            Ok(Err(error)) if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => {}
            Ok(Err(error)) => return Err(error),
            Err(_drained) => return Ok(()),
        }
    }
}
