//! What init and the other roles say to each other on `RUN/init.sock` (SOCK_SEQPACKET, one JSON packet a message).
//!
//! The far end is always this same program, though perhaps of another build: each packet carries its format, and init
//! drops a connection that sends anything else.

use std::path::PathBuf;

use console::{BootPhase, Service};
use model::TaskId;
use model::task::Exit;
use serde::{Deserialize, Serialize};

use super::board::Shown;
use crate::watchdog::Watchdog;

pub const FORMAT: u32 = 1;
pub const PACKET_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packet<M> {
    pub format: u32,
    pub message: M,
}

/// From a role to init.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "to_init", rename_all = "snake_case")]
pub enum ToInit {
    /// First message of a connection. Only one connection per role name is kept: the newest.
    /// The agent is answered with [`FromInit::World`] and hears of every exit from then on.
    Hello { role: String },
    /// The agent still answers itself; see `machine::role::SILENCE_MS_MAX`.
    Alive,
    /// Start the task whose bundle lies ready at `bundle`. Answered by `Created` or `CreateFailed`. Idempotent: a
    /// task that init already has is answered alike.
    /// `exclusive_until`: as [`ToInit::Deadline`], from the beginning.
    Create {
        task: TaskId,
        bundle: PathBuf,
        #[serde(default)]
        exclusive_until: Option<u64>,
    },
    /// SIGTERM now, SIGKILL to the whole cgroup `grace_ms` later. Repeating it never extends the deadline.
    Stop { task: TaskId, grace_ms: u64 },
    /// The exclusive deadline (design §2.6) in CLOCK_BOOTTIME milliseconds: at expiry the cgroup is killed. `None`
    /// lifts it.
    Deadline { task: TaskId, at_boottime_ms: Option<u64> },
    /// The exit of this task is durable elsewhere: init may forget it, and removes what is left of the container.
    Acknowledge { task: TaskId },
    /// What the console screen shows for this role. Replaces what the role said before.
    Status { lines: Vec<(String, String)>, error: String },
    /// A boot phase of this role began or ended.
    Phase { name: String, done: bool, note: String },
    /// The node does its work: the slot it was booted from is good, and so is its agent.
    Ready,
    /// What the settings say of the machine's watchdog.
    Watchdog { setting: Watchdog },
    /// Stop all tasks by their grace, sync, unmount, then this. On a developer's machine init just ends.
    Power { reboot: bool },
}

/// From init to a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from_init", rename_all = "snake_case")]
pub enum FromInit {
    World {
        boot_id: String,
        tasks: Vec<TaskProcess>,
        exits: Vec<ExitRecord>,
        phases: Vec<BootPhase>,
        services: Vec<Service>,
    },
    Created {
        task: TaskId,
        pid: i32,
    },
    /// Nothing of the task is left; `message` says why in the words of whoever failed.
    CreateFailed {
        task: TaskId,
        message: String,
    },
    Exited(ExitRecord),
    /// Boot phases or services changed.
    Node {
        phases: Vec<BootPhase>,
        services: Vec<Service>,
    },
    PowerAccepted,
    /// What a person in front of the machine is to see; told to the role `screen` whenever it changes.
    Board(Shown),
    /// The node goes down: its tasks are being stopped, and nothing of that is a failure of theirs. Told to the agent.
    GoingDown,
}

/// A task that init is the parent of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskProcess {
    pub task: TaskId,
    pub pid: i32,
    /// `Stop` was asked for.
    pub stopping: bool,
}

/// How a task ended. Kept until acknowledged, across restarts of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    pub task: TaskId,
    pub exit: Exit,
    /// CLOCK_BOOTTIME milliseconds.
    pub at_boottime_ms: u64,
    /// Its exclusive deadline had passed.
    #[serde(default)]
    pub fenced: bool,
}
