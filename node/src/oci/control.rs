//! The socket between init and one helper (descriptor 3 of the helper): registration, its acknowledgement, failure.
//!
//! The helper registers the new process before it starts it and waits for the answer. So init knows every process
//! that ever ran a line of a task's code, also on cgroup v1, where a zombie does not tell whose it was.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv, send};
use serde::{Deserialize, Serialize};

pub const HELPER_FD: i32 = 3;
pub const MESSAGE_BYTES_MAX: usize = 4096;
const ACKNOWLEDGED: &[u8] = b"ok";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromHelper {
    /// The container exists, its process waits to be started.
    Registered(Registration),
    /// Sent before the helper ends with a failure.
    Failed { message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: tells this process from a later one with the same number.
    pub start_time: u64,
    pub uid: u32,
    pub gid: u32,
    pub grace_ms: u64,
}

/// The helper's end.
pub struct HelperControl(OwnedFd);

impl HelperControl {
    /// Takes descriptor 3; an error if it is not open, i.e. if a person called this role.
    pub fn inherited() -> io::Result<Self> {
        // SAFETY: F_GETFD has no memory effects; it only tells whether the descriptor is open.
        if unsafe { libc::fcntl(HELPER_FD, libc::F_GETFD) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: descriptor 3 is open, was passed to this process for this purpose, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(HELPER_FD) }))
    }

    /// Tells init and waits for its answer. False if init is gone or closed the socket.
    pub fn register(&self, registration: Registration) -> io::Result<bool> {
        self.send(&FromHelper::Registered(registration))?;
        let mut answer = [0; 16];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        Ok(&answer[..length] == ACKNOWLEDGED)
    }

    /// Best effort: if init cannot be told, the exit code still says that it failed.
    pub fn fail(&self, message: &str) {
        let message = truncated(message, MESSAGE_BYTES_MAX / 2);
        if let Err(error) = self.send(&FromHelper::Failed { message: message.to_owned() }) {
            eprintln!("meseta oci: {message} (and init could not be told: {error})");
        }
    }

    fn send(&self, message: &FromHelper) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        send(self.0.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }
}

/// The longest prefix of `text` that has at most `bytes` bytes.
pub fn truncated(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Init's end: `None` if nothing is there to read, an error if the helper is gone or sent nonsense.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<FromHelper>> {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => Ok(Some(serde_json::from_slice(&buffer[..length])?)),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Init's end: lets a registered helper go on.
pub fn acknowledge(socket: &impl AsFd) -> io::Result<()> {
    send(socket.as_fd().as_raw_fd(), ACKNOWLEDGED, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}
