//! What a DHCP client does when, without doing it: packets, timers and the carrier go in, messages and configurations
//! come out. Never gives up: while there is a carrier there is always a next try.
//!
//! ```text
//!            carrier, no lease            offer              ack
//!   Down ──────────────────► Selecting ─────────► Requesting ───► Bound ─T1─► Renewing ─T2─► Rebinding
//!     └──carrier, old lease► Rebooting ──ack────────────────────►  ▲ ◄──────────ack───────────────┘ expiry: Selecting
//! ```

use std::net::Ipv4Addr;

use super::wire::{Kind, Mac, Outgoing, Reply};
use crate::net::config::{Config, Source, is_assignable, link_local, prefix_of};

/// A node that waits for an address shows one of its own after this.
const LINK_LOCAL_AFTER_MS: u64 = 5_000;
/// Short at first: what is sent in the moment a link comes up is often lost, and a boot waits for it.
const RETRY_FIRST_MS: u64 = 250;
const RETRY_MAX_MS: u64 = 64_000;
/// How often an offer or an old lease is asked for before looking for another.
const REQUEST_TRIES_MAX: u32 = 4;
/// RFC 2131 §4.4.5: the shortest pause between renewals.
const RENEW_PAUSE_MIN_MS: u64 = 60_000;
/// Some servers of test networks hand out seconds; shorter leases than this are kept this long.
const LEASE_MIN_S: u32 = 30;
const LEASE_FOREVER_S: u32 = u32::MAX;
const LEASE_DEFAULT_S: u32 = 3_600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `to: None` is the broadcast address.
    Send { message: Outgoing, to: Option<Ipv4Addr> },
    /// What the interface is to have from now on.
    Apply(Option<Config>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Down,
    Selecting,
    Requesting(Ipv4Addr, Ipv4Addr),
    Rebooting,
    Bound,
    Renewing,
    Rebinding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lease {
    config: Config,
    server: Ipv4Addr,
    /// When to renew, rebind, give up; `None` for a lease without end.
    times: Option<(u64, u64, u64)>,
}

#[derive(Debug)]
pub struct Machine {
    mac: Mac,
    phase: Phase,
    xid: u32,
    tries: u32,
    /// When the current attempt to get an address began.
    started_ms: u64,
    next_ms: Option<u64>,
    link_local_ms: Option<u64>,
    lease: Option<Lease>,
}

impl Machine {
    pub fn new(mac: Mac) -> Machine {
        let (phase, lease) = (Phase::Down, None);
        Machine { mac, phase, xid: 0, tries: 0, started_ms: 0, next_ms: None, link_local_ms: None, lease }
    }

    /// When `timer` wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        [self.next_ms, self.link_local_ms].into_iter().flatten().min()
    }

    /// All times are milliseconds of one monotonic clock; `random` is fresh at every call.
    pub fn carrier(&mut self, up: bool, now: u64, random: u32) -> Vec<Output> {
        if !up {
            // The address stays: a cable pulled for a moment must not end connections.
            self.phase = Phase::Down;
            (self.next_ms, self.link_local_ms) = (None, None);
            return Vec::new();
        }
        if self.phase != Phase::Down {
            return Vec::new();
        }
        let lives = |lease: &Lease| lease.times.is_none_or(|(_, _, expires)| now < expires);
        if self.lease.as_ref().is_some_and(lives) {
            self.start(Phase::Rebooting, now, random)
        } else {
            self.lease = None;
            self.select(now, random)
        }
    }

    pub fn packet(&mut self, reply: &Reply, now: u64, random: u32) -> Vec<Output> {
        if reply.xid != self.xid {
            return Vec::new();
        }
        match (&self.phase, reply.kind) {
            (Phase::Selecting, Kind::Offer) => match reply.server {
                Some(server) if is_assignable(reply.address) => {
                    let phase = Phase::Requesting(reply.address, server);
                    (self.phase, self.tries) = (phase, 0);
                    self.ask(now, random)
                }
                _ => Vec::new(),
            },
            (Phase::Requesting(address, server), Kind::Ack)
                if reply.address == *address && reply.server.is_none_or(|from| from == *server) =>
            {
                self.bind(reply, *server, now)
            }
            (Phase::Rebooting | Phase::Renewing | Phase::Rebinding, Kind::Ack) => {
                let known = self.lease.as_ref().map(|lease| (lease.config.address, lease.server));
                match known {
                    Some((address, server)) if reply.address == address => {
                        self.bind(reply, reply.server.unwrap_or(server), now)
                    }
                    _ => Vec::new(),
                }
            }
            (Phase::Requesting(_, server), Kind::Nak) if reply.server.is_none_or(|from| from == *server) => {
                self.refused(now, random)
            }
            (Phase::Rebooting | Phase::Renewing | Phase::Rebinding, Kind::Nak) => self.refused(now, random),
            _ => Vec::new(),
        }
    }

    pub fn timer(&mut self, now: u64, random: u32) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.link_local_ms.is_some_and(|at| at <= now) {
            self.link_local_ms = None;
            outputs.push(Output::Apply(Some(link_local(&self.mac))));
        }
        if self.next_ms.is_none_or(|at| now < at) {
            return outputs;
        }
        outputs.extend(match self.phase {
            Phase::Down => Vec::new(),
            Phase::Selecting => self.ask(now, random),
            Phase::Requesting(..) if self.tries < REQUEST_TRIES_MAX => self.ask(now, random),
            Phase::Rebooting if self.tries < REQUEST_TRIES_MAX => self.ask(now, random),
            Phase::Requesting(..) => self.select(now, random),
            // Nobody contradicts: the lease holds as long as it was given for.
            Phase::Rebooting => self.resume(now, random),
            Phase::Bound | Phase::Renewing | Phase::Rebinding => self.renew(now, random),
        });
        outputs
    }

    /// Looks for any server, at once.
    fn select(&mut self, now: u64, random: u32) -> Vec<Output> {
        if self.link_local_ms.is_none() && self.lease.is_none() {
            self.link_local_ms = Some(now + LINK_LOCAL_AFTER_MS);
        }
        self.start(Phase::Selecting, now, random)
    }

    fn start(&mut self, phase: Phase, now: u64, random: u32) -> Vec<Output> {
        self.phase = phase;
        self.xid = random;
        (self.tries, self.started_ms) = (0, now);
        self.ask(now, random)
    }

    /// Says again what this phase says, and when to say it once more.
    fn ask(&mut self, now: u64, random: u32) -> Vec<Output> {
        let held = self.lease.as_ref().map(|lease| (lease.config.address, lease.server));
        let (mut requested, mut server, mut current, mut to) = (None, None, None, None);
        match &self.phase {
            Phase::Requesting(address, from) => (requested, server) = (Some(*address), Some(*from)),
            Phase::Rebooting => requested = held.map(|(address, _)| address),
            Phase::Renewing => (current, to) = (held.map(|held| held.0), held.map(|held| held.1)),
            Phase::Rebinding => current = held.map(|(address, _)| address),
            Phase::Down | Phase::Selecting | Phase::Bound => {}
        }
        if matches!(self.phase, Phase::Down | Phase::Selecting | Phase::Requesting(..) | Phase::Rebooting) {
            self.next_ms = Some(now + retry_ms(self.tries, random));
        }
        self.tries = self.tries.saturating_add(1);
        let seconds = u16::try_from((now - self.started_ms) / 1000).unwrap_or(u16::MAX);
        let discover = self.phase == Phase::Selecting;
        let message = Outgoing { xid: self.xid, discover, seconds, current, requested, server };
        vec![Output::Send { message, to }]
    }

    fn bind(&mut self, reply: &Reply, server: Ipv4Addr, now: u64) -> Vec<Output> {
        let config = Config {
            address: reply.address,
            prefix: reply.mask.and_then(prefix_of).unwrap_or(24),
            gateway: reply.router.filter(|router| is_assignable(*router)),
            dns: reply.dns.iter().copied().filter(|dns| !dns.is_unspecified()).collect(),
            ntp: reply.ntp.iter().copied().filter(|ntp| is_assignable(*ntp)).collect(),
            host: reply.host.clone(),
            domain: reply.domain.clone(),
            source: Source::Dhcp(server),
        };
        let times = lease_times(reply, now);
        self.lease = Some(Lease { config: config.clone(), server, times });
        (self.phase, self.link_local_ms, self.tries) = (Phase::Bound, None, 0);
        self.next_ms = times.map(|(renew, _, _)| renew);
        vec![Output::Apply(Some(config))]
    }

    /// The server wants its address back now. A pause first: a server that refuses what it just offered would
    /// otherwise be asked without end.
    fn refused(&mut self, now: u64, random: u32) -> Vec<Output> {
        let had = self.lease.take().is_some();
        (self.phase, self.xid, self.tries, self.started_ms) = (Phase::Selecting, random, 0, now);
        self.next_ms = Some(now + retry_ms(0, random));
        self.link_local_ms.get_or_insert(now + LINK_LOCAL_AFTER_MS);
        if had { vec![Output::Apply(None)] } else { Vec::new() }
    }

    fn resume(&mut self, now: u64, random: u32) -> Vec<Output> {
        self.phase = Phase::Bound;
        self.next_ms =
            self.lease.as_ref().and_then(|lease| lease.times).map(|(renew, _, _)| renew.max(now + 1));
        if self.lease.is_none() { self.select(now, random) } else { Vec::new() }
    }

    fn renew(&mut self, now: u64, random: u32) -> Vec<Output> {
        let Some((_, rebind, expires)) = self.lease.as_ref().and_then(|lease| lease.times) else {
            self.next_ms = None;
            return Vec::new();
        };
        if now >= expires {
            self.lease = None;
            let mut outputs = vec![Output::Apply(None)];
            outputs.extend(self.select(now, random));
            return outputs;
        }
        if self.phase == Phase::Bound {
            (self.xid, self.started_ms) = (random, now);
        }
        let (phase, end) = if now < rebind { (Phase::Renewing, rebind) } else { (Phase::Rebinding, expires) };
        self.phase = phase;
        self.next_ms = Some((now + ((end - now) / 2).max(RENEW_PAUSE_MIN_MS)).min(end));
        self.ask(now, random)
    }
}

/// Doubling from a quarter of a second to about a minute, an eighth more or less so that nodes started together drift apart.
fn retry_ms(tries: u32, random: u32) -> u64 {
    let base = (RETRY_FIRST_MS << tries.min(16)).min(RETRY_MAX_MS);
    let spread = base / 4;
    base - spread / 2 + u64::from(random) % (spread + 1)
}

fn lease_times(reply: &Reply, now: u64) -> Option<(u64, u64, u64)> {
    let lease = reply.lease_s.unwrap_or(LEASE_DEFAULT_S);
    if lease == LEASE_FOREVER_S {
        return None;
    }
    let lease = u64::from(lease.max(LEASE_MIN_S)) * 1000;
    let given = |seconds: Option<u32>, default: u64| seconds.map_or(default, |s| u64::from(s) * 1000);
    let rebind = given(reply.rebind_s, lease / 8 * 7).clamp(2, lease - 1);
    let renew = given(reply.renew_s, lease / 2).clamp(1, rebind - 1);
    Some((now + renew, now + rebind, now + lease))
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
