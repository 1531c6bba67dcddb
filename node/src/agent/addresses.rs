//! Wakes when an address of this machine comes or goes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use tokio::io::unix::AsyncFd;

/// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h.
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// The kernel's announcements of address changes.
pub struct AddressEvents(AsyncFd<OwnedFd>);

impl AddressEvents {
    /// Must be called within the runtime.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_GROUPS))?;
        // SAFETY: the descriptor is owned by the value that is registered, and never replaced.
        Ok(Self(unsafe { AsyncFd::register(fd)? }))
    }

    /// Returns after at least one change; what changed is for the caller to look at. Cancel safe.
    pub async fn changed(&self) -> io::Result<()> {
        let mut buffer = [0u8; 8192];
        let mut guard = self.0.readable().await?;
        loop {
            let received =
                guard.try_io(|fd| Ok(socket::recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?));
            match received {
                Ok(Ok(_)) => {}
                // Too many announcements for the socket: some were dropped, so something changed.
                Ok(Err(error)) if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => {}
                Ok(Err(error)) => return Err(error),
                Err(_drained) => return Ok(()),
            }
        }
    }
}
