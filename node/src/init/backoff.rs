//! How long to wait before a role that ended is started again: for ever, but never in a tight loop. Pure.

const FIRST_MS: u64 = 100;
const MAX_MS: u64 = 10_000;
/// A role that lived this long is healthy: its next end starts from the shortest delay.
const HEALTHY_MS: u64 = 30_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    next_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next_ms: FIRST_MS }
    }
}

impl Backoff {
    /// The delay in milliseconds after a life of `alive_ms`.
    pub fn delay_after(&mut self, alive_ms: u64) -> u64 {
        if alive_ms >= HEALTHY_MS {
            self.next_ms = FIRST_MS;
        }
        let delay = self.next_ms;
        self.next_ms = (delay * 2).min(MAX_MS);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_cap_and_forgets_after_a_healthy_life() {
        let mut backoff = Backoff::default();
        let delays: Vec<u64> = (0..9).map(|_| backoff.delay_after(0)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.delay_after(HEALTHY_MS - 1), 10_000);
        assert_eq!(backoff.delay_after(HEALTHY_MS), 100);
        assert_eq!(backoff.delay_after(0), 200);
    }
}
