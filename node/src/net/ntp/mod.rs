//! The machine's clock against time servers: the packets ([`wire`]), which answer to believe ([`best`]), and the loop
//! around them ([`keeper`]).

pub mod keeper;
mod lookup;
pub mod wire;

use wire::Sample;

/// An answer that took longer says too little.
const DELAY_MS_MAX: i64 = 2_000;

/// Of the answers that agree with the middle one, the one that was under way the shortest time.
pub fn best(samples: &[Sample]) -> Option<Sample> {
    let mut usable: Vec<Sample> =
        samples.iter().copied().filter(|s| (0..=DELAY_MS_MAX * 1000).contains(&s.delay_us)).collect();
    usable.sort_by_key(|sample| sample.offset_us);
    let middle = *usable.get(usable.len().checked_sub(1)? / 2)?;
    // The truth lies within half a round trip of each answer.
    let agrees = |sample: &&Sample| {
        sample.offset_us.abs_diff(middle.offset_us)
            <= sample.delay_us.unsigned_abs() / 2 + middle.delay_us.unsigned_abs() / 2
    };
    usable.iter().filter(agrees).min_by_key(|sample| sample.delay_us).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(server: usize, offset_us: i64, delay_us: i64) -> Sample {
        Sample { server, offset_us, delay_us }
    }

    #[test]
    fn one_liar_among_three_is_not_believed() {
        let got = best(&[sample(0, 5_000, 900), sample(1, 3_600_000_000, 10), sample(2, 5_100, 400)]);
        assert_eq!(got, Some(sample(2, 5_100, 400)));
        assert_eq!(best(&[sample(0, 7, 3_000_000)]), None);
        assert_eq!(best(&[]), None);
    }

    proptest! {
        #[test]
        fn what_is_chosen_lies_among_the_answers(offsets in proptest::collection::vec((any::<i32>(), 0i64..3_000_000), 0..6)) {
            let samples: Vec<Sample> =
                offsets.iter().enumerate().map(|(n, (offset, delay))| sample(n, i64::from(*offset), *delay)).collect();
            if let Some(got) = best(&samples) {
                prop_assert!(samples.contains(&got));
            } else {
                prop_assert!(samples.iter().all(|s| s.delay_us > DELAY_MS_MAX * 1000));
            }
        }
    }
}
