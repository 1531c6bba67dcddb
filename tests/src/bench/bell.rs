//! How a task says that it runs: it connects to a socket of ours, and the arrival is the stamp.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// Longest wait for one task; beyond it something is broken, not slow.
const RING_MS_MAX: u16 = 60_000;

#[derive(Debug)]
pub struct Bell {
    listener: TcpListener,
    port: u16,
}

impl Bell {
    pub fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port to be called at")?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The command of a task in the host's network that rings once and stays.
    pub fn command(&self) -> String {
        format!("nc 127.0.0.1 {} </dev/null; sleep 100000", self.port)
    }

    /// Waits for `count` tasks to ring, and returns the stamp of the last one.
    pub fn wait(&self, count: usize) -> anyhow::Result<Instant> {
        let mut last = Instant::now();
        for number in 1..=count {
            let mut waiting = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut waiting, PollTimeout::from(RING_MS_MAX))?;
            ensure!(ready == 1, "task {number} of {count} did not run within {} s", RING_MS_MAX / 1000);
            last = Instant::now();
            // Closing it lets `nc` end.
            let _: (TcpStream, _) = self.listener.accept()?;
        }
        Ok(last)
    }
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
