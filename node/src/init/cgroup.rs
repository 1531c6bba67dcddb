//! Cgroups of tasks, on v2 and on the hierarchies of v1: kill all in one, remove it, ask whether memory ran out.
//!
//! Works from the file system alone: no record, no process and no state file is needed to clean up after a task.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::TaskId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::proc::{self, Disposition};

/// Rounds of killing on v1, where processes can fork between reading the list and the signal.
const KILL_ROUNDS_MAX: usize = 50;

/// The cgroup of a task below the mount of each hierarchy, as written into its bundle.
pub fn path_of(base: &str, task: &TaskId) -> PathBuf {
    Path::new("/").join(base).join(task.as_str())
}

/// The mounted hierarchies and the name below which all tasks live.
#[derive(Debug)]
pub struct Cgroups {
    mounts: Vec<Mount>,
    base: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    path: PathBuf,
    unified: bool,
}

impl Cgroups {
    pub fn find(base: &str) -> io::Result<Self> {
        Ok(Self { mounts: parse_mounts(&fs::read_to_string("/proc/self/mounts")?), base: base.to_owned() })
    }

    /// Kills everything in the task's cgroup and removes it; true once it is gone everywhere.
    pub fn clean(&self, task: &TaskId) -> bool {
        self.kill(task);
        // No short circuit: each hierarchy is tried in each round.
        self.folders(task.as_str()).map(|folder| remove(&folder)).filter(|gone| !gone).count() == 0
    }

    /// SIGKILL to everything in the task's cgroup.
    pub fn kill(&self, task: &TaskId) {
        for folder in self.folders(task.as_str()) {
            // v2 does it in one go, against forks too.
            if folder.exists() && fs::write(folder.join("cgroup.kill"), "1").is_err() {
                kill_one_by_one(&folder);
            }
        }
    }

    /// Asks the task, whose first process is `pid`, to end: by SIGTERM, or what its image prefers.
    ///
    /// The first process of a namespace does not get signals that it leaves at their default. Then the others are
    /// asked, as Mesos asks the whole tree: a shell ends when the command it waits for ends. If there are none,
    /// nobody could hear, and the default, which is to end, is what happens.
    pub fn terminate(&self, task: &TaskId, pid: i32, signal: Signal) {
        // The caller is its parent and has not reaped it: the number is still its own. ESRCH: it just ended.
        let tell = |pid: i32, signal| {
            let _ = kill(Pid::from_raw(pid), signal);
        };
        if proc::disposition(pid, signal as i32) != Disposition::Default {
            return tell(pid, signal);
        }
        let others: BTreeSet<i32> =
            self.folders(task.as_str()).flat_map(|folder| processes(&folder)).collect();
        let mut others = others.into_iter().filter(|other| *other != pid).peekable();
        if others.peek().is_none() {
            return tell(pid, Signal::SIGKILL);
        }
        others.for_each(|other| tell(other, signal));
    }

    /// Whether the kernel killed a process of the task because the task's memory limit was reached.
    pub fn out_of_memory(&self, task: &TaskId) -> bool {
        self.folders(task.as_str()).any(|folder| {
            let count = |name| fs::read_to_string(folder.join(name)).ok().and_then(|text| oom_kills(&text));
            count("memory.events").or_else(|| count("memory.oom_control")).is_some_and(|kills| kills > 0)
        })
    }

    /// A file of the task's cgroup, of the first hierarchy that has it.
    pub fn read(&self, task: &TaskId, file: &str) -> Option<String> {
        self.folders(task.as_str()).find_map(|folder| fs::read_to_string(folder.join(file)).ok())
    }

    /// Every name that has a cgroup below the base, ours or not.
    pub fn list(&self) -> Vec<TaskId> {
        let mut names: Vec<TaskId> = self
            .mounts
            .iter()
            .filter_map(|mount| fs::read_dir(mount.path.join(&self.base)).ok())
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| TaskId::parse(entry.file_name().to_str()?).ok())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Removes the base itself, once nothing is below it; for the end of init on a machine that is not its own.
    pub fn remove_base(&self) {
        for mount in &self.mounts {
            // Kept if another node of this machine still has tasks below it.
            let _ = fs::remove_dir(mount.path.join(&self.base));
        }
    }

    fn folders(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        self.mounts.iter().map(move |mount| mount.path.join(&self.base).join(name))
    }
}

fn parse_mounts(mounts: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let mut fields = line.split(' ');
        let (path, kind) = (fields.nth(1)?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| Mount { path: path.into(), unified: kind == "cgroup2" })
    };
    let mut found: Vec<Mount> = mounts.lines().filter_map(parse).collect();
    // The unified one first: its kill is atomic, so that little is left to do on the others.
    found.sort_by_key(|mount| !mount.unified);
    found.dedup();
    found
}

fn kill_one_by_one(folder: &Path) {
    for _ in 0..KILL_ROUNDS_MAX {
        let mut pids = processes(folder);
        pids.retain(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok() && !is_zombie(*pid));
        if pids.is_empty() {
            return;
        }
    }
}

fn processes(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace; signalling it would hit our own group.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Removes a cgroup and those below it, deepest first. True if it is gone.
fn remove(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return !folder.exists() };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_all_kinds() {
        let mounts = parse_mounts(
            "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
             cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nproc /proc proc rw 0 0\n",
        );
        let paths: Vec<_> = mounts.iter().map(|mount| mount.path.to_str().expect("utf-8")).collect();
        assert_eq!(paths, ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"]);
    }

    #[test]
    fn counts_of_both_versions() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"), Some(0));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
