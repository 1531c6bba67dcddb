//! One incarnation of one instance of an app, from the plan that launches it to the report that it ended.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::health::CheckHealth;
use crate::{NodeId, TaskId, Timestamp};

/// A task that is launched or running. Ended tasks become [`Ended`] in the app's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    /// The app version this task runs.
    pub version: Timestamp,
    pub node: NodeId,
    pub state: TaskState,
    /// Host ports in the order of the app's port definitions; 0 where a port is not mapped to the host.
    pub ports: Vec<u16>,
    /// The task's own addresses; the node's in host networking.
    pub addresses: Vec<IpAddr>,
    /// What its health checks found, in the order of the app's; empty until the first has turned.
    pub health: Vec<CheckHealth>,
    pub staged_at: Timestamp,
    pub started_at: Option<Timestamp>,
    /// Set once the plan decided that the task must end; the node then stops it.
    pub kill: Option<KillReason>,
    /// Grows with every launch in the cluster: what a task writes to can refuse an older one that woke too late. 0 if
    /// it was launched before leases were kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
    #[serde(default, skip_serializing_if = "Reach::is_here")]
    pub reach: Reach,
    /// It is to be replaced on another node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub displaced: bool,
    /// What the node does for the task right now, e.g. why it cannot start yet. Shown, never interpreted.
    pub message: String,
    /// Ledger for schedulers other than the built-in one; `marathon` and `*` for now.
    pub framework: String,
    pub role: String,
}

impl Task {
    /// True until the task is sentenced or ended.
    pub fn is_wanted(&self) -> bool {
        self.kill.is_none()
    }
}

/// Whether the cluster hears of a task's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    #[default]
    Here,
    /// Its node does not answer: nobody is sent to it.
    Unreachable,
    /// And another one is to run in its place; it is kept in case the node comes back.
    Inactive,
}

impl Reach {
    pub fn is_here(&self) -> bool {
        *self == Self::Here
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// States of a live task, in the order in which it goes through them; names follow Mesos' `TASK_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// In the plan; the node has not reported it yet.
    Staging,
    /// The node prepares it (image, root, network).
    Starting,
    Running,
    /// The node was told to stop it and has sent SIGTERM.
    Killing,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndState {
    /// Exit code 0 by itself.
    Finished,
    /// Another exit code, a signal, or out of memory.
    Failed,
    /// Ended because the plan wanted it to.
    Killed,
    /// It could never start: bad command, no such image.
    Error,
    /// Its node lost it, e.g. by a power cut.
    Lost,
}

/// Why a task is ended; decides whether the end counts against back-off and what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillReason {
    /// Fewer instances are wanted, or the app is gone.
    ScaledDown,
    /// A newer version replaces it.
    Replaced,
    /// Another one runs in its place, on another node.
    Moved,
    /// Somebody asked for this task to be killed.
    Requested,
    /// A health check of it failed too often in a row. This counts as a failure of the task.
    Unhealthy,
}

/// How the process ended, as the node's init saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Killed because the task's cgroup ran out of memory, whatever the exit code said.
    OutOfMemory,
    /// No process of it ever ran; the reason is in the message.
    NeverRan,
    /// The node restarted beneath it; nobody saw the end.
    Unknown,
}

impl Exit {
    /// What such an end means for a task that was (or was not) to end.
    pub fn end_state(&self, kill: Option<KillReason>) -> EndState {
        match self {
            _ if kill == Some(KillReason::Unhealthy) => EndState::Failed,
            _ if kill.is_some() => EndState::Killed,
            Self::Code(0) => EndState::Finished,
            Self::Code(_) | Self::Signal(_) | Self::OutOfMemory => EndState::Failed,
            Self::NeverRan => EndState::Error,
            Self::Unknown => EndState::Lost,
        }
    }

    /// A sentence for people. `memory_mib` is what the task could use; `detail` is what the node adds, may be empty.
    pub fn describe(&self, kill: Option<KillReason>, memory_mib: u64, detail: &str) -> String {
        let how = match self {
            Self::Code(code) => format!("exited with code {code}"),
            Self::Signal(number) => format!("killed by {}", signal_name(*number)),
            Self::OutOfMemory => format!("out of memory: used more than its {memory_mib} MiB"),
            Self::NeverRan => "never started".to_owned(),
            Self::Unknown => "lost: nobody saw its end".to_owned(),
        };
        let why = match kill {
            None => String::new(),
            Some(KillReason::ScaledDown) => "stopped, fewer instances are wanted; ".to_owned(),
            Some(KillReason::Replaced) => "stopped, a newer version replaces it; ".to_owned(),
            Some(KillReason::Moved) => "stopped, it moved to another node; ".to_owned(),
            Some(KillReason::Requested) => "stopped on request; ".to_owned(),
            Some(KillReason::Unhealthy) => "stopped, its health check kept failing; ".to_owned(),
        };
        if detail.is_empty() { format!("{why}{how}") } else { format!("{why}{how}: {detail}") }
    }
}

/// `SIGKILL (9)`; numbers without a name of their own on Linux are only numbers.
fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number - 1).ok().and_then(|at| NAMES.get(at));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name} ({number})"))
}

/// A task that is over, kept in the app's bounded history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub task: Task,
    pub state: EndState,
    pub exit: Exit,
    pub ended_at: Timestamp,
    pub message: String,
}

/// One line of a node's batched report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskUpdate {
    pub task: TaskId,
    pub change: TaskChange,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskChange {
    Starting,
    Running {
        addresses: Vec<IpAddr>,
    },
    Killing,
    /// A health check turned, or failed too often; all of the task's, in the order of the app's.
    Health {
        checks: Vec<CheckHealth>,
    },
    Ended {
        exit: Exit,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_words() {
        let killed = Some(KillReason::Requested);
        for (exit, kill, detail, expect) in [
            (Exit::Code(3), None, "", "exited with code 3"),
            (Exit::Signal(9), None, "", "killed by SIGKILL (9)"),
            (Exit::Signal(31), None, "", "killed by SIGSYS (31)"),
            (Exit::Signal(34), None, "", "killed by signal 34"),
            (Exit::Signal(0), None, "", "killed by signal 0"),
            (Exit::OutOfMemory, None, "", "out of memory: used more than its 16 MiB"),
            (Exit::NeverRan, None, "no such file: /bin/x", "never started: no such file: /bin/x"),
            (Exit::Signal(15), killed, "", "stopped on request; killed by SIGTERM (15)"),
        ] {
            assert_eq!(exit.describe(kill, 16, detail), expect);
        }
    }

    #[test]
    fn a_sentenced_task_was_killed_however_it_ended() {
        for exit in
            [Exit::Code(0), Exit::Code(1), Exit::Signal(9), Exit::OutOfMemory, Exit::NeverRan, Exit::Unknown]
        {
            assert_eq!(exit.end_state(Some(KillReason::ScaledDown)), EndState::Killed);
        }
        // As Marathon has it: an unhealthy task has failed.
        assert_eq!(Exit::Signal(15).end_state(Some(KillReason::Unhealthy)), EndState::Failed);
        assert_eq!(Exit::Code(0).end_state(None), EndState::Finished);
        assert_eq!(Exit::Code(-1).end_state(None), EndState::Failed);
        assert_eq!(Exit::OutOfMemory.end_state(None), EndState::Failed);
        assert_eq!(Exit::NeverRan.end_state(None), EndState::Error);
        assert_eq!(Exit::Unknown.end_state(None), EndState::Lost);
    }
}
