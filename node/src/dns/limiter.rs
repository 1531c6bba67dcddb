//! How many answers strangers get by UDP: so many a second for each neighbourhood, since whoever forges the sender
//! of a small question has a larger answer sent to somebody else.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Neighbourhoods that share a slot share its limit, too.
const SLOTS: usize = 1_024;
const ANSWERS_PER_SECOND_MAX: u32 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answer,
    /// Told to come by TCP; a forged sender gets no more bytes than were sent.
    ComeByTcp,
    Silent,
}

pub struct Limiter {
    /// The second and the answers given in it, in the upper and the lower half.
    slots: Vec<AtomicU64>,
    hasher: RandomState,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Limiter {
    pub fn judge(&self, asker: IpAddr, now_ms: u64) -> Verdict {
        let neighbourhood = match asker {
            IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
            IpAddr::V6(v6) => (v6.to_bits() >> 72) as u64,
        };
        let slot = &self.slots[self.hasher.hash_one(neighbourhood) as usize % SLOTS];
        let second = now_ms / 1000;
        let count = |old: u64| if old >> 32 == second & 0xffff_ffff { old as u32 } else { 0 };
        let next = |old: u64| Some(second << 32 | u64::from(count(old).saturating_add(1)));
        let old = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        match count(old) {
            few if few < ANSWERS_PER_SECOND_MAX => Verdict::Answer,
            many if many.is_multiple_of(2) => Verdict::ComeByTcp,
            _ => Verdict::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbourhood_has_its_share_of_each_second() {
        let limiter = Limiter::default();
        let judge = |last: u8, ms| limiter.judge(IpAddr::from([192, 0, 2, last]), ms);
        for n in 0..ANSWERS_PER_SECOND_MAX {
            assert_eq!(judge(n as u8, 5_000), Verdict::Answer);
        }
        assert_eq!((judge(1, 5_999), judge(2, 5_999)), (Verdict::ComeByTcp, Verdict::Silent));
        assert_eq!(judge(1, 6_000), Verdict::Answer);
    }
}
