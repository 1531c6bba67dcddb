//! The tasks' output pipes and the logger that reads them.
//!
//! Init keeps the read ends of all pipes until the logger says that it has moved every byte: whatever happens to the
//! logger, the bytes stay in the pipe, and the next logger is handed the same ends again.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use model::TaskId;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::MsgFlags;
use nix::unistd::pipe2;

use crate::log::protocol::{FromLogger, HandOver};
use crate::oci::control::Registration;

/// How much a task may write ahead of the logger.
const PIPE_BYTES: i32 = 256 * 1024;

#[derive(Default)]
pub struct Outputs {
    /// By serial number: an id can come back, its old output may still be read then.
    pipes: BTreeMap<u64, Pipes>,
    next_serial: u64,
    logger: Option<OwnedFd>,
}

struct Pipes {
    task: TaskId,
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// Known once the container exists; only then has the logger business with it.
    registration: Option<Registration>,
    handed_over: bool,
}

impl Outputs {
    /// Makes the pipes of a new task; returns the ends to write to.
    pub fn open(&mut self, task: &TaskId) -> io::Result<(OwnedFd, OwnedFd)> {
        self.abandon(task);
        let (stdout, stdout_write) = pipe()?;
        let (stderr, stderr_write) = pipe()?;
        let pipes = Pipes { task: task.clone(), stdout, stderr, registration: None, handed_over: false };
        self.pipes.insert(self.next_serial, pipes);
        self.next_serial += 1;
        Ok((stdout_write, stderr_write))
    }

    /// Drops pipes of a task whose container never came to be.
    pub fn abandon(&mut self, task: &TaskId) {
        self.pipes.retain(|_, pipes| pipes.task != *task || pipes.registration.is_some());
    }

    pub fn registered(&mut self, task: &TaskId, registration: Registration) {
        let unregistered = |pipes: &&mut Pipes| pipes.task == *task && pipes.registration.is_none();
        if let Some(pipes) = self.pipes.values_mut().find(unregistered) {
            pipes.registration = Some(registration);
        }
        self.hand_over();
    }

    /// A new logger: it gets every pipe anew.
    pub fn logger_started(&mut self, socket: OwnedFd) {
        self.logger = Some(socket);
        self.pipes.values_mut().for_each(|pipes| pipes.handed_over = false);
        self.hand_over();
    }

    pub fn logger_ended(&mut self) {
        self.logger = None;
    }

    pub fn logger(&self) -> Option<BorrowedFd<'_>> {
        self.logger.as_ref().map(std::os::fd::AsFd::as_fd)
    }

    /// Whether some pipes wait for room in the logger's socket.
    pub fn is_waiting(&self) -> bool {
        self.pipes.values().any(|pipes| pipes.registration.is_some() && !pipes.handed_over)
    }

    /// Sends what the logger does not have yet, as far as its socket takes it.
    pub fn hand_over(&mut self) {
        let Some(logger) = &self.logger else { return };
        for (serial, pipes) in self.pipes.iter_mut().filter(|(_, pipes)| !pipes.handed_over) {
            let Some(Registration { uid, gid, .. }) = pipes.registration else { continue };
            let message = HandOver { serial: *serial, task: pipes.task.clone(), uid, gid };
            let ends = [pipes.stdout.as_raw_fd(), pipes.stderr.as_raw_fd()];
            match crate::log::protocol::send_hand_over(logger.as_raw_fd(), &message, ends) {
                Ok(()) => pipes.handed_over = true,
                // Full, or broken: then its end will be seen soon and a new one comes.
                Err(_) => return,
            }
        }
    }

    /// Reads what the logger says. False if nothing more will come from it.
    pub fn hear_logger(&mut self) -> bool {
        let Some(logger) = &self.logger else { return false };
        let mut buffer = [0; 256];
        loop {
            match nix::sys::socket::recv(logger.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return false,
                Ok(length) => match serde_json::from_slice(&buffer[..length]) {
                    Ok(FromLogger::Drained { serial }) => {
                        self.pipes.remove(&serial);
                    }
                    Err(error) => eprintln!("meseta init: the logger sent nonsense: {error}"),
                },
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                Err(_) => return false,
            }
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    // Unprivileged users have a limit on such memory; then the default size must do.
    let _ = fcntl(&read, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    Ok((read, write))
}
