//! What a task uses right now, from its cgroup: the unified hierarchy, or those of version 1.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use console::sandbox::Usage;
use model::TaskId;

use crate::init::cgroup::Cgroups;
use crate::init::clock;

/// An average over less says nothing, one over more says nothing of now.
const SPAN_MS: std::ops::RangeInclusive<u64> = 200..=120_000;
/// Tasks whose last reading is kept for the next.
const READINGS_MAX: usize = 1_000;
/// Version 1 writes "no limit" as the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;

pub struct Meter {
    /// `None` on a machine without cgroups.
    cgroups: Option<Cgroups>,
    /// When each task was read last, and its processor time then, in nanoseconds.
    readings: Mutex<BTreeMap<TaskId, (u64, u64)>>,
}

impl Meter {
    pub fn new(base: &str) -> Self {
        Self { cgroups: Cgroups::find(base).ok(), readings: Mutex::default() }
    }

    /// `None` if the task has no cgroup: it does not run.
    pub fn read(&self, task: &TaskId) -> Option<Usage> {
        let cgroups = self.cgroups.as_ref()?;
        let (mut usage, cpu_ns) = parse(|name| cgroups.read(task, name))?;
        usage.cpu_milli = self.average(clock::now(), task, cpu_ns);
        Some(usage)
    }

    /// Thousandths of a processor since the last reading.
    fn average(&self, now: u64, task: &TaskId, cpu_ns: u64) -> Option<u64> {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let last = readings.get(task).copied();
        let span = last.map(|(at, _)| now.saturating_sub(at));
        // Two people who look at once must not make each other's span too short.
        if span.is_none_or(|span| span >= *SPAN_MS.start()) {
            if readings.len() >= READINGS_MAX {
                readings.pop_first();
            }
            readings.insert(task.clone(), (now, cpu_ns));
        }
        let (span, (_, before)) = (span.filter(|span| SPAN_MS.contains(span))?, last?);
        // Nanoseconds a millisecond are millionths of a processor.
        Some(cpu_ns.saturating_sub(before) / span / 1000)
    }
}

/// Usage and processor time in nanoseconds; `read` gives a file of the task's cgroup.
fn parse(read: impl Fn(&str) -> Option<String>) -> Option<(Usage, u64)> {
    let number = |name: &str| read(name).and_then(|text| text.trim().parse::<u64>().ok());
    let field = |name: &str, key: &str| {
        let text = read(name)?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    let cpu_ns = field("cpu.stat", "usage_usec").map(|us| us * 1000).or_else(|| number("cpuacct.usage"))?;
    let memory = number("memory.current").or_else(|| number("memory.usage_in_bytes")).unwrap_or_default();
    let cache = field("memory.stat", "total_inactive_file").or_else(|| field("memory.stat", "inactive_file"));
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"));
    let kills = field("memory.events", "oom_kill").or_else(|| field("memory.oom_control", "oom_kill"));
    let usage = Usage {
        cpu_total_ms: cpu_ns / 1_000_000,
        cpu_milli: None,
        memory_bytes: memory.saturating_sub(cache.unwrap_or_default()),
        memory_limit_bytes: limit.filter(|limit| *limit < NO_LIMIT),
        processes: number("pids.current").unwrap_or_default(),
        processes_limit: number("pids.max"),
        out_of_memory_kills: kills.unwrap_or_default(),
    };
    Some((usage, cpu_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(files: &[(&str, &str)]) -> Option<(Usage, u64)> {
        parse(|name| files.iter().find(|(n, _)| *n == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn both_versions() {
        let expected = Usage {
            cpu_total_ms: 1_500,
            cpu_milli: None,
            memory_bytes: 6_000,
            memory_limit_bytes: Some(33_554_432),
            processes: 3,
            processes_limit: None,
            out_of_memory_kills: 2,
        };
        let unified = [
            ("cpu.stat", "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\n"),
            ("memory.current", "10000\n"),
            ("memory.stat", "anon 1\ninactive_file 4000\n"),
            ("memory.max", "33554432\n"),
            ("memory.events", "low 0\noom 4\noom_kill 2\n"),
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
        ];
        assert_eq!(parsed(&unified), Some((expected.clone(), 1_500_000_000)));
        let version_1 = [
            ("cpuacct.usage", "1500000000\n"),
            ("memory.usage_in_bytes", "10000\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 4000\n"),
            ("memory.limit_in_bytes", "33554432\n"),
            ("memory.oom_control", "oom_kill_disable 0\noom_kill 2\n"),
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
        ];
        assert_eq!(parsed(&version_1), Some((expected, 1_500_000_000)));
        let unlimited = [("cpuacct.usage", "1\n"), ("memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(parsed(&unlimited).expect("usage").0.memory_limit_bytes, None);
        assert_eq!(parsed(&[]), None);
    }

    #[test]
    fn averages_over_a_span_that_means_something() {
        let meter = Meter { cgroups: None, readings: Mutex::default() };
        let task = TaskId::parse("a.1").expect("an id");
        let ask = |now, cpu_ns| meter.average(now, &task, cpu_ns);
        assert_eq!(ask(10_000, 1_000_000_000), None, "the first time");
        assert_eq!(ask(10_100, 1_100_000_000), None, "too soon");
        assert_eq!(ask(12_000, 2_000_000_000), Some(500), "since the first");
        assert_eq!(ask(500_000, 3_000_000_000), None, "too long ago");
        assert_eq!(ask(501_000, 5_000_000_000), Some(2_000));
    }
}
