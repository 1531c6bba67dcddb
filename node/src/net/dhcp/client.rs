//! Runs the DHCP machine of one interface: socket, clock and randomness around it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::machine::{Machine, Output};
use super::wire::{MESSAGE_BYTES_MAX, Mac, decode, encode};
use crate::net::links::Leased;

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const SOCKET_RETRY: Duration = Duration::from_secs(2);

pub struct Client {
    pub device: String,
    pub index: u32,
    pub generation: u64,
    pub mac: Mac,
    pub carrier: watch::Receiver<bool>,
    pub configs: mpsc::Sender<Leased>,
}

impl Client {
    /// Ends when the interface is gone: its carrier's sender is dropped.
    pub async fn run(mut self) {
        let begin = Instant::now();
        let mut machine = Machine::new(self.mac);
        let socket = loop {
            match open(&self.device) {
                Ok(socket) => break socket,
                Err(error) => {
                    tracing::warn!(device = self.device, %error, "no socket for DHCP; trying again")
                }
            }
            tokio::time::sleep(SOCKET_RETRY).await;
        };
        let now = || begin.elapsed().as_millis() as u64;
        let up = *self.carrier.borrow_and_update();
        let mut outputs = machine.carrier(up, now(), rand::random());
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        loop {
            if self.carry_out(&socket, outputs).await.is_err() {
                return;
            }
            let deadline = machine.deadline().map(|at| begin + Duration::from_millis(at));
            // Every arm is cancel-safe: a datagram is taken whole, a watch keeps its change, a sleep has no state.
            outputs = tokio::select! {
                received = socket.recv(&mut buffer) => match received {
                    Ok(length) => match decode(&buffer[..length], &self.mac) {
                        Some(reply) => machine.packet(&reply, now(), rand::random()),
                        None => Vec::new(),
                    },
                    Err(error) => {
                        // Such as ENETDOWN: the carrier or the timer says how to go on.
                        tracing::debug!(device = self.device, %error, "receiving");
                        tokio::time::sleep(SOCKET_RETRY).await;
                        Vec::new()
                    }
                },
                changed = self.carrier.changed() => match changed {
                    Ok(()) => {
                        let up = *self.carrier.borrow_and_update();
                        machine.carrier(up, now(), rand::random())
                    }
                    Err(_) => return,
                },
                () = sleep_until(deadline) => machine.timer(now(), rand::random()),
            };
        }
    }

    async fn carry_out(&self, socket: &UdpSocket, outputs: Vec<Output>) -> Result<(), ()> {
        for output in outputs {
            match output {
                Output::Send { message, to } => {
                    let to = SocketAddrV4::new(to.unwrap_or(Ipv4Addr::BROADCAST), SERVER_PORT);
                    // A message that cannot be sent is like one that was lost: the machine tries again.
                    if let Err(error) = socket.send_to(&encode(&message, &self.mac), to).await {
                        tracing::warn!(device = self.device, %to, %error, "sending a DHCP message");
                    }
                }
                Output::Apply(config) => {
                    self.configs.send((self.index, self.generation, config)).await.map_err(drop)?;
                }
            }
        }
        Ok(())
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        // One millisecond later than asked, as deadlines were rounded down.
        Some(at) => tokio::time::sleep_until(at + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}

/// Hears and speaks on this interface only, with or without an address there.
fn open(device: &str) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::BindToDevice, &device.into())?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT)))?;
    UdpSocket::from_std(std::net::UdpSocket::from(fd))
}
