//! What one node must do: the difference between what the state wants of it and what runs there.
//!
//! Called by the node's reconciler after each change on either side. Level-triggered: it knows no history, so it says
//! the same until one side moves, and the caller drops steps that it is already taking.
//!
//! Two things it relies on. `want` is a state that has caught up with the log as it was when the agent started: on an
//! older one, living tasks would look like strangers. And `observed` lists a task from the moment its creation begins
//! until its end is both reported *and* forgotten by the step that says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{AppSpec, KILL_GRACE_MS_DEFAULT};
use crate::task::{Exit, Task, TaskState};
use crate::{NodeId, State, TaskId};

/// What the node's init (or the creation under way) says of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub task: TaskId,
    pub phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Image, root or network are being prepared, or the container is being made.
    Creating,
    /// `stopping`: SIGTERM was sent.
    Running { stopping: bool },
    /// Its end is recorded and not forgotten yet.
    Exited,
}

/// One thing to do; the order of a list of them does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Launched by a plan, and nothing of it is here: make it.
    Create { task: TaskId },
    /// Stop it: SIGTERM, then SIGKILL after `grace_ms`. Its end will be observed as `Exited`.
    Stop { task: TaskId, grace_ms: u64 },
    /// It runs here (the agent may have restarted in between), the state does not know yet: report `Running`.
    ReportRunning { task: TaskId },
    /// It was told to stop, the state does not know yet: report `Killing`.
    ReportKilling { task: TaskId },
    /// It ended here, and the state has it alive: report `Ended` with the recorded exit.
    ReportEnded { task: TaskId },
    /// The state has it alive, and nothing of it is here: report `Ended` with this exit.
    ReportGone { task: TaskId, exit: Exit },
    /// It ended, and the state knows: drop the record, the root and the network of it. (The sandbox stays.)
    Forget { task: TaskId },
}

/// The steps that bring `node` to what `want` says, by task id.
pub fn diff(want: &State, node: NodeId, observed: &[Observed]) -> Vec<Step> {
    let here: BTreeMap<&TaskId, Phase> = observed.iter().map(|seen| (&seen.task, seen.phase)).collect();
    let mut steps = Vec::new();
    let mut wanted = BTreeSet::new();
    for app in want.apps.values() {
        for task in app.tasks.values().filter(|task| task.node == node) {
            wanted.insert(&task.id);
            let spec = app.spec_of(task.version).unwrap_or(&app.spec);
            steps.extend(known(task, spec, here.get(&task.id).copied()));
        }
    }
    steps.extend(here.iter().filter(|(task, _)| !wanted.contains(*task)).filter_map(stray));
    steps
}

/// A task that the state has alive on this node.
fn known(task: &Task, spec: &AppSpec, phase: Option<Phase>) -> Option<Step> {
    let id = task.id.clone();
    let stop =
        || Step::Stop { task: id.clone(), grace_ms: spec.kill_grace_ms.unwrap_or(KILL_GRACE_MS_DEFAULT) };
    let never_ran = matches!(task.state, TaskState::Staging | TaskState::Starting);
    match (phase, task.is_wanted()) {
        (Some(Phase::Exited), _) => Some(Step::ReportEnded { task: id }),
        // A task of which nobody ever saw a process can be made now, or was sentenced before it was made.
        (None, true) if never_ran => Some(Step::Create { task: id }),
        (None, false) if never_ran => Some(Step::ReportGone { task: id, exit: Exit::NeverRan }),
        // It ran in this boot, and init does not know it: its end was missed.
        (None, _) => Some(Step::ReportGone { task: id, exit: Exit::Unknown }),
        (Some(Phase::Running { stopping: true }), _) => {
            (task.state != TaskState::Killing).then_some(Step::ReportKilling { task: id })
        }
        (Some(Phase::Creating | Phase::Running { stopping: false }), false) => Some(stop()),
        (Some(Phase::Running { stopping: false }), true) => {
            never_ran.then_some(Step::ReportRunning { task: id })
        }
        (Some(Phase::Creating), true) => None,
    }
}

/// A task that is here, and of which the state knows nothing (any more).
fn stray((task, phase): (&&TaskId, &Phase)) -> Option<Step> {
    let task = (*task).clone();
    match phase {
        Phase::Exited => Some(Step::Forget { task }),
        Phase::Creating | Phase::Running { stopping: false } => {
            Some(Step::Stop { task, grace_ms: KILL_GRACE_MS_DEFAULT })
        }
        Phase::Running { stopping: true } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::task::TaskChange;
    use crate::testing::{self, Lab};

    const STOPPING: Phase = Phase::Running { stopping: true };
    const RUNNING: Phase = Phase::Running { stopping: false };

    /// One task in `state`, sentenced or not, seen on its node as `phase`; `expect` builds the only step.
    #[track_caller]
    fn check(
        state: TaskState,
        sentenced: bool,
        phase: Option<Phase>,
        expect: impl FnOnce(TaskId) -> Option<Step>,
    ) {
        let mut lab = Lab::new();
        lab.put(AppSpec { kill_grace_ms: Some(9_000), ..testing::spec("/a") });
        lab.lead();
        let task = lab.tasks()[0].id.clone();
        match state {
            TaskState::Staging => {}
            TaskState::Starting => lab.report(&task, TaskChange::Starting),
            TaskState::Running => lab.running(&task),
            TaskState::Killing => lab.report(&task, TaskChange::Killing),
        }
        if sentenced {
            let deployment = lab.deployment();
            lab.must(Command::KillTasks {
                tasks: vec![task.clone()],
                scale: false,
                deployment,
                force: false,
            });
        }
        let observed: Vec<Observed> =
            phase.into_iter().map(|phase| Observed { task: task.clone(), phase }).collect();
        let steps = diff(&lab.state, NodeId(1), &observed);
        let expect: Vec<Step> = expect(task).into_iter().collect();
        assert_eq!(steps, expect, "{state:?}, sentenced: {sentenced}, {phase:?}");
        // On any other node the same observation is a stranger's.
        assert!(diff(&lab.state, NodeId(2), &[]).is_empty());
    }

    #[test]
    fn wanted_tasks_are_made_adopted_and_reported() {
        use TaskState::{Killing, Running, Staging, Starting};
        for state in [Staging, Starting] {
            check(state, false, None, |task| Some(Step::Create { task }));
            check(state, false, Some(Phase::Creating), |_| None);
            check(state, false, Some(RUNNING), |task| Some(Step::ReportRunning { task }));
            check(state, false, Some(Phase::Exited), |task| Some(Step::ReportEnded { task }));
        }
        check(Running, false, Some(RUNNING), |_| None);
        check(Running, false, Some(STOPPING), |task| Some(Step::ReportKilling { task }));
        check(Running, false, Some(Phase::Exited), |task| Some(Step::ReportEnded { task }));
        for state in [Running, Killing] {
            check(state, false, None, |task| Some(Step::ReportGone { task, exit: Exit::Unknown }));
        }
    }

    #[test]
    fn sentenced_tasks_are_stopped_with_the_grace_of_their_app() {
        use TaskState::{Killing, Running, Staging, Starting};
        for state in [Staging, Starting, Running] {
            for phase in [Phase::Creating, RUNNING] {
                check(state, true, Some(phase), |task| Some(Step::Stop { task, grace_ms: 9_000 }));
            }
            check(state, true, Some(STOPPING), |task| Some(Step::ReportKilling { task }));
            check(state, true, Some(Phase::Exited), |task| Some(Step::ReportEnded { task }));
        }
        check(Staging, true, None, |task| Some(Step::ReportGone { task, exit: Exit::NeverRan }));
        check(Running, true, None, |task| Some(Step::ReportGone { task, exit: Exit::Unknown }));
        check(Killing, true, Some(STOPPING), |_| None);
        // SIGTERM went lost with the agent between the report and the signal: it is sent again.
        check(Killing, true, Some(RUNNING), |task| Some(Step::Stop { task, grace_ms: 9_000 }));
    }

    #[test]
    fn strangers_are_stopped_and_then_forgotten() {
        let lab = Lab::new();
        let task = testing::task("/gone", 1).id;
        for (phase, expect) in [
            (Phase::Creating, Some(Step::Stop { task: task.clone(), grace_ms: KILL_GRACE_MS_DEFAULT })),
            (RUNNING, Some(Step::Stop { task: task.clone(), grace_ms: KILL_GRACE_MS_DEFAULT })),
            (STOPPING, None),
            (Phase::Exited, Some(Step::Forget { task: task.clone() })),
        ] {
            let steps = diff(&lab.state, NodeId(1), &[Observed { task: task.clone(), phase }]);
            assert_eq!(steps, expect.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_task_of_another_node_is_a_stranger_here() {
        let mut lab = Lab::with_app(1);
        lab.lead();
        let task = lab.tasks()[0].id.clone();
        let observed = [Observed { task: task.clone(), phase: Phase::Exited }];
        assert_eq!(diff(&lab.state, NodeId(2), &observed), [Step::Forget { task }]);
    }
}
