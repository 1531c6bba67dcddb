//! The life of one task, from the request to create it to the acknowledgement of its end.

use std::path::PathBuf;

use model::TaskId;
use model::task::Exit;

use super::super::protocol::{ExitRecord, FromInit, TaskProcess};
use super::{Action, ConnectionId, Machine, Millis, Record, TASKS_MAX, UNMATCHED_MAX};
use crate::oci::control::Registration;

/// A helper that takes longer hangs.
const CREATE_MS_MAX: u64 = 60_000;
/// A killed task whose end is not seen by then is killed again.
const KILL_AGAIN_MS: u64 = 1_000;
const CLEAN_AGAIN_MS_FIRST: u64 = 2;
const CLEAN_AGAIN_MS_MAX: u64 = 500;

#[derive(Debug)]
pub(super) struct Task {
    pub phase: Phase,
    pub registration: Option<Registration>,
    /// `Stop` was asked for: SIGTERM was or will be sent, and at this time the cgroup is killed.
    pub kill_at: Option<Millis>,
    pub exclusive_until: Option<Millis>,
    /// It was killed because `exclusive_until` had come.
    pub fenced: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    Clearing {
        bundle: PathBuf,
        again: Again,
    },
    /// `exit`: the new process ended before its helper did.
    Creating {
        until: Millis,
        exit: Option<ExitRecord>,
    },
    /// `killed_at`: when its cgroup was last killed.
    Running {
        killed_at: Option<Millis>,
    },
    Cleaning {
        after: After,
        again: Again,
    },
    Ended(ExitRecord),
}

/// What cleaning leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum After {
    Failure(String),
    Exit(ExitRecord),
}

/// When to look again whether a cgroup has become empty, with growing distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again {
    at: Option<Millis>,
    delay_ms: u64,
}

impl Again {
    /// The first try was asked for, its answer is outstanding.
    fn asked() -> Self {
        Self { at: None, delay_ms: CLEAN_AGAIN_MS_FIRST }
    }

    fn later(&mut self, now: Millis) {
        self.at = Some(now + self.delay_ms);
        self.delay_ms = (self.delay_ms * 2).min(CLEAN_AGAIN_MS_MAX);
    }

    fn is_due(&mut self, now: Millis) -> bool {
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            self.at = None;
        }
        due
    }
}

impl Task {
    fn clearing(bundle: PathBuf, exclusive_until: Option<Millis>) -> Self {
        Self { exclusive_until, ..Self::in_phase(Phase::Clearing { bundle, again: Again::asked() }) }
    }

    pub fn ended(record: ExitRecord) -> Self {
        Self::in_phase(Phase::Ended(record))
    }

    pub fn cleaning_up_after(record: ExitRecord) -> Self {
        Self::in_phase(Phase::Cleaning { after: After::Exit(record), again: Again::asked() })
    }

    fn in_phase(phase: Phase) -> Self {
        Self { phase, registration: None, kill_at: None, exclusive_until: None, fenced: false }
    }

    fn pid(&self) -> i32 {
        self.registration.map_or(0, |registration| registration.pid)
    }

    /// The process whose end is still to be seen.
    pub fn live_pid(&self) -> Option<i32> {
        match &self.phase {
            Phase::Creating { exit: None, .. } | Phase::Running { .. } => self.registration.map(|r| r.pid),
            _ => None,
        }
    }

    /// What a new agent is told; an ended task is told as an exit instead.
    pub fn process(&self, id: &TaskId) -> Option<TaskProcess> {
        let process = TaskProcess { task: id.clone(), pid: self.pid(), stopping: self.kill_at.is_some() };
        match &self.phase {
            Phase::Running { .. } | Phase::Cleaning { after: After::Exit(_), .. } => Some(process),
            Phase::Clearing { .. } | Phase::Creating { .. } | Phase::Cleaning { .. } | Phase::Ended(_) => {
                None
            }
        }
    }

    pub fn record(&self) -> Option<&ExitRecord> {
        if let Phase::Ended(record) = &self.phase { Some(record) } else { None }
    }

    fn kill_due(&self) -> Option<Millis> {
        [self.kill_at, self.exclusive_until].into_iter().flatten().min()
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Clearing { again, .. } | Phase::Cleaning { again, .. } => again.at,
            Phase::Creating { until, .. } => Some(self.kill_due().map_or(*until, |kill| kill.min(*until))),
            Phase::Running { killed_at: Some(at) } => Some(at + KILL_AGAIN_MS),
            Phase::Running { killed_at: None } => self.kill_due(),
            Phase::Ended(_) => None,
        }
    }

    pub fn tick(&mut self, now: Millis, id: &TaskId, actions: &mut Vec<Action>) {
        if self.next_deadline().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.phase {
            Phase::Clearing { again, .. } | Phase::Cleaning { again, .. } => {
                if again.is_due(now) {
                    actions.push(Action::Clean { task: id.clone() });
                }
            }
            Phase::Creating { until, .. } => {
                *until = now + CREATE_MS_MAX;
                self.kill_at = self.kill_at.map(|_| now + CREATE_MS_MAX);
                self.exclusive_until = self.exclusive_until.map(|_| now + CREATE_MS_MAX);
                actions.push(Action::KillHelper { task: id.clone() });
            }
            Phase::Running { killed_at } => {
                *killed_at = Some(now);
                self.fenced |= self.exclusive_until.is_some_and(|until| until <= now);
                actions.push(Action::KillCgroup { task: id.clone() });
            }
            Phase::Ended(_) => {}
        }
    }
}

impl Machine {
    pub(super) fn create(
        &mut self,
        from: ConnectionId,
        id: TaskId,
        bundle: PathBuf,
        exclusive_until: Option<Millis>,
        actions: &mut Vec<Action>,
    ) {
        let refuse = |message: &str| {
            let message = FromInit::CreateFailed { task: id.clone(), message: message.to_owned() };
            Action::Send { to: from, message }
        };
        if let Some(task) = self.tasks.get(&id) {
            let created = FromInit::Created { task: id, pid: task.pid() };
            match &task.phase {
                Phase::Running { .. } | Phase::Cleaning { after: After::Exit(_), .. } => {
                    actions.push(Action::Send { to: from, message: created });
                }
                Phase::Ended(record) => {
                    actions.push(Action::Send { to: from, message: created });
                    actions.push(Action::Send { to: from, message: FromInit::Exited(record.clone()) });
                }
                // Answered when it is done.
                Phase::Clearing { .. } | Phase::Creating { .. } | Phase::Cleaning { .. } => {}
            }
        } else if !self.power.is_up() {
            actions.push(refuse("the node is going down"));
        } else if self.tasks.len() >= TASKS_MAX {
            actions.push(refuse(&format!("the node holds {TASKS_MAX} tasks already")));
        } else {
            actions.push(Action::Clean { task: id.clone() });
            self.tasks.insert(id, Task::clearing(bundle, exclusive_until));
        }
    }

    pub(super) fn cleaned(&mut self, now: Millis, id: &TaskId, done: bool, actions: &mut Vec<Action>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        match &mut task.phase {
            Phase::Clearing { again, .. } | Phase::Cleaning { again, .. } if !done => again.later(now),
            Phase::Clearing { bundle, .. } => {
                let bundle = std::mem::take(bundle);
                if task.kill_at.is_some() {
                    self.forget(id, "it was stopped before it started".to_owned(), actions);
                    return;
                }
                task.phase = Phase::Creating { until: now + CREATE_MS_MAX, exit: None };
                actions.push(Action::RemoveFiles { task: id.clone(), bundle: false });
                actions.push(Action::SpawnHelper { task: id.clone(), bundle });
            }
            Phase::Cleaning { after: After::Failure(message), .. } => {
                let message = std::mem::take(message);
                self.forget(id, message, actions);
            }
            Phase::Cleaning { after: After::Exit(record), .. } => {
                let record = record.clone();
                task.phase = Phase::Ended(record.clone());
                actions.push(Action::RemoveFiles { task: id.clone(), bundle: false });
                self.tell_agent(FromInit::Exited(record), actions);
            }
            Phase::Creating { .. } | Phase::Running { .. } | Phase::Ended(_) => {}
        }
    }

    /// The end of a create that failed: nothing is left of it.
    fn forget(&mut self, id: &TaskId, message: String, actions: &mut Vec<Action>) {
        self.tasks.remove(id);
        actions.push(Action::RemoveFiles { task: id.clone(), bundle: true });
        actions.push(Action::Journal(Record::Forgotten { task: id.clone() }));
        self.tell_agent(FromInit::CreateFailed { task: id.clone(), message }, actions);
    }

    pub(super) fn registered(&mut self, id: &TaskId, registration: Registration, actions: &mut Vec<Action>) {
        let process = (registration.pid, registration.start_time);
        let unmatched = self.unmatched.iter().position(|(_, ended, _)| *ended == process);
        let wanted = self.power.is_up();
        match self.tasks.get_mut(id) {
            Some(task) if wanted && task.kill_at.is_none() && task.registration.is_none() => {
                let Phase::Creating { exit, .. } = &mut task.phase else { return };
                task.registration = Some(registration);
                actions.push(Action::Journal(Record::Started { task: id.clone(), pid: registration.pid }));
                if let Some((at, _, early)) = unmatched.and_then(|i| self.unmatched.remove(i)) {
                    let record =
                        ExitRecord { task: id.clone(), exit: early, at_boottime_ms: at, fenced: false };
                    actions.push(Action::Journal(Record::Exited(record.clone())));
                    *exit = Some(record);
                }
                actions.push(Action::HandOver { task: id.clone(), registration });
                actions.push(Action::Acknowledge { task: id.clone() });
            }
            // Nobody wants it any more: its helper never hears the word to go on.
            _ => actions.push(Action::KillHelper { task: id.clone() }),
        }
    }

    pub(super) fn helper_ended(
        &mut self,
        now: Millis,
        id: &TaskId,
        result: Result<(), String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Phase::Creating { exit, .. } = &mut task.phase else { return };
        let exit = exit.take();
        let failure = match (result, task.registration) {
            (Ok(()), Some(_)) => None,
            (Ok(()), None) => Some("the helper ended without making the container".to_owned()),
            (Err(message), _) => Some(message),
        };
        let pid = task.pid();
        if let Some(message) = failure {
            task.phase = Phase::Cleaning { after: After::Failure(message), again: Again::asked() };
            actions.push(Action::Clean { task: id.clone() });
            return;
        }
        task.phase = Phase::Running { killed_at: None };
        let stopping = task.kill_at.is_some();
        self.tell_agent(FromInit::Created { task: id.clone(), pid }, actions);
        match exit {
            Some(record) => self.over(id, record, actions),
            None if stopping => actions.push(Action::Terminate { task: id.clone(), pid }),
            None => {}
        }
        // A kill that fell due while the helper ran is caught by the next tick.
        if let Some(task) = self.tasks.get_mut(id) {
            task.tick(now, id, actions);
        }
    }

    pub(super) fn task_ended(
        &mut self,
        now: Millis,
        process: (i32, u64),
        exit: Exit,
        actions: &mut Vec<Action>,
    ) {
        let Some(id) = self.task_of(process.0).cloned() else {
            self.unmatched.push_back((now, process, exit));
            if self.unmatched.len() > UNMATCHED_MAX {
                self.unmatched.pop_front();
            }
            return;
        };
        let fenced = self.tasks.get(&id).is_some_and(|task| task.fenced);
        let record = ExitRecord { task: id.clone(), exit, at_boottime_ms: now, fenced };
        actions.push(Action::Journal(Record::Exited(record.clone())));
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match &mut task.phase {
            Phase::Creating { exit, .. } => *exit = Some(record),
            _ => self.over(&id, record, actions),
        }
    }

    /// The process of a started task is over; what it left behind in its cgroup is killed.
    fn over(&mut self, id: &TaskId, record: ExitRecord, actions: &mut Vec<Action>) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.phase = Phase::Cleaning { after: After::Exit(record), again: Again::asked() };
            actions.push(Action::Clean { task: id.clone() });
        }
    }

    pub(super) fn stop(&mut self, now: Millis, id: &TaskId, grace_ms: u64, actions: &mut Vec<Action>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let at = now.saturating_add(grace_ms);
        let first = task.kill_at.is_none();
        task.kill_at = Some(task.kill_at.map_or(at, |earlier| earlier.min(at)));
        if first && matches!(task.phase, Phase::Running { .. }) {
            actions.push(Action::Terminate { task: id.clone(), pid: task.pid() });
        }
        task.tick(now, id, actions);
    }

    pub(super) fn acknowledge(&mut self, id: TaskId, actions: &mut Vec<Action>) {
        if self.tasks.get(&id).is_some_and(|task| task.record().is_some()) {
            self.tasks.remove(&id);
            actions.push(Action::Journal(Record::Forgotten { task: id.clone() }));
            actions.push(Action::RemoveFiles { task: id, bundle: true });
        }
    }
}
