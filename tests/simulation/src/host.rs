//! One machine: its clocks, its disk, its containers, and the life of the program that runs there now.

use std::sync::Mutex;
use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Disk, Runtime, Server};
use model::testing::START;
use model::{NodeId, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;

use crate::containers::Containers;
use crate::world::{World, lock};

/// Clocks that go right within this are not broken; see `model::lease`.
const DRIFT_PER_MILLE: i64 = 20;
/// What a flush takes of a disk that is well.
pub const FLUSH_MS: u64 = 3;
const WALL_OFFSET_MS: u64 = 3_600_000;

pub struct Host {
    pub node: NodeId,
    pub disk: Disk,
    pub containers: Mutex<Containers>,
    /// Thousandths by which its clocks are fast, or slow.
    rate: i64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By how much its wall clock is ahead of one that is an hour behind.
    wall_offset: u64,
    /// Cluster time, and when by its own clock: as `cluster::clock` does it.
    base: (Timestamp, u64),
    server: Option<Server>,
    /// Somebody is starting it.
    starts: bool,
    /// The machine is gone for ever, or not there yet.
    is_away: bool,
    /// Counts the starts of its program.
    life: u64,
    /// Counts the starts of the machine.
    boot: u64,
    frozen: Frozen,
    /// When the machine ran again after it was frozen, in the time of the world.
    thawed: u64,
}

/// What of a host stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Frozen {
    #[default]
    Nothing,
    /// The agent; init and the containers run on.
    Program,
    /// All but the clock.
    Machine,
}

impl Host {
    /// Not a part of the cluster until it is [`Host::arrive`]d.
    pub fn spare(node: NodeId, chance: &mut StdRng) -> Self {
        let host = Self::new(node, chance);
        host.depart();
        host
    }

    pub fn new(node: NodeId, chance: &mut StdRng) -> Self {
        let rate = chance.random_range(-DRIFT_PER_MILLE..=DRIFT_PER_MILLE);
        let wall_offset = chance.random_range(0..2 * WALL_OFFSET_MS);
        let (disk, containers) = (Disk::default(), Mutex::default());
        disk.set_flush_ms(FLUSH_MS);
        Self { node, disk, containers, rate, inner: Mutex::new(Inner { wall_offset, ..Inner::default() }) }
    }

    /// CLOCK_BOOTTIME of this host, in milliseconds. It goes on through a restart, which only makes it harder.
    pub fn boottime(&self, world: &World) -> u64 {
        let ms = i64::try_from(world.now()).unwrap_or(i64::MAX);
        u64::try_from(ms + ms * self.rate / 1000).unwrap_or(0)
    }

    /// Cluster time as this host estimates it, having applied a state of time `applied`.
    pub fn cluster_time(&self, world: &World, applied: Timestamp) -> Timestamp {
        let boottime = self.boottime(world);
        let mut inner = lock(&self.inner);
        let wall = START.plus_ms(world.now() + inner.wall_offset);
        let (at, since) = inner.base;
        inner.base = (wall.max(applied).max(at.plus_ms(boottime.saturating_sub(since))), boottime);
        inner.base.0
    }

    pub fn set_wall_offset(&self, ms: u64) {
        lock(&self.inner).wall_offset = ms;
    }

    /// Sleeps by this host's clock, and on while it is frozen as `frozen` or worse.
    pub async fn rest(&self, ms: u64, frozen: Frozen) {
        let us = u64::try_from(1_000_000 / (1000 + self.rate)).unwrap_or(1000) * ms;
        Runtime::sleep(Duration::from_micros(us)).await;
        while self.stands(frozen) {
            Runtime::sleep(Duration::from_millis(5)).await;
        }
    }

    /// True if what stands still with `part` does.
    pub fn stands(&self, part: Frozen) -> bool {
        match lock(&self.inner).frozen {
            Frozen::Nothing => false,
            Frozen::Program => part == Frozen::Program,
            Frozen::Machine => true,
        }
    }

    pub fn freeze(&self, what: Frozen, world: &World) {
        let mut inner = lock(&self.inner);
        if inner.frozen == Frozen::Machine {
            inner.thawed = world.now();
        }
        inner.frozen = what;
    }

    /// False while it is frozen whole, and for `ms` after: what is overdue then needs a moment to be seen.
    pub fn clock_runs(&self, world: &World, ms: u64) -> bool {
        let inner = lock(&self.inner);
        inner.frozen != Frozen::Machine && (inner.thawed == 0 || world.now() > inner.thawed + ms)
    }

    /// The program that runs now, with the number of its life.
    pub fn server(&self) -> Option<(Server, u64)> {
        let inner = lock(&self.inner);
        inner.server.clone().map(|server| (server, inner.life))
    }

    pub fn lives(&self, life: u64) -> bool {
        let inner = lock(&self.inner);
        inner.life == life && inner.server.is_some()
    }

    /// True for the one who is to start the program, which does not run.
    pub fn claim_start(&self) -> bool {
        let mut inner = lock(&self.inner);
        let is_free = inner.server.is_none() && !inner.starts && !inner.is_away;
        inner.starts |= is_free;
        is_free
    }

    /// From now on it can be started.
    pub fn arrive(&self) {
        lock(&self.inner).is_away = false;
    }

    /// It is never started again.
    pub fn depart(&self) {
        lock(&self.inner).is_away = true;
    }

    /// False for a machine that is gone already, or not there yet.
    pub fn is_there(&self) -> bool {
        !lock(&self.inner).is_away
    }

    pub fn begin(&self, server: Server) -> u64 {
        let mut inner = lock(&self.inner);
        inner.life += 1;
        inner.starts = false;
        inner.server = Some(server);
        inner.life
    }

    pub fn end(&self) -> Option<Server> {
        lock(&self.inner).server.take()
    }

    /// How often its program was started.
    pub fn life(&self) -> u64 {
        lock(&self.inner).life
    }

    pub fn boot_id(&self) -> String {
        format!("boot-{}", lock(&self.inner).boot)
    }

    /// The machine lost its power: its containers are gone, and no record says how they ended.
    pub fn lose_power(&self) {
        lock(&self.inner).boot += 1;
        *lock(&self.containers) = Containers::default();
    }
}
