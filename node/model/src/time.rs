//! Cluster time: milliseconds since the Unix epoch, as stamped by leaders and made monotonic by `State::apply`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point of cluster time. Written as `2021-07-01T12:00:00.000Z`, which is also what an app version looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The last millisecond of the year 9999: later stamps would not read as text any more and are cut to this.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The time `ms` milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads the form that `Display` writes; the fraction may have 0 to 9 digits. `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let rest = text.get(19..)?.strip_suffix('Z')?;
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !separators.iter().all(|&(at, c)| bytes[at] == c) {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_range || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let fraction = match rest.strip_prefix('.') {
            None if rest.is_empty() => 0,
            Some(digits) if (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{digits:0<3}")[..3].parse().ok()?
            }
            _ => return None,
        };
        let days = days_from_civil(year, month, day);
        let stamp = Self(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + fraction);
        // The 31st of a shorter month would have rolled over into the next.
        (civil_from_days(days) == (year, month, day)).then_some(stamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

// The two conversions follow Howard Hinnant's "chrono-compatible low-level date algorithms": years begin in March,
// so that the leap day is the last of its year. Days count from 1970-01-01.

fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.999Z", "2026-11-22T13:08:34.120Z"] {
            assert_eq!(Timestamp::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Timestamp::parse("2021-07-01T12:00:00Z"), Timestamp::parse("2021-07-01T12:00:00.0Z"));
        for bad in [
            "",
            "2021-02-30T00:00:00Z",
            "2021-13-01T00:00:00Z",
            "2021-07-01 12:00:00Z",
            "2021-07-01T12:00:00.Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
