//! What the kernel says of the node's own processes: init and its roles, not the tasks.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, ensure};

use crate::node::Node;

/// Pids of init and the roles.
pub fn ours(node: &Node) -> anyhow::Result<BTreeSet<i32>> {
    let tasks = node.task_pids("");
    let all = node.census().processes.into_keys();
    let ours: BTreeSet<i32> = all.filter(|pid| !tasks.contains(pid)).collect();
    ensure!(ours.len() >= 3, "init, agent and log should run, found {ours:?}");
    Ok(ours)
}

/// A field of `/proc/PID/smaps_rollup`, in KiB.
pub fn memory_kib(pid: i32, field: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("reading the memory of {pid}"))?;
    let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok());
    number.with_context(|| format!("no {field} in the memory of {pid}"))
}

/// Clock ticks the process and its waited-for children have used.
pub fn cpu_ticks(pid: i32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("reading {pid}"))?;
    // The name in brackets may hold blanks; utime, stime, cutime and cstime are fields 14 to 17 of the whole line.
    let (_, fields) = text.rsplit_once(") ").context("no name in a stat line")?;
    let ticks = fields.split(' ').skip(11).take(4).map(|f| f.parse::<u64>().unwrap_or_default());
    Ok(ticks.sum())
}
