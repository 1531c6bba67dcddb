//! NTP messages of a simple client (RFC 4330): 48 bytes there, 48 bytes back. Pure.

/// Longer answers carry extensions, which a simple client passes over.
pub const MESSAGE_BYTES: usize = 48;
const VERSION_4_CLIENT: u8 = 4 << 3 | 3;
/// Seconds from 1900 to 1970.
const EPOCH_OFFSET_S: u64 = 2_208_988_800;

/// What one answer says: how far our clock is *behind*, and how long the question was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Which server, by its place in the list.
    pub server: usize,
    pub offset_us: i64,
    pub delay_us: i64,
}

/// A time as NTP writes it: seconds since 1900 and their fraction, 32 bits each; it begins anew in 2036.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    pub fn from_unix_us(us: u64) -> Stamp {
        let seconds = (us / 1_000_000).wrapping_add(EPOCH_OFFSET_S);
        let fraction = ((us % 1_000_000) << 32) / 1_000_000;
        Stamp(seconds << 32 | fraction)
    }

    /// Microseconds from `earlier` to this; right for any two times less than 68 years apart.
    fn since_us(self, earlier: Stamp) -> i64 {
        let difference = self.0.wrapping_sub(earlier.0).cast_signed();
        ((i128::from(difference) * 1_000_000) >> 32) as i64
    }
}

/// The question. `nonce` stands where our time would: the server sends it back, nobody learns our clock.
pub fn question(nonce: u64) -> [u8; MESSAGE_BYTES] {
    let mut out = [0; MESSAGE_BYTES];
    out[0] = VERSION_4_CLIENT;
    out[40..48].copy_from_slice(&nonce.to_be_bytes());
    out
}

/// `None` unless it answers the question with `nonce`, from a server that knows the time.
pub fn answer(bytes: &[u8], nonce: u64, sent: Stamp, received: Stamp, server: usize) -> Option<Sample> {
    let head = bytes.get(..MESSAGE_BYTES)?;
    let (leap, mode, stratum) = (head[0] >> 6, head[0] & 7, head[1]);
    let stamp = |at: usize| Some(Stamp(u64::from_be_bytes(head.get(at..at + 8)?.try_into().ok()?)));
    let knows = leap != 3 && mode == 4 && (1..16).contains(&stratum);
    let (origin, heard, said) = (stamp(24)?, stamp(32)?, stamp(40)?);
    if !knows || origin != Stamp(nonce) || said == Stamp(0) {
        return None;
    }
    let there = heard.since_us(sent);
    let back = said.since_us(received);
    let delay_us = received.since_us(sent).checked_sub(said.since_us(heard))?;
    Some(Sample { server, offset_us: there.checked_add(back)? / 2, delay_us: delay_us.max(0) })
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server whose clock shows `us` answers.
    fn reply(question: &[u8], us: u64) -> Vec<u8> {
        let mut out = vec![0; MESSAGE_BYTES];
        out[0] = 4 << 3 | 4;
        out[1] = 2;
        out[24..32].copy_from_slice(&question[40..48]);
        out[32..40].copy_from_slice(&Stamp::from_unix_us(us).0.to_be_bytes());
        out[40..48].copy_from_slice(&Stamp::from_unix_us(us + 10).0.to_be_bytes());
        out
    }

    proptest! {
        /// Also over the wrap of 2036.
        #[test]
        fn the_offset_is_found(now in 0u64..3_000_000_000_000_000, ahead in -1_000_000_000i64..1_000_000_000, way in 0u64..500_000) {
            let theirs = now.saturating_add_signed(ahead);
            let sent = Stamp::from_unix_us(now);
            let received = Stamp::from_unix_us(now + 2 * way + 10);
            let got = answer(&reply(&question(77), theirs + way), 77, sent, received, 3).unwrap();
            let expected = theirs.wrapping_sub(now).cast_signed();
            prop_assert!((got.offset_us - expected).abs() <= 4, "{} {}", got.offset_us, expected);
            prop_assert!(got.delay_us.abs_diff(2 * way.cast_signed()) <= 4);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), nonce: u64, us: u64) {
            let _ = answer(&bytes, nonce, Stamp::from_unix_us(us), Stamp(nonce), 0);
        }
    }

    #[test]
    fn answers_to_others_and_of_the_ignorant_are_not_taken() {
        let (sent, received) = (Stamp::from_unix_us(1_000_000), Stamp::from_unix_us(1_000_020));
        let good = reply(&question(9), 5_000_000);
        assert!(answer(&good, 9, sent, received, 0).is_some());
        assert!(answer(&good, 8, sent, received, 0).is_none(), "another question's answer");
        for (at, byte) in [(0, 4 << 3 | 3), (0, 3 << 6 | 4 << 3 | 4), (1, 0), (1, 16)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(answer(&bad, 9, sent, received, 0).is_none(), "byte {at} = {byte}");
        }
    }
}
