//! Counts what a node has on its machine — mounts, cgroups, network namespaces, processes — and so what it left
//! behind. Only things that bear the node's folder or cgroup name count: other tests run beside this one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// By what a node's things are known.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Folder that holds the node's state, data and run folders.
    pub dir: PathBuf,
    /// The node's cgroup, below the mount of each hierarchy.
    pub cgroup: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    pub mounts: BTreeSet<String>,
    pub cgroups: BTreeSet<PathBuf>,
    /// Network namespaces other than the counter's own.
    pub net_namespaces: BTreeSet<String>,
    /// Command lines by pid.
    pub processes: BTreeMap<i32, String>,
}

impl Census {
    pub fn take(scope: &Scope) -> Self {
        let processes = processes(scope);
        let own = net_namespace("self");
        let net_namespaces = processes
            .keys()
            .filter_map(|pid| net_namespace(&pid.to_string()))
            .filter(|ns| Some(ns) != own.as_ref())
            .collect();
        Self { mounts: mounts(&scope.dir), cgroups: cgroups(&scope.cgroup), net_namespaces, processes }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for mount in &self.mounts {
            writeln!(f, "mount {mount}")?;
        }
        for cgroup in &self.cgroups {
            writeln!(f, "cgroup {}", cgroup.display())?;
        }
        for namespace in &self.net_namespaces {
            writeln!(f, "network namespace {namespace}")?;
        }
        for (pid, command) in &self.processes {
            writeln!(f, "process {pid} {command}")?;
        }
        Ok(())
    }
}

/// Mount points at or below `dir`, and mounts that are made of something there (an overlay's layers, a bind).
fn mounts(dir: &Path) -> BTreeSet<String> {
    let dir = dir.to_string_lossy();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let ours = table.lines().filter(|line| line.contains(&*dir));
    ours.filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

/// Mount points of every cgroup hierarchy, of either version.
pub fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_cgroup = |line: &&str| line.contains(" - cgroup ") || line.contains(" - cgroup2 ");
    table.lines().filter(is_cgroup).filter_map(|l| l.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// The cgroup of that name and everything below it, in every hierarchy.
pub fn cgroups(name: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = hierarchies().into_iter().map(|h| h.join(name)).collect();
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        open.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        found.insert(dir);
    }
    found
}

/// Processes in the node's cgroups, or that name its folder, or stand in it.
fn processes(scope: &Scope) -> BTreeMap<i32, String> {
    let own = std::process::id().cast_signed();
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own).filter_map(|pid| Some((pid, belongs(pid, scope)?))).collect()
}

/// The process's command line if it is the node's.
fn belongs(pid: i32, scope: &Scope) -> Option<String> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let command = String::from_utf8_lossy(&fs::read(proc.join("cmdline")).ok()?).replace('\0', " ");
    let stands = |link: &str| fs::read_link(proc.join(link)).is_ok_and(|at| at.starts_with(&scope.dir));
    let in_cgroup = || {
        let groups = fs::read_to_string(proc.join("cgroup")).unwrap_or_default();
        groups
            .lines()
            .filter_map(|l| l.rsplit(':').next())
            .any(|path| path.split('/').any(|s| s == scope.cgroup))
    };
    let is_ours =
        command.contains(&*scope.dir.to_string_lossy()) || stands("cwd") || stands("root") || in_cgroup();
    is_ours.then_some(command)
}

fn net_namespace(pid: &str) -> Option<String> {
    Some(fs::read_link(format!("/proc/{pid}/ns/net")).ok()?.to_string_lossy().into_owned())
}

/// Ends and removes everything that is counted: what a power cut does to a machine, or the broom after a failed
/// test. Returns what it could not remove.
pub fn sweep(scope: &Scope) -> Census {
    const ROUNDS_MAX: u32 = 200;
    for _ in 0..ROUNDS_MAX {
        let left = Census::take(scope);
        if left.is_empty() {
            break;
        }
        for pid in left.processes.keys() {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        for mount in left.mounts.iter().rev() {
            let _ = nix::mount::umount2(mount.as_str(), nix::mount::MntFlags::MNT_DETACH);
        }
        // Children sort behind their parents, and must go first.
        for cgroup in left.cgroups.iter().rev() {
            let _ = fs::remove_dir(cgroup);
        }
        crate::wait::pause();
    }
    Census::take(scope)
}
