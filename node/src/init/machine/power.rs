//! The way down: tasks first, by their grace, then the roles, the logger last; every stage is bounded.

use super::role::RoleName;
use super::task::Phase;
use super::{Action, Machine, Millis};
use crate::init::protocol::FromInit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerKind {
    Off,
    Reboot,
}

/// Why the node is started anew without anybody having asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    #[error("the node is not ready in time; it is started anew")]
    NotReady,
    #[error("one agent after the other hangs, and none became ready in between; the node is started anew")]
    AgentHangs,
}

/// No task gets more than this when the node goes down, whatever its app says.
const TASK_GRACE_MS_MAX: u64 = 30_000;
/// After the last grace the tasks are killed; what is not gone by now never will be.
const TASKS_MS_MAX: u64 = TASK_GRACE_MS_MAX + 10_000;
/// Until a role is killed, and once more until it is left behind: then it is stuck in the kernel.
const ROLE_GRACE_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Up,
    StoppingTasks {
        kind: PowerKind,
        until: Millis,
    },
    /// All roles but the logger.
    StoppingRoles {
        kind: PowerKind,
        until: Millis,
        killed: bool,
    },
    StoppingLogger {
        kind: PowerKind,
        until: Millis,
        killed: bool,
    },
    Finished,
}

impl Power {
    pub fn is_up(self) -> bool {
        self == Self::Up
    }

    pub fn next_deadline(self) -> Option<Millis> {
        match self {
            Self::StoppingTasks { until, .. }
            | Self::StoppingRoles { until, .. }
            | Self::StoppingLogger { until, .. } => Some(until),
            Self::Up | Self::Finished => None,
        }
    }

    /// Whether an end of this role is final by now.
    pub fn retires(self, role: RoleName) -> bool {
        match self {
            Self::Up | Self::StoppingTasks { .. } => false,
            Self::StoppingRoles { .. } => role != RoleName::Log,
            Self::StoppingLogger { .. } | Self::Finished => true,
        }
    }
}

impl Machine {
    pub(super) fn power_requested(&mut self, now: Millis, kind: PowerKind, actions: &mut Vec<Action>) {
        if !self.power.is_up() {
            return;
        }
        self.power = Power::StoppingTasks { kind, until: now + TASKS_MS_MAX };
        self.tell_agent(FromInit::GoingDown, actions);
        let ids: Vec<_> = self.tasks.keys().cloned().collect();
        for id in ids {
            let grace = self.tasks[&id].registration.map_or(0, |r| r.grace_ms.min(TASK_GRACE_MS_MAX));
            self.stop(now, &id, grace, actions);
        }
    }

    pub(super) fn give_up(&mut self, now: Millis, why: GiveUp, actions: &mut Vec<Action>) {
        actions.push(Action::GiveUp(why));
        self.power_requested(now, PowerKind::Reboot, actions);
    }

    /// Goes to the next stage once the present one is done or its time is over.
    pub(super) fn advance_power(&mut self, now: Millis, actions: &mut Vec<Action>) {
        loop {
            let due = self.power.next_deadline().is_some_and(|until| until <= now);
            match self.power {
                Power::StoppingTasks { kind, .. } => {
                    let all_over = self.tasks.values().all(|task| matches!(task.phase, Phase::Ended(_)));
                    if !all_over && !due {
                        return;
                    }
                    self.power = Power::StoppingRoles { kind, until: now + ROLE_GRACE_MS, killed: false };
                    self.retire(|role| role != RoleName::Log, false, actions);
                }
                Power::StoppingRoles { kind, killed, .. } => {
                    if !self.all_down(|role| role != RoleName::Log) {
                        if !due {
                            return;
                        }
                        if !killed {
                            self.power =
                                Power::StoppingRoles { kind, until: now + ROLE_GRACE_MS, killed: true };
                            self.retire(|role| role != RoleName::Log, true, actions);
                            return;
                        }
                    }
                    self.power = Power::StoppingLogger { kind, until: now + ROLE_GRACE_MS, killed: false };
                    self.retire(|role| role == RoleName::Log, false, actions);
                }
                Power::StoppingLogger { kind, killed, .. } => {
                    if !self.all_down(|role| role == RoleName::Log) {
                        if !due {
                            return;
                        }
                        if !killed {
                            self.power =
                                Power::StoppingLogger { kind, until: now + ROLE_GRACE_MS, killed: true };
                            self.retire(|role| role == RoleName::Log, true, actions);
                            return;
                        }
                    }
                    self.power = Power::Finished;
                    actions.push(Action::Finish(kind));
                }
                Power::Up | Power::Finished => return,
            }
        }
    }

    fn retire(&mut self, which: impl Fn(RoleName) -> bool, kill: bool, actions: &mut Vec<Action>) {
        for role in self.roles.iter_mut().filter(|role| which(role.name())) {
            if let Some(pid) = role.retire() {
                actions.push(Action::SignalRole { role: role.name(), pid, kill });
            }
        }
    }

    fn all_down(&self, which: impl Fn(RoleName) -> bool) -> bool {
        self.roles.iter().filter(|role| which(role.name())).all(|role| role.is_down())
    }
}
