//! The launch delay of an app that keeps ending (spec/marathon.md §3.4).

use super::Backoff;
use crate::Timestamp;
use crate::app::BackoffSettings;
use crate::app::Millionths;
use crate::task::Task;

impl Backoff {
    /// Cluster time from which the app may launch again.
    pub fn until(&self) -> Timestamp {
        self.since.plus_ms(self.delay_ms)
    }

    /// The delay after `task` ended by itself at `now`.
    ///
    /// The first failure waits `first`, each further one `factor` times as long, up to `max`. Once the app may launch
    /// again and nothing failed for another `max`, the next failure is a first one: a task that lived long is not
    /// punished. Tasks launched before the last counted failure belong to the same round: when fifty instances
    /// of a broken app end together, that is one failure and not fifty.
    pub(super) fn after_failure(self, settings: &BackoffSettings, task: &Task, now: Timestamp) -> Self {
        let first = settings.first_ms.min(settings.max_ms);
        let is_expired = self.until().plus_ms(settings.max_ms) < now;
        if self == Self::default() || is_expired {
            return Self { delay_ms: first, since: now };
        }
        if task.staged_at < self.since {
            return self;
        }
        let grown = u128::from(self.delay_ms) * u128::from(settings.factor.0);
        let grown = u64::try_from(grown / u128::from(Millionths::ONE.0)).unwrap_or(u64::MAX);
        Self { delay_ms: grown.clamp(first, settings.max_ms.max(first)), since: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Ends a task at each `(staged, ended)`, in milliseconds, and compares the delays in force after each end.
    fn check(settings: (u64, u64, u64), ends: &[(u64, u64)], expect: &[u64]) {
        let (first_ms, factor, max_ms) = settings;
        let settings = BackoffSettings { first_ms, factor: Millionths(factor), max_ms };
        let mut backoff = Backoff::default();
        let mut delays = Vec::new();
        for &(staged, ended) in ends {
            let task = testing::task("/a", staged);
            backoff = backoff.after_failure(&settings, &task, Timestamp(ended));
            delays.push(backoff.delay_ms);
        }
        assert_eq!(delays, expect, "{settings:?} {ends:?}");
    }

    #[test]
    fn delays_grow_per_round_and_stop_at_the_maximum() {
        let marathon = (1_000, 1_150_000, 300_000);
        // Ten seconds of life between failures, as hello2: still the same series.
        check(marathon, &[(1, 10_001), (11_001, 21_001), (22_151, 32_151)], &[1_000, 1_150, 1_322]);
        // Three instances that fail together are one failure.
        check(marathon, &[(1, 500), (1, 501), (1, 502), (1_500, 1_600)], &[1_000, 1_000, 1_000, 1_150]);
        check((1_000, 10_000_000, 5_000), &[(1, 2), (1_002, 1_003), (6_003, 6_004)], &[1_000, 5_000, 5_000]);
        check((9_000, 2_000_000, 5_000), &[(1, 2), (5_002, 5_003)], &[5_000, 5_000]);
        check((0, 1_150_000, 300_000), &[(1, 2), (3, 4)], &[0, 0]);
    }

    #[test]
    fn a_task_that_lived_long_is_not_punished() {
        let settings = (1_000, 2_000_000, 60_000);
        check(settings, &[(1, 10), (1_010, 1_020), (3_020, 3_020 + 120_000)], &[1_000, 2_000, 1_000]);
        // Within delay and maximum after it: still the same series.
        check(settings, &[(1, 10), (1_010, 61_010)], &[1_000, 2_000]);
        check(settings, &[(1, 10), (1_010, 61_011)], &[1_000, 1_000]);
    }
}
