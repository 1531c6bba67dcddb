//! The few things read from /proc about other processes.

use std::fs;
use std::io;

/// Field 22 of `stat`: clock ticks from boot to the start of the process. With the pid it names a process for ever.
pub fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::Error::other("an unreadable /proc/PID/stat"))
}

/// The second field, the command's name in parentheses, may hold blanks and parentheses itself.
fn parse_start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// What a process does about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    Caught,
    Ignored,
    Default,
}

pub fn disposition(pid: i32, signal: i32) -> Disposition {
    parse_disposition(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), signal)
}

fn parse_disposition(status: &str, signal: i32) -> Disposition {
    let has = |name: &str| {
        let mask = field(status, name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
    };
    match (has("SigCgt:"), has("SigIgn:")) {
        (true, _) => Disposition::Caught,
        (false, true) => Disposition::Ignored,
        (false, false) => Disposition::Default,
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = "42 (a) b) 9 9) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9";
        assert_eq!(parse_start_time(stat), Some(123_456));
        assert_eq!(parse_start_time("42 (x"), None);
        assert!(start_time(std::process::id() as i32).expect("own stat") > 0);
    }

    #[test]
    fn masks_tell_what_a_signal_does() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004002\n";
        assert_eq!(parse_disposition(status, libc::SIGTERM), Disposition::Caught);
        assert_eq!(parse_disposition(status, libc::SIGPIPE), Disposition::Ignored);
        assert_eq!(parse_disposition(status, libc::SIGHUP), Disposition::Default);
    }
}
