//! What init decides. Pure: inputs and a time go in, actions come out; [`super::shell`] carries them out.
//!
//! ```text
//!  Create            Cleaned            HelperEnded ok        TaskEnded            Cleaned          Acknowledge
//!  ──────▶ Clearing ────────▶ Creating ────────────▶ Running ──────────▶ Cleaning ────────▶ Ended ────────────▶ (gone)
//!                                │ HelperEnded failed                       │ Cleaned, after a failure
//!                                └────────────────────────────────────▶ Cleaning ─────────────────────────────▶ (gone)
//! ```
//! *Clearing*: what an earlier life of this id left is removed first. *Creating*: the helper runs; it registers the
//! process before it starts it. *Cleaning*: the cgroup is killed until it can be removed; so whoever hears of an end
//! knows that nothing of the task runs any more. *Ended*: the exit is kept until somebody has made it durable.

mod hangs;
mod pings;
mod power;
mod role;
mod task;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use model::TaskId;
use model::task::Exit;

use super::protocol::{ExitRecord, FromInit, TaskProcess, ToInit};
use crate::oci::control::Registration;
use hangs::Hangs;
pub use hangs::REBOOT_AFTER_MS as HANGING_REBOOT_AFTER_MS;
use pings::Pings;
use power::Power;
pub use power::{GiveUp, PowerKind};
use role::Role;
pub use role::RoleName;
use task::Task;

/// CLOCK_BOOTTIME milliseconds.
pub type Millis = u64;
pub type ConnectionId = u64;

/// Tasks that one node holds at once, ended ones that nobody acknowledged included: all of them fit into one packet.
pub const TASKS_MAX: usize = 500;
/// Exits of processes nobody registered, kept in case the registration comes late.
const UNMATCHED_MAX: usize = 256;
const UNMATCHED_MS: Millis = 60_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Message {
        from: ConnectionId,
        message: ToInit,
    },
    Closed {
        connection: ConnectionId,
    },
    /// The helper of this task made a process, and waits.
    Registered {
        task: TaskId,
        registration: Registration,
    },
    HelperEnded {
        task: TaskId,
        result: Result<(), String>,
    },
    /// A child that is neither role nor helper ended; with `start_time` its pid names it for ever.
    TaskEnded {
        pid: i32,
        start_time: u64,
        exit: Exit,
    },
    /// Answer to [`Action::Clean`]: whether the cgroup is gone.
    Cleaned {
        task: TaskId,
        done: bool,
    },
    RoleStarted {
        role: RoleName,
        pid: i32,
    },
    RoleEnded {
        role: RoleName,
        how: String,
    },
    PowerRequested(PowerKind),
    /// Time passed; a deadline may be due.
    Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    SpawnRole {
        role: RoleName,
    },
    SignalRole {
        role: RoleName,
        pid: i32,
        kill: bool,
    },
    RolesChanged,
    SpawnHelper {
        task: TaskId,
        bundle: PathBuf,
    },
    KillHelper {
        task: TaskId,
    },
    /// Let the registered helper go on.
    Acknowledge {
        task: TaskId,
    },
    /// Give the task's output to the logger.
    HandOver {
        task: TaskId,
        registration: Registration,
    },
    /// SIGTERM to the task.
    Terminate {
        task: TaskId,
        pid: i32,
    },
    KillCgroup {
        task: TaskId,
    },
    /// Kill what is in the task's cgroup and remove it; answered by [`Input::Cleaned`].
    Clean {
        task: TaskId,
    },
    /// Remove libcontainer's state, and the bundle too if `bundle`.
    RemoveFiles {
        task: TaskId,
        bundle: bool,
    },
    Journal(Record),
    Send {
        to: ConnectionId,
        message: FromInit,
    },
    /// Answer a new agent with all there is.
    SendWorld {
        to: ConnectionId,
        tasks: Vec<TaskProcess>,
        exits: Vec<ExitRecord>,
    },
    /// The node goes down, to be started anew.
    GiveUp(GiveUp),
    /// Tell the watchdog that the loop turns.
    Ping,
    /// Everything is down.
    Finish(PowerKind),
}

/// What must survive init itself, see [`super::journal`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Started {
        task: TaskId,
        pid: i32,
    },
    Exited(ExitRecord),
    /// Acknowledged, or failed before it ran: nothing more to say of it.
    Forgotten {
        task: TaskId,
    },
}

pub struct Machine {
    tasks: BTreeMap<TaskId, Task>,
    roles: Vec<Role>,
    agent: Option<ConnectionId>,
    unmatched: VecDeque<(Millis, (i32, u64), Exit)>,
    power: Power,
    /// When the node is started anew unless it is ready before.
    ready_by: Option<Millis>,
    hangs: Hangs,
    pings: Option<Pings>,
}

impl Machine {
    pub fn new(roles: &[RoleName]) -> Self {
        Self {
            tasks: BTreeMap::new(),
            roles: roles.iter().map(|name| Role::new(*name)).collect(),
            agent: None,
            unmatched: VecDeque::new(),
            power: Power::Up,
            ready_by: None,
            hangs: Hangs::default(),
            pings: None,
        }
    }

    /// Takes over what the journal of an init before this one says. Its tasks are over: this process is not their
    /// parent and will never hear of them.
    pub fn restore(&mut self, exits: Vec<ExitRecord>, orphans: Vec<TaskId>, now: Millis) -> Vec<Action> {
        let mut actions = Vec::new();
        for record in exits {
            self.tasks.insert(record.task.clone(), Task::ended(record));
        }
        for task in orphans {
            let record =
                ExitRecord { task: task.clone(), exit: Exit::Unknown, at_boottime_ms: now, fenced: false };
            actions.push(Action::Journal(Record::Exited(record.clone())));
            actions.push(Action::Clean { task: task.clone() });
            self.tasks.insert(task, Task::cleaning_up_after(record));
        }
        actions
    }

    /// Without `Ready` by then the machine is rebooted; `None` waits for ever.
    pub fn expect_ready(&mut self, by: Option<Millis>) {
        self.ready_by = by;
    }

    /// Takes one input and says what to do about it, in this order.
    pub fn step(&mut self, now: Millis, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Message { from, message } => self.message(now, from, message, &mut actions),
            Input::Closed { connection } => {
                if self.agent == Some(connection) {
                    self.agent = None;
                }
            }
            Input::Registered { task, registration } => {
                self.registered(&task, registration, &mut actions);
            }
            Input::HelperEnded { task, result } => self.helper_ended(now, &task, result, &mut actions),
            Input::TaskEnded { pid, start_time, exit } => {
                self.task_ended(now, (pid, start_time), exit, &mut actions);
            }
            Input::Cleaned { task, done } => self.cleaned(now, &task, done, &mut actions),
            Input::RoleStarted { role, pid } => self.role_started(now, role, pid, &mut actions),
            Input::RoleEnded { role, how } => self.role_ended(now, role, how, &mut actions),
            Input::PowerRequested(kind) => self.power_requested(now, kind, &mut actions),
            Input::Tick => self.tick(now, &mut actions),
        }
        self.advance_power(now, &mut actions);
        actions
    }

    /// When [`Input::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Millis> {
        let tasks = self.tasks.values().filter_map(Task::next_deadline);
        let roles = self.roles.iter().filter_map(Role::next_deadline);
        let pings = self.pings.map(Pings::next_deadline);
        tasks.chain(roles).chain(self.power.next_deadline()).chain(self.ready_by).chain(pings).min()
    }

    /// The task whose registered process is `pid`.
    pub fn task_of(&self, pid: i32) -> Option<&TaskId> {
        self.tasks.iter().find(|(_, task)| task.live_pid() == Some(pid)).map(|(id, _)| id)
    }

    pub fn role_of(&self, pid: i32) -> Option<RoleName> {
        self.roles.iter().find(|role| role.pid() == Some(pid)).map(Role::name)
    }

    pub fn services(&self) -> Vec<console::Service> {
        self.roles.iter().map(Role::service).collect()
    }

    fn message(&mut self, now: Millis, from: ConnectionId, message: ToInit, actions: &mut Vec<Action>) {
        match message {
            ToInit::Hello { role } => {
                self.hello(from, &role, actions);
                self.agent_speaks(now, from);
            }
            ToInit::Alive => self.agent_speaks(now, from),
            ToInit::Create { task, bundle, exclusive_until } => {
                self.create(from, task, bundle, exclusive_until, actions);
            }
            ToInit::Stop { task, grace_ms } => self.stop(now, &task, grace_ms, actions),
            ToInit::Deadline { task, at_boottime_ms } => {
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.exclusive_until = at_boottime_ms;
                }
            }
            ToInit::Acknowledge { task } => self.acknowledge(task, actions),
            ToInit::Power { reboot } => {
                actions.push(Action::Send { to: from, message: FromInit::PowerAccepted });
                let kind = if reboot { PowerKind::Reboot } else { PowerKind::Off };
                self.power_requested(now, kind, actions);
            }
            ToInit::Ready => {
                self.ready_by = None;
                self.hangs.forget();
            }
            // The shell's business.
            ToInit::Status { .. } | ToInit::Phase { .. } | ToInit::Watchdog { .. } => {}
        }
    }

    fn hello(&mut self, from: ConnectionId, role: &str, actions: &mut Vec<Action>) {
        if role != RoleName::Agent.as_str() {
            return;
        }
        self.agent = Some(from);
        let tasks = self.tasks.iter().filter_map(|(id, task)| task.process(id)).collect();
        let exits = self.tasks.values().filter_map(Task::record).cloned().collect();
        actions.push(Action::SendWorld { to: from, tasks, exits });
        if !self.power.is_up() {
            self.tell_agent(FromInit::GoingDown, actions);
        }
    }

    fn tell_agent(&self, message: FromInit, actions: &mut Vec<Action>) {
        if let Some(to) = self.agent {
            actions.push(Action::Send { to, message });
        }
    }

    fn tick(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.ping(now, actions);
        self.unmatched.retain(|(at, ..)| now < at + UNMATCHED_MS);
        for (id, task) in &mut self.tasks {
            task.tick(now, id, actions);
        }
        self.tick_roles(now, actions);
        self.end_a_silent_agent(now, actions);
        if self.ready_by.is_some_and(|by| by <= now) {
            self.ready_by = None;
            self.give_up(now, GiveUp::NotReady, actions);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
