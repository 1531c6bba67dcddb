//! Between init and the logger, on the logger's descriptor 3 (SOCK_SEQPACKET, one JSON packet a message).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use model::TaskId;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

const PACKET_BYTES_MAX: usize = 1024;

/// Init's only message: here are the read ends of a task's stdout and stderr (two descriptors travel along).
/// A logger that was started anew gets all of them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    pub serial: u64,
    pub task: TaskId,
    /// Who owns the files in the sandbox.
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromLogger {
    /// Both streams have ended and all their bytes are in the files.
    Drained { serial: u64 },
}

pub fn send_hand_over(socket: RawFd, message: &HandOver, ends: [RawFd; 2]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket, &[IoSlice::new(&bytes)], &[ControlMessage::ScmRights(&ends)], flags, None)?;
    Ok(())
}

/// What came from init.
pub enum Received {
    HandOver(HandOver, OwnedFd, OwnedFd),
    Nothing,
    /// Init closed its end.
    Closed,
}

pub fn receive_hand_over(socket: RawFd) -> io::Result<Received> {
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = match recvmsg::<()>(socket, &mut slices, Some(&mut space), flags) {
        Ok(message) => message,
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(Received::Nothing),
        Err(nix::errno::Errno::ECONNRESET) => return Ok(Received::Closed),
        Err(error) => return Err(error.into()),
    };
    let length = message.bytes;
    let mut ends = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just made these descriptors for us, nothing else owns them.
            ends.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if length == 0 {
        return Ok(Received::Closed);
    }
    let hand_over = serde_json::from_slice(&buffer[..length])?;
    let [stdout, stderr] = <[OwnedFd; 2]>::try_from(ends)
        .map_err(|ends| io::Error::other(format!("{} descriptors instead of 2", ends.len())))?;
    Ok(Received::HandOver(hand_over, stdout, stderr))
}

pub fn send_drained(socket: RawFd, serial: u64) -> io::Result<()> {
    let bytes = serde_json::to_vec(&FromLogger::Drained { serial })?;
    nix::sys::socket::send(socket, &bytes, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}
