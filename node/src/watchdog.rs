//! How long this node may hang before its machine is reset: a setting like those of the network, which init also reads
//! from the kernel line by itself, so that it holds before the network role has found the others.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// Shorter, and a disk that is slow for a moment resets the machine; longer helps nobody.
const SECONDS: std::ops::RangeInclusive<u32> = 5..=600;
const SECONDS_DEFAULT: u32 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watchdog {
    Off,
    Seconds(u32),
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::Seconds(SECONDS_DEFAULT)
    }
}

impl Watchdog {
    /// `off` or a number of seconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(seconds) if SECONDS.contains(&seconds) => Ok(Self::Seconds(seconds)),
            _ if text == "off" => Ok(Self::Off),
            _ => {
                let (first, last) = (SECONDS.start(), SECONDS.end());
                Err(format!(
                    "watchdog is `{text}`, expected off or a number of seconds from {first} to {last}"
                ))
            }
        }
    }

    /// What the kernel line says; the default if nothing, or nothing that is understood: the network role tells of that.
    pub fn booted() -> Self {
        Self::on_line(&fs::read_to_string("/proc/cmdline").unwrap_or_default())
    }

    fn on_line(line: &str) -> Self {
        let words = line.split_whitespace().filter_map(|word| word.strip_prefix("meseta.watchdog="));
        words.filter_map(|text| Self::parse(text).ok()).next_back().unwrap_or_default()
    }
}

impl fmt::Display for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Seconds(seconds) => seconds.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_off_or_seconds_and_everything_else_says_what_was_expected() {
        for (text, expected) in [
            ("off", Watchdog::Off),
            ("5", Watchdog::Seconds(5)),
            ("60", Watchdog::default()),
            ("600", Watchdog::Seconds(600)),
        ] {
            assert_eq!(Watchdog::parse(text), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for text in ["", "0", "4", "601", "-5", "5s", "on", "Off", "4294967301"] {
            let fault = Watchdog::parse(text).expect_err("nothing of that is possible");
            let expected = format!("watchdog is `{text}`, expected off or a number of seconds from 5 to 600");
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn the_kernel_line_may_say_it() {
        assert_eq!(Watchdog::on_line("quiet meseta.watchdog=10 x"), Watchdog::Seconds(10));
        assert_eq!(Watchdog::on_line("meseta.watchdog=10 meseta.watchdog=off"), Watchdog::Off);
        assert_eq!(Watchdog::on_line("meseta.watchdog=soon"), Watchdog::default());
        assert_eq!(Watchdog::on_line(""), Watchdog::default());
    }
}
