//! Keeps the machine's clock right: by the hypervisor's clock where the kernel shows one, else by time servers. Set at
//! once the first time or when it is far off, afterwards made faster or slower. Without either it does nothing.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console::ClockStatus;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime, clock_settime};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::wire::{self, Sample, Stamp};
use super::{best, lookup};
use crate::init::boot::modules::Modules;

const PORT: u16 = 123;
const ANSWER_WAIT: Duration = Duration::from_secs(2);
const REST_FIRST: Duration = Duration::from_secs(4);
const REST_MAX: Duration = Duration::from_secs(1024);
/// Between comparisons with a server that answered.
const REST_GOOD: Duration = Duration::from_secs(64);
/// What is further off is set rather than slewed: at 0.5 ‰ a second takes half an hour.
const STEP_US: i64 = 1_000_000;
const STEP_FIRST_US: i64 = 20_000;

pub struct Keeper {
    pub servers: watch::Receiver<Vec<String>>,
    pub status: watch::Sender<ClockStatus>,
    pub resolv_conf: PathBuf,
    /// False on a machine that is not ours: then it is only compared.
    pub may_set: bool,
}

impl Keeper {
    /// Ends when nobody wants to know any more.
    pub async fn run(mut self) {
        let hypervisor = if self.may_set { hypervisor_clock() } else { None };
        let mut is_first = true;
        let mut rest = REST_FIRST;
        loop {
            let servers = self.servers.borrow_and_update().clone();
            let asked = match &hypervisor {
                Some(clock) => Some(clock.compare().map_err(|error| error.to_string())),
                None if servers.is_empty() => None,
                None => Some(self.ask(&servers).await),
            };
            match asked {
                Some(Ok((source, offset_us))) => {
                    self.compared(source, offset_us, is_first);
                    is_first = false;
                    rest = if rest < REST_GOOD { REST_GOOD } else { (rest * 2).min(REST_MAX) };
                }
                Some(Err(fault)) => {
                    self.status.send_if_modified(|status| {
                        std::mem::replace(&mut status.fault, fault.clone()) != fault
                    });
                    rest = if is_first { (rest * 2).min(REST_GOOD) } else { REST_GOOD };
                }
                None => {}
            }
            let nothing_to_ask = asked_nothing(&hypervisor, &servers);
            // Both arms are cancel-safe: a watch keeps its change, a sleep has no state.
            tokio::select! {
                changed = self.servers.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    rest = REST_FIRST;
                }
                () = tokio::time::sleep(rest), if !nothing_to_ask => {}
            }
        }
    }

    fn compared(&self, source: String, offset_us: i64, is_first: bool) {
        let limit = if is_first { STEP_FIRST_US } else { STEP_US };
        if self.may_set {
            let done = if offset_us.abs() >= limit { step(offset_us) } else { slew(offset_us) };
            match done {
                Ok(()) => tracing::info!(source, offset_us, "the clock was compared"),
                Err(error) => tracing::warn!(%error, "the clock cannot be set"),
            }
        }
        let status = ClockStatus {
            source,
            // We are behind by what they are ahead.
            offset_ms: -offset_us / 1000,
            last_sync_s: unix_us() / 1_000_000,
            fault: String::new(),
        };
        self.status.send_replace(status);
    }

    async fn ask(&self, servers: &[String]) -> Result<(String, i64), String> {
        let questions = servers.iter().enumerate().map(|(number, server)| async move {
            let addresses = lookup::addresses(server, &self.resolv_conf).await;
            for address in addresses {
                match exchange(address, number).await {
                    Ok(Some(sample)) => return Some(sample),
                    Ok(None) => tracing::debug!(server, %address, "no answer to the question"),
                    Err(error) => tracing::debug!(server, %address, %error, "asking for the time"),
                }
            }
            None
        });
        let samples: Vec<Sample> = futures::future::join_all(questions).await.into_iter().flatten().collect();
        let best = best(&samples).ok_or_else(|| format!("no answer from {}", servers.join(", ")))?;
        Ok((format!("NTP {}", servers[best.server]), best.offset_us))
    }
}

fn asked_nothing(hypervisor: &Option<HypervisorClock>, servers: &[String]) -> bool {
    hypervisor.is_none() && servers.is_empty()
}

async fn exchange(server: IpAddr, number: usize) -> io::Result<Option<Sample>> {
    let local: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(SocketAddr::new(server, PORT)).await?;
    let nonce = rand::random();
    let sent = Stamp::from_unix_us(unix_us());
    socket.send(&wire::question(nonce)).await?;
    let mut buffer = [0; 512];
    let length = tokio::time::timeout(ANSWER_WAIT, socket.recv(&mut buffer)).await??;
    Ok(wire::answer(&buffer[..length], nonce, sent, Stamp::from_unix_us(unix_us()), number))
}

fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

fn step(offset_us: i64) -> io::Result<()> {
    let now = unix_us().saturating_add_signed(offset_us);
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(Duration::from_micros(now)))?;
    Ok(())
}

/// The kernel runs the clock by up to 0.5 ‰ faster or slower until the offset is gone.
fn slew(offset_us: i64) -> io::Result<()> {
    // SAFETY: all zeroes is a valid timex, a plain structure of numbers.
    let mut wish: libc::timex = unsafe { std::mem::zeroed() };
    wish.modes = libc::ADJ_OFFSET_SINGLESHOT;
    wish.offset = offset_us;
    // SAFETY: the kernel reads and writes this structure only during the call.
    match unsafe { libc::adjtimex(&raw mut wish) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A clock that the hypervisor keeps, as a PTP device: exact, and there on a closed network.
struct HypervisorClock {
    name: String,
    device: File,
}

/// Whether the kernel found KVM beneath it; its clock has a module that no device asks for.
fn load_kvm_clock() {
    let sources = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    if !fs::read_to_string(sources).is_ok_and(|list| list.contains("kvm-clock")) {
        return;
    }
    let loaded = Modules::open().map_err(|error| error.to_string()).and_then(|mut m| m.load("ptp_kvm"));
    if let Err(error) = loaded {
        tracing::debug!(error, "no clock of the hypervisor");
    }
}

fn hypervisor_clock() -> Option<HypervisorClock> {
    load_kvm_clock();
    let entries = fs::read_dir("/sys/class/ptp").ok()?;
    entries.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("clock_name")).ok()?.trim().to_owned();
        let is_hypervisor = ["kvm", "hyperv", "vmw"].iter().any(|kind| name.to_lowercase().contains(kind));
        let device = File::open(std::path::Path::new("/dev").join(entry.file_name())).ok();
        is_hypervisor.then_some(HypervisorClock { name, device: device? })
    })
}

impl HypervisorClock {
    fn compare(&self) -> io::Result<(String, i64)> {
        // The kernel's way to name a clock by its descriptor: FD_TO_CLOCKID of linux/posix-timers.h.
        let id = ClockId::from_raw((!self.device.as_raw_fd() << 3) | 3);
        let before = unix_us();
        let theirs = clock_gettime(id)?.num_microseconds();
        let ours = before.midpoint(unix_us());
        Ok((format!("hypervisor ({})", self.name), theirs - ours.cast_signed()))
    }
}
