//! The clock never starts before the build of this program, nor before the time that the net role saved last.

use std::path::Path;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use super::super::clock;

/// Seconds since 1970 at which the image was made; absent in a developer's build.
const BUILD_EPOCH: Option<&str> = option_env!("MESETA_BUILD_EPOCH");

pub fn raise(state: &Path) -> super::Outcome {
    let saved = std::fs::read_to_string(state.join("clock")).ok();
    let floor = [BUILD_EPOCH, saved.as_deref()].into_iter().flatten().filter_map(seconds).max().unwrap_or(0);
    let now = clock::wall_ms() / 1000;
    if now >= floor {
        return Ok(String::new());
    }
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(Duration::from_secs(floor)))
        .map_err(|error| format!("cannot be set: {error}"))?;
    Ok(format!("was {} s behind the last known time", floor - now))
}

/// A damaged file says nothing; one from the far future would break every certificate.
fn seconds(text: &str) -> Option<u64> {
    const YEAR_2100: u64 = 4_102_444_800;
    text.trim().parse().ok().filter(|seconds| *seconds < YEAR_2100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_number_counts() {
        assert_eq!(seconds("1700000000\n"), Some(1_700_000_000));
        assert_eq!(seconds("99999999999"), None);
        assert_eq!(seconds("rubbish"), None);
        assert_eq!(seconds(""), None);
    }
}
