//! What runs on one host, as its init has it: containers that start, stop, and end by their deadlines.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::desired::{Observed, Phase};
use model::lease::Lease;
use model::task::Exit;
use model::{AppId, TaskId};

use crate::host::{Frozen, Host};
use crate::world::{Bug, World, lock};

/// Between two looks of init at what is due, and the longest a container then takes to be dead; see
/// `model::lease::FENCE_WAIT_MS`.
const LOOK_MS: u64 = 20;
const DEATH_MS: u64 = 1_900;
const START_MS: u64 = 400;
const STOP_MS: u64 = 1_500;

#[derive(Default)]
pub struct Containers {
    of: BTreeMap<TaskId, Container>,
    /// What the host's program holds; gone with each life of it.
    pub lease: Lease,
}

struct Container {
    app: AppId,
    /// Exclusive ones: until when it may run, by this host's clock; `None` without end.
    deadline: Option<u64>,
    is_exclusive: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A process runs from this moment on.
    Starts {
        at: u64,
    },
    Runs,
    /// It is dead by this moment.
    Dies {
        at: u64,
        asked: bool,
    },
    Dead,
}

impl Containers {
    pub fn create(&mut self, task: TaskId, app: AppId, exclusive_until: Option<Option<u64>>, at: u64) {
        let (is_exclusive, deadline) = (exclusive_until.is_some(), exclusive_until.flatten());
        let container = Container { app, deadline, is_exclusive, stage: Stage::Starts { at } };
        self.of.entry(task).or_insert(container);
    }

    pub fn stop(&mut self, task: &TaskId, at: u64) {
        if let Some(container) = self.of.get_mut(task)
            && matches!(container.stage, Stage::Starts { .. } | Stage::Runs)
        {
            container.stage = Stage::Dies { at, asked: true };
        }
    }

    pub fn forget(&mut self, task: &TaskId) {
        self.of.remove(task);
    }

    pub fn set_deadline(&mut self, task: &TaskId, deadline: Option<u64>) {
        if let Some(container) = self.of.get_mut(task).filter(|container| container.is_exclusive) {
            container.deadline = deadline;
        }
    }

    pub fn observed(&self) -> Vec<Observed> {
        let phase = |stage| match stage {
            Stage::Starts { .. } => Phase::Creating,
            Stage::Runs => Phase::Running { stopping: false },
            Stage::Dies { asked, .. } => Phase::Running { stopping: asked },
            Stage::Dead => Phase::Exited,
        };
        self.of.iter().map(|(task, c)| Observed { task: task.clone(), phase: phase(c.stage) }).collect()
    }

    pub fn exit(&self, task: &TaskId) -> Exit {
        match self.of.get(task).map(|container| container.stage) {
            Some(Stage::Dead) => Exit::Signal(9),
            _ => Exit::NeverRan,
        }
    }

    /// Tasks of `app` that have a process.
    pub fn alive(&self, app: &AppId) -> Vec<TaskId> {
        let alive = |c: &Container| c.app == *app && matches!(c.stage, Stage::Runs | Stage::Dies { .. });
        self.of.iter().filter(|(_, container)| alive(container)).map(|(task, _)| task.clone()).collect()
    }

    /// All that have a process.
    pub fn running(&self) -> Vec<TaskId> {
        let runs = |c: &Container| matches!(c.stage, Stage::Runs | Stage::Dies { .. });
        self.of.iter().filter(|(_, container)| runs(container)).map(|(task, _)| task.clone()).collect()
    }
}

/// Init of one host, for ever: it outlives the program, and a power cut only empties what it has.
pub async fn init(world: World, host: Arc<Host>) {
    loop {
        host.rest(LOOK_MS, Frozen::Machine).await;
        let (now, at) = (host.boottime(&world), world.now());
        let mut started = Vec::new();
        for (task, container) in &mut lock(&host.containers).of {
            container.stage = match container.stage {
                // One whose time is over before its process runs gets none.
                Stage::Starts { .. } | Stage::Runs
                    if is_overdue(container, now) && !world.has(Bug::ForgetDeadline) =>
                {
                    world.say(host.node, format!("{task} is fenced"));
                    world.count(|counts| counts.fenced += 1);
                    Stage::Dies { at: at + world.draw(0..DEATH_MS - LOOK_MS), asked: false }
                }
                Stage::Starts { at: start } if start <= at => {
                    started.push((task.clone(), container.app.clone(), container.is_exclusive));
                    Stage::Runs
                }
                Stage::Dies { at: end, .. } if end <= at => Stage::Dead,
                stage => stage,
            };
        }
        for (task, app, is_exclusive) in started {
            world.say(host.node, format!("{task} runs"));
            if is_exclusive {
                world.count(|counts| counts.exclusive += 1);
                crate::checks::one_owner(&world, &app);
            }
        }
    }
}

fn is_overdue(container: &Container, now: u64) -> bool {
    container.is_exclusive && container.deadline.is_some_and(|deadline| deadline <= now)
}

/// When a container that is created now has a process.
pub fn start_at(world: &World) -> u64 {
    world.now() + world.draw(20..START_MS)
}

/// When one that is asked to stop now is dead.
pub fn stop_at(world: &World) -> u64 {
    world.now() + world.draw(10..STOP_MS)
}
