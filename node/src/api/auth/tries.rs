//! Limits guesses per client address: a token bucket each, pure in time, bounded in memory.

use std::collections::HashMap;
use std::net::IpAddr;

/// Guesses a client may make at once.
pub const TRIES_BURST: u64 = 10;
/// Afterwards one more guess becomes available in this time.
pub const TRIES_REFILL_MS: u64 = 6_000;
/// Clients remembered apart; all further ones share one bucket until some are forgotten.
pub const TRIES_CLIENTS_MAX: usize = 4_096;

/// Guesses of all clients. Times are milliseconds of any monotonic clock, the same for all calls.
#[derive(Debug, Default)]
pub struct Tries {
    /// Per client, the time at which its bucket is full again; absent means full.
    full_at_ms: HashMap<String, u64>,
}

impl Tries {
    /// Takes one guess of `client`, or says in how many whole seconds (at least 1) the next one is allowed.
    pub fn take(&mut self, client: &str, now_ms: u64) -> Result<(), u64> {
        let mut bucket = bucket_name(client);
        if !self.full_at_ms.contains_key(&bucket) && self.full_at_ms.len() >= TRIES_CLIENTS_MAX {
            self.full_at_ms.retain(|_, full_at| *full_at > now_ms);
            if self.full_at_ms.len() >= TRIES_CLIENTS_MAX {
                bucket = String::new();
            }
        }
        let full_at = self.full_at_ms.get(&bucket).copied().unwrap_or(0).max(now_ms);
        // The bucket is empty when the time to refill it reaches the whole burst.
        let allowed_at = (full_at + TRIES_REFILL_MS).saturating_sub(TRIES_BURST * TRIES_REFILL_MS);
        if allowed_at > now_ms {
            return Err((allowed_at - now_ms).div_ceil(1000));
        }
        self.full_at_ms.insert(bucket, full_at + TRIES_REFILL_MS);
        Ok(())
    }

    /// A right guess: the client starts afresh.
    pub fn forgive(&mut self, client: &str) {
        self.full_at_ms.remove(&bucket_name(client));
    }
}

/// An IPv6 client owns a /64 and could use a new address for each guess, so the network is the client.
fn bucket_name(client: &str) -> String {
    match client.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let segments = ip.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/64", segments[0], segments[1], segments[2], segments[3])
        }
        Ok(ip) => ip.to_string(),
        Err(_) => client.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_by_one() {
        let mut tries = Tries::default();
        for n in 0..TRIES_BURST {
            assert_eq!(tries.take("10.0.0.1", 1_000), Ok(()), "guess {n}");
        }
        assert_eq!(tries.take("10.0.0.1", 1_000), Err(6));
        assert_eq!(tries.take("10.0.0.1", 6_500), Err(1));
        assert_eq!(tries.take("10.0.0.1", 7_000), Ok(()));
        assert_eq!(tries.take("10.0.0.1", 7_000), Err(6));
        assert_eq!(tries.take("10.0.0.2", 7_000), Ok(()), "others are not held up");
        tries.forgive("10.0.0.1");
        assert_eq!(tries.take("10.0.0.1", 7_000), Ok(()));
    }

    #[test]
    fn one_bucket_for_an_ipv6_network_and_for_mapped_addresses() {
        assert_eq!(bucket_name("2001:db8::1"), bucket_name("2001:db8::ffff:2"));
        assert_ne!(bucket_name("2001:db8::1"), bucket_name("2001:db8:0:1::1"));
        assert_eq!(bucket_name("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn memory_is_bounded_and_newcomers_share_what_is_left() {
        let mut tries = Tries::default();
        for n in 0..TRIES_CLIENTS_MAX + 500 {
            let _ = tries.take(&format!("client-{n}"), 0);
        }
        assert!(tries.full_at_ms.len() <= TRIES_CLIENTS_MAX + 1);
        assert!(tries.take("newcomer", 0).is_err(), "the shared bucket is used up");
        assert_eq!(tries.take("newcomer", TRIES_REFILL_MS + 1), Ok(()), "the others were forgotten");
    }
}
