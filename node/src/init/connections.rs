//! `RUN/init.sock`: who is connected, and packets to and from them. Knows nothing of what the packets mean.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, listen, recv, send,
    setsockopt, socket, sockopt,
};

use super::machine::ConnectionId;
use super::protocol::{FORMAT, FromInit, PACKET_BYTES_MAX, Packet, ToInit};

const CONNECTIONS_MAX: usize = 16;
/// Packets kept for a role that does not read; more and it is cut off, to be told everything when it comes back.
const OUTBOX_PACKETS_MAX: usize = 2_000;

pub struct Connections {
    listener: OwnedFd,
    open: BTreeMap<ConnectionId, Connection>,
    next_id: ConnectionId,
}

struct Connection {
    fd: OwnedFd,
    /// From its Hello; empty before.
    role: String,
    outbox: VecDeque<Vec<u8>>,
}

impl Connections {
    /// Listens at `path`; only root may connect.
    pub fn listen(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listen(&listener, Backlog::new(8)?)?;
        Ok(Self { listener, open: BTreeMap::new(), next_id: 1 })
    }

    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// One new connection, if one waits.
    pub fn accept(&mut self) -> io::Result<Option<ConnectionId>> {
        let fd = match accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK) {
            // SAFETY: the call has just made this descriptor, nothing else owns it.
            Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd) },
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if self.open.len() >= CONNECTIONS_MAX {
            return Ok(None);
        }
        // The default holds less than our largest packet. Without the privilege smaller ones still pass.
        let _ = setsockopt(&fd, sockopt::SndBufForce, &(2 * PACKET_BYTES_MAX));
        let id = self.next_id;
        self.next_id += 1;
        self.open.insert(id, Connection { fd, role: String::new(), outbox: VecDeque::new() });
        Ok(Some(id))
    }

    pub fn fd(&self, id: ConnectionId) -> Option<BorrowedFd<'_>> {
        self.open.get(&id).map(|connection| connection.fd.as_fd())
    }

    pub fn role(&self, id: ConnectionId) -> &str {
        self.open.get(&id).map_or("", |connection| &connection.role)
    }

    /// Names a connection; returns older ones of that name, which are to be closed.
    pub fn set_role(&mut self, id: ConnectionId, role: &str) -> Vec<ConnectionId> {
        let older =
            self.open.iter().filter(|(other, c)| **other != id && c.role == role).map(|(o, _)| *o).collect();
        if let Some(connection) = self.open.get_mut(&id) {
            connection.role = role.to_owned();
        }
        older
    }

    pub fn close(&mut self, id: ConnectionId) {
        self.open.remove(&id);
    }

    /// The next message; `None` if nothing waits. An error means that the connection is of no more use.
    pub fn receive(&mut self, id: ConnectionId) -> io::Result<Option<ToInit>> {
        let Some(connection) = self.open.get(&id) else { return Ok(None) };
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let length = match recv(connection.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) if length > buffer.len() => {
                return Err(io::Error::other(format!(
                    "a packet of {length} bytes, at most {PACKET_BYTES_MAX} fit"
                )));
            }
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let packet: Packet<ToInit> = serde_json::from_slice(&buffer[..length])?;
        if packet.format != FORMAT {
            return Err(io::Error::other(format!("format {} where {FORMAT} was expected", packet.format)));
        }
        Ok(Some(packet.message))
    }

    /// Sends or queues. An error means that the connection is of no more use.
    pub fn send(&mut self, id: ConnectionId, message: &FromInit) -> io::Result<()> {
        let Some(connection) = self.open.get_mut(&id) else { return Ok(()) };
        if connection.outbox.len() >= OUTBOX_PACKETS_MAX {
            return Err(io::Error::other("it does not read what it is told"));
        }
        connection.outbox.push_back(serde_json::to_vec(&Packet { format: FORMAT, message })?);
        self.flush(id)
    }

    pub fn flush(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(connection) = self.open.get_mut(&id) else { return Ok(()) };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        while let Some(packet) = connection.outbox.front() {
            match send(connection.fd.as_raw_fd(), packet, flags) {
                Ok(_) => {
                    connection.outbox.pop_front();
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub fn wants_to_write(&self, id: ConnectionId) -> bool {
        self.open.get(&id).is_some_and(|connection| !connection.outbox.is_empty())
    }

    /// Connections that said Hello as `role`.
    pub fn of_role(&self, role: &str) -> Vec<ConnectionId> {
        self.open.iter().filter(|(_, c)| c.role == role).map(|(id, _)| *id).collect()
    }
}
