//! How a task says that it runs: it connects to a socket of ours, and the arrival is the stamp.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// Longest wait for one task; beyond it something is broken, not slow.
const RING_MS_MAX: u16 = 60_000;

#[derive(Debug)]
pub struct Bell {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bell {
    pub fn new() -> anyhow::Result<Self> {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    /// For nodes in networks of their own.
    pub fn at(ip: Ipv4Addr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).context("a port to be called at")?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The command of a task in the host's network that rings once and stays.
    pub fn command(&self) -> String {
        format!("nc {} {} </dev/null; sleep 100000", self.address.ip(), self.address.port())
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
