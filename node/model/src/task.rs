//! One incarnation of one instance of an app, from the plan that launches it to the report that it ended.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{NodeId, TaskId, Timestamp};

/// A task that is launched or running. Ended tasks become [`Ended`] in the app's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    /// The app version this task runs.
    pub version: Timestamp,
    pub node: NodeId,
    pub state: TaskState,
    /// Host ports in the order of the app's port definitions.
    pub ports: Vec<u16>,
    /// The task's own addresses; the node's in host networking.
    pub addresses: Vec<IpAddr>,
    pub staged_at: Timestamp,
    pub started_at: Option<Timestamp>,
    /// Set once the plan decided that the task must end; the node then stops it.
    pub kill: Option<KillReason>,
    /// What the node does for the task right now, e.g. why it cannot start yet. Shown, never interpreted.
    pub message: String,
    /// Ledger for schedulers other than the built-in one; `marathon` and `*` for now.
    pub framework: String,
    pub role: String,
}

impl Task {
    /// True until the task is sentenced or ended: it counts as one of the app's instances.
    pub fn is_wanted(&self) -> bool {
        self.kill.is_none()
    }
}

/// States of a live task; names follow Mesos' `TASK_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why the plan ends a task; decides whether the end counts against back-off (it does not) and what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillReason {
    /// Fewer instances are wanted, or the app is gone.
    ScaledDown,
    /// A newer version replaces it.
    Replaced,
    /// Somebody asked for this task to be killed.
    Requested,
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
    Running { addresses: Vec<IpAddr> },
    Killing,
    Ended { exit: Exit },
}
