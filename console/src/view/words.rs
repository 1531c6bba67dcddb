//! Quantities and ends of processes in words.

use model::Timestamp;
use model::health::{CheckHealth, Verdict};
use model::task::{EndState, Ended, Exit, KillReason, TaskState};

use crate::strings as t;

/// `1.5`, `0.1`, `2`: CPUs from thousandths.
pub fn cpus(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `512 MiB`, `1.5 GiB`.
pub fn mebibytes(mib: u64) -> String {
    match mib {
        0..1024 => format!("{mib} MiB"),
        1024..1_048_576 => scaled(mib, 1024, "GiB"),
        _ => scaled(mib, 1_048_576, "TiB"),
    }
}

/// `64 KiB`, `3.2 MiB`, `1.0 GiB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => scaled(bytes, 1024, "KiB"),
        1_048_576..1_073_741_824 => scaled(bytes, 1_048_576, "MiB"),
        _ => scaled(bytes, 1_073_741_824, "GiB"),
    }
}

fn scaled(amount: u64, unit: u64, name: &str) -> String {
    format!("{}.{} {name}", amount / unit, amount % unit * 10 / unit)
}

/// `80 ms`, `1.2 s`, `12 s`, `3 min 5 s`, `2 h`, `4 d 3 h`: two units at most.
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 if ms > 0 => format!("{ms} ms"),
        0..10 if !ms.is_multiple_of(1000) => format!("{s}.{} s", ms % 1000 / 100),
        0..60 => format!("{s} s"),
        60..3600 => two_units(s / 60, "min", s % 60, "s"),
        3600..86_400 => two_units(s / 3600, "h", s / 60 % 60, "min"),
        _ => two_units(s / 86_400, "d", s / 3600 % 24, "h"),
    }
}

fn two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// `2026-11-22 13:08:34` of a stamp, UTC.
pub fn clock(at: Timestamp) -> String {
    at.to_string()[..19].replace('T', " ")
}

/// `text` as a sentence of its own: a capital first, a full stop last.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

/// A sentence cut at its backticks: whether a piece stood between two, and the piece. For `key` set as code.
pub fn with_code(text: &str) -> Vec<(bool, &str)> {
    let pieces = text.split('`').count();
    // An odd backtick out is a backtick.
    if pieces.is_multiple_of(2) {
        return vec![(false, text)];
    }
    text.split('`')
        .enumerate()
        .map(|(n, piece)| (n % 2 == 1, piece))
        .filter(|(_, piece)| !piece.is_empty())
        .collect()
}

pub fn task_state(state: TaskState) -> &'static str {
    match state {
        TaskState::Staging => t::TASK_STAGING,
        TaskState::Starting => t::TASK_STARTING,
        TaskState::Running => t::TASK_RUNNING,
        TaskState::Killing => t::TASK_KILLING,
    }
}

pub fn kill_reason(reason: KillReason) -> &'static str {
    match reason {
        KillReason::ScaledDown => t::KILL_SCALED_DOWN,
        KillReason::Replaced => t::KILL_REPLACED,
        KillReason::Moved => t::KILL_MOVED,
        KillReason::Requested => t::KILL_REQUESTED,
        KillReason::Unhealthy => t::KILL_UNHEALTHY,
    }
}

/// What the health checks of a task say, as a sentence without a full stop.
pub fn health(verdict: Verdict, checks: &[CheckHealth]) -> String {
    match verdict {
        Verdict::Unknown => t::HEALTH_UNKNOWN.to_owned(),
        Verdict::Healthy => t::HEALTH_GOOD.to_owned(),
        Verdict::Unhealthy => format!("{}: {}", t::HEALTH_BAD, model::health::complaint(checks)),
    }
}

/// How a task ended, as a sentence without a full stop.
pub fn ending(ended: &Ended) -> String {
    let how = exit(&ended.exit);
    match (ended.state, ended.task.kill) {
        (EndState::Killed, Some(reason)) | (_, Some(reason @ KillReason::Unhealthy)) => {
            format!("{}: {how}", kill_reason(reason))
        }
        _ => how,
    }
}

fn exit(exit: &Exit) -> String {
    match exit {
        Exit::Code(0) => t::EXIT_ZERO.to_owned(),
        Exit::Code(code) => t::exit_code(*code, code_hint(*code)),
        Exit::Signal(number) => t::exit_signal(*number, signal(*number)),
        Exit::OutOfMemory => t::EXIT_OUT_OF_MEMORY.to_owned(),
        Exit::NeverRan => t::EXIT_NEVER_RAN.to_owned(),
        Exit::Unknown => t::EXIT_UNKNOWN.to_owned(),
    }
}

/// What shells mean by their reserved exit codes.
fn code_hint(code: i32) -> Option<String> {
    match code {
        126 => Some(t::EXIT_HINT_NOT_EXECUTABLE.to_owned()),
        127 => Some(t::EXIT_HINT_NOT_FOUND.to_owned()),
        129..=192 => signal(code - 128).map(t::exit_hint_signal),
        _ => None,
    }
}

/// Linux on x86-64.
fn signal(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 15] = [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL",
        "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM",
    ];
    NAMES.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (milli, text) in [(0, "0"), (100, "0.1"), (1000, "1"), (1250, "1.25"), (12_005, "12.005")] {
            assert_eq!(cpus(milli), text);
        }
        for (mib, text) in
            [(0, "0 MiB"), (128, "128 MiB"), (1024, "1.0 GiB"), (1536, "1.5 GiB"), (3 << 20, "3.0 TiB")]
        {
            assert_eq!(mebibytes(mib), text);
        }
        for (ms, text) in [
            (0, "0 s"),
            (400, "400 ms"),
            (1_250, "1.2 s"),
            (300_000, "5 min"),
            (9_960, "9.9 s"),
            (10_400, "10 s"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
            (356_400_000, "4 d 3 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
    }

    #[test]
    fn code_in_sentences() {
        assert_eq!(with_code("a `b` c"), [(false, "a "), (true, "b"), (false, " c")]);
        assert_eq!(with_code("`b`"), [(true, "b")]);
        assert_eq!(with_code("found a ` sign"), [(false, "found a ` sign")]);
    }

    #[test]
    fn sentences() {
        for (text, expected) in [("needs more", "Needs more."), ("Done.", "Done."), ("", ""), ("é", "É.")] {
            assert_eq!(sentence(text), expected);
        }
    }

    #[test]
    fn exits() {
        for (given, expected) in [
            (Exit::Code(0), "Ended by itself with exit code 0"),
            (Exit::Code(1), "Failed with exit code 1"),
            (Exit::Code(127), "Failed with exit code 127 (a shell says: command not found)"),
            (Exit::Code(137), "Failed with exit code 137 (a shell says: ended by SIGKILL)"),
            (Exit::Signal(11), "Ended by signal 11 (SIGSEGV)"),
            (Exit::Signal(40), "Ended by signal 40"),
            (Exit::Signal(0), "Ended by signal 0"),
            (Exit::OutOfMemory, "Killed because it ran out of its memory limit"),
        ] {
            assert_eq!(exit(&given), expected);
        }
    }
}
