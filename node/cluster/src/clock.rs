//! Cluster time as this node estimates it, and the only file of this crate that reads clocks.
//!
//! A leader stamps commands with [`ClusterClock::now`]; `State::apply` takes the later of stamp and state. If a leader
//! with a wrong wall clock once pushed the state a year ahead, everybody's clock goes on from there at the rate of
//! CLOCK_BOOTTIME: it neither freezes for a year nor goes back. Without such a leader it is the wall clock.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// A point of cluster time and when, by CLOCK_BOOTTIME, it was now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Base {
    at: Timestamp,
    boot_ms: u64,
}

impl Base {
    /// The base moved on to `boot_ms`: the later of the wall clock and what has elapsed since.
    fn advance(self, wall: Timestamp, boot_ms: u64) -> Self {
        let elapsed = boot_ms.saturating_sub(self.boot_ms);
        Self { at: wall.max(self.at.plus_ms(elapsed)), boot_ms: boot_ms.max(self.boot_ms) }
    }
}

/// Never goes back within a process, never stands still. Shared by the applying side and by proposers.
#[derive(Debug)]
pub struct ClusterClock(Mutex<Base>);

impl ClusterClock {
    pub fn new() -> Self {
        Self(Mutex::new(Base { at: wall(), boot_ms: boottime_ms() }))
    }

    /// A state of time `applied` was applied just now.
    pub fn observe(&self, applied: Timestamp) {
        self.advance(applied);
    }

    pub fn now(&self) -> Timestamp {
        self.advance(Timestamp::default())
    }

    fn advance(&self, at_least: Timestamp) -> Timestamp {
        let mut base = self.0.lock().expect("nothing panics while it holds this lock");
        *base = base.advance(wall().max(at_least), boottime_ms());
        base.at
    }
}

/// The moment `after` from now, by the clock that timers run on.
pub fn deadline(after: Duration) -> Instant {
    Instant::now() + after
}

/// Milliseconds since `at`, by the clock that timers run on; 0 while it is still to come.
pub fn elapsed_ms(at: Instant) -> u64 {
    u64::try_from(Instant::now().saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since this machine booted, suspended time included.
fn boottime_ms() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has this clock");
    u64::try_from(time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000).unwrap_or(0)
}

/// A wall clock before 1970 counts as 1970.
fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 365 * 86_400_000;

    fn base(at: u64, boot_ms: u64) -> Base {
        Base { at: Timestamp(at), boot_ms }
    }

    #[test]
    fn follows_the_wall_clock() {
        assert_eq!(base(1_000, 10).advance(Timestamp(1_500), 510), base(1_500, 510));
        // A wall clock that was set forward is believed.
        assert_eq!(base(1_000, 10).advance(Timestamp(9_000), 11), base(9_000, 11));
    }

    #[test]
    fn wall_clock_set_back_does_not_go_back_nor_freeze() {
        assert_eq!(base(5_000, 10).advance(Timestamp(100), 10), base(5_000, 10));
        assert_eq!(base(5_000, 10).advance(Timestamp(100), 260), base(5_250, 260));
    }

    #[test]
    fn a_leader_a_year_ahead_freezes_nothing() {
        let clock = ClusterClock::new();
        let ahead = clock.now().plus_ms(YEAR_MS);
        clock.observe(ahead);
        let first = clock.now();
        assert!(first >= ahead);
        let boot = boottime_ms();
        while boottime_ms() < boot + 3 {
            std::hint::spin_loop();
        }
        let second = clock.now();
        assert!(second.ms_since(first) >= 2, "{first} then {second}");
        // A follower's older state does not pull it back.
        clock.observe(Timestamp(1));
        assert!(clock.now() >= second);
    }
}
