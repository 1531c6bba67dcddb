//! Tells init what the screen is to show. Init may be restarted or late: what could not be said is said again.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};

use crate::init::protocol::{FORMAT, Packet, ToInit};
use crate::watchdog::Watchdog;

pub struct Report {
    path: PathBuf,
    socket: Option<OwnedFd>,
    /// The last of each kind, for a new connection.
    status: Option<ToInit>,
    phase: Option<ToInit>,
    watchdog: Option<ToInit>,
    said: bool,
}

impl Report {
    pub fn new(path: PathBuf) -> Report {
        Report { path, socket: None, status: None, phase: None, watchdog: None, said: true }
    }

    pub fn status(&mut self, lines: Vec<(String, String)>, error: String) {
        let status = ToInit::Status { lines, error };
        if self.status.as_ref() != Some(&status) {
            self.status = Some(status);
            self.say();
        }
    }

    pub fn phase(&mut self, name: &str, done: bool, note: &str) {
        self.phase = Some(ToInit::Phase { name: name.into(), done, note: note.into() });
        self.say();
    }

    /// What the settings say of it.
    pub fn watchdog(&mut self, setting: Watchdog) {
        let message = ToInit::Watchdog { setting };
        if self.watchdog.as_ref() != Some(&message) {
            self.watchdog = Some(message);
            self.say();
        }
    }

    /// Whether `say` has to be called again after a while.
    pub fn unsaid(&self) -> bool {
        !self.said
    }

    pub fn say(&mut self) {
        self.said = match self.try_say() {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "init does not listen");
                self.socket = None;
                false
            }
        };
    }

    fn try_say(&mut self) -> io::Result<()> {
        let mut messages = Vec::new();
        if self.socket.is_none() {
            self.socket = Some(self.connect()?);
            messages.push(ToInit::Hello { role: "net".into() });
        }
        messages.extend(self.phase.clone());
        messages.extend(self.status.clone());
        messages.extend(self.watchdog.clone());
        let socket = self.socket.as_ref().expect("connected above");
        for message in messages {
            let packet = serde_json::to_vec(&Packet { format: FORMAT, message })?;
            send(socket.as_raw_fd(), &packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)?;
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.path)?)?;
        Ok(socket)
    }
}
