//! From the first launch through replacements and scaling to the end of a deployment.

use std::collections::BTreeSet;

use super::app_id;
use crate::app::{AppSpec, KillSelection, Millionths};
use crate::command::{Action, Command, Outcome, Reject};
use crate::task::{EndState, Exit, TaskState};
use crate::testing::{self, Lab};
use crate::{NodeId, TaskId};

#[test]
fn a_new_app_is_launched_and_its_deployment_finished() {
    let mut lab = Lab::with_app(3);
    assert_eq!(lab.state.deployments.len(), 1);
    assert_eq!(lab.lead().actions.len(), 3);
    assert_eq!(lab.plan().actions, [], "the same instances are not launched twice");
    lab.nodes_obey();
    assert!(lab.state.deployments.is_empty(), "running is the goal");
    assert_eq!(lab.plan(), crate::schedule::Plan::default());
    assert_eq!(lab.tasks().len(), 3);
}

#[test]
fn hello2_is_started_again_with_growing_delay() {
    let mut lab = Lab::with_app(1);
    let mut waits = Vec::new();
    let mut ids = BTreeSet::new();
    for _ in 0..4 {
        lab.lead();
        let task = lab.tasks()[0].id.clone();
        assert!(ids.insert(task.clone()), "each run is a task of its own");
        lab.running(&task);
        lab.wait(10_000);
        lab.ended(&task, Exit::Code(0));
        let plan = lab.plan();
        assert_eq!(plan.actions, [], "nothing may be launched during the delay");
        let at = plan.wake_at.expect("the delay ends");
        waits.push(at.ms_since(lab.now));
        lab.now = at;
    }
    assert_eq!(waits, [1_000, 1_150, 1_322, 1_520]);
    let app = lab.state.app(&app_id("/a")).expect("there");
    assert_eq!(app.history.len(), 4);
    assert!(app.history.iter().all(|ended| ended.state == EndState::Finished));
    assert_eq!(app.last_failure, None, "code 0 is no failure to show");
    assert!(lab.state.deployments.is_empty());
    lab.must(Command::ResetDelay { app: app_id("/a") });
    assert_eq!(lab.lead().actions.len(), 1);
}

#[test]
fn killed_and_lost_tasks_are_replaced_without_delay() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let [first, second] = [0, 1].map(|at| lab.tasks()[at].id.clone());
    lab.ended(&first, Exit::Unknown);
    let deployment = lab.deployment();
    lab.must(Command::KillTasks { tasks: vec![second.clone()], scale: false, deployment, force: false });
    // The killed one holds its place until it has ended.
    assert_eq!(lab.lead().actions.len(), 1);
    lab.ended(&second, Exit::Signal(15));
    assert_eq!(lab.lead().actions.len(), 1);
    let app = lab.state.app(&app_id("/a")).expect("there");
    assert_eq!(app.last_failure.as_ref().map(|ended| ended.state), Some(EndState::Lost));
    assert_eq!(app.history.iter().map(|e| e.state).collect::<Vec<_>>(), [EndState::Killed, EndState::Lost]);
}

/// The least and most live tasks, and the least running ones, while `/a` of `instances` is replaced.
fn roll(instances: u32, health: u64, over: u64) -> (usize, usize) {
    let mut lab = Lab::new();
    let mut spec = AppSpec { instances, ..testing::spec("/a") };
    spec.upgrade.minimum_health = Millionths(health * 10_000);
    spec.upgrade.maximum_over = Millionths(over * 10_000);
    lab.put(spec.clone());
    lab.settle();
    lab.put(AppSpec { cmd: Some("sleep 2000".to_owned()), ..spec });
    let (mut least_running, mut most) = (usize::MAX, 0);
    while !lab.state.deployments.is_empty() {
        let plan = lab.lead();
        let tasks = lab.tasks();
        let serves = |task: &&crate::task::Task| task.state == TaskState::Running && task.is_wanted();
        least_running = least_running.min(tasks.iter().filter(serves).count());
        most = most.max(tasks.len());
        // One report at a time, the hardest order.
        let next = tasks.iter().find(|task| !task.is_wanted() || task.state == TaskState::Staging);
        match next {
            Some(task) if task.is_wanted() => lab.running(&task.id),
            Some(task) => lab.ended(&task.id, Exit::Signal(15)),
            None => assert!(!plan.actions.is_empty(), "stuck: {:?}", lab.state.app(&app_id("/a"))),
        }
    }
    let current = lab.state.app(&app_id("/a")).expect("there").spec.version;
    assert!(lab.tasks().iter().all(|task| task.version == current));
    (least_running, most)
}

#[test]
fn rolling_keeps_between_minimum_health_and_capacity() {
    assert_eq!(roll(4, 100, 100), (4, 8));
    assert_eq!(roll(4, 50, 0), (2, 4));
    assert_eq!(roll(4, 100, 0), (4, 5));
    assert_eq!(roll(3, 0, 0), (0, 3));
    assert_eq!(roll(1, 100, 100), (1, 2));
    assert_eq!(roll(5, 60, 20), (3, 6));
}

#[test]
fn a_version_that_cannot_start_leaves_the_old_one_running() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    lab.put(AppSpec { cmd: Some("no-such-command".to_owned()), instances: 2, ..testing::spec("/a") });
    for _ in 0..5 {
        lab.lead();
        for task in lab.tasks().iter().filter(|task| task.state == TaskState::Staging) {
            lab.ended(&task.id, Exit::NeverRan);
        }
        lab.wait(400_000);
    }
    assert_eq!(lab.tasks().iter().filter(|task| task.state == TaskState::Running).count(), 2);
    assert_eq!(lab.state.deployments.len(), 1, "a deployment never fails by itself");
    // A third version replaces the broken one, and the deployment of that is given up.
    let command = Command::RestartApp { app: app_id("/a"), deployment: lab.deployment(), force: false };
    assert!(matches!(lab.run(command), Err(Reject::AppLocked { .. })));
    let spec = AppSpec { cmd: Some("sleep 1".to_owned()), instances: 2, ..testing::spec("/a") };
    let command = lab.put_command(spec, crate::command::PutMode::Upsert, true);
    lab.must(command);
    lab.settle();
    assert!(lab.state.deployments.is_empty());
    assert_eq!(lab.tasks().len(), 2);
}

#[test]
fn a_task_that_starts_and_ends_in_one_report_completes_the_deployment() {
    use crate::task::{TaskChange, TaskUpdate};
    let mut lab = Lab::with_app(1);
    lab.lead();
    let task = lab.tasks()[0].id.clone();
    let update = |change| TaskUpdate { task: task.clone(), change, message: String::new() };
    let updates = vec![
        update(TaskChange::Running { addresses: Vec::new() }),
        update(TaskChange::Ended { exit: Exit::Code(0) }),
    ];
    lab.must(Command::Report { node: NodeId(1), updates });
    assert!(lab.state.deployments.is_empty());
}

#[test]
fn scaling_down_takes_the_youngest_or_the_oldest() {
    for (selection, survivor) in [(KillSelection::YoungestFirst, 0), (KillSelection::OldestFirst, 2)] {
        let mut lab = Lab::new();
        let spec = AppSpec { kill_selection: selection, ..testing::spec("/a") };
        let mut born: Vec<TaskId> = Vec::new();
        for instances in 1..=3 {
            lab.wait(5_000);
            lab.put(AppSpec { instances, ..spec.clone() });
            lab.settle();
            let new = lab.tasks().into_iter().map(|task| task.id).find(|id| !born.contains(id));
            born.extend(new);
        }
        lab.put(AppSpec { instances: 1, ..spec });
        lab.settle();
        assert_eq!(lab.tasks().iter().map(|task| &task.id).collect::<Vec<_>>(), [&born[survivor]]);
        assert_eq!(
            lab.tasks()[0].version,
            lab.state.app(&app_id("/a")).expect("there").versions[survivor].version
        );
    }
}

#[test]
fn scaling_down_takes_those_that_do_not_run_yet() {
    let mut lab = Lab::with_app(3);
    lab.lead();
    let [first, second, third] = [0, 1, 2].map(|at| lab.tasks()[at].id.clone());
    lab.wait(1);
    lab.running(&second);
    lab.report(&first, crate::task::TaskChange::Starting);
    let command = lab.put_command(
        AppSpec { instances: 1, ..testing::spec("/a") },
        crate::command::PutMode::Upsert,
        true,
    );
    lab.must(command);
    let sentenced = |lab: &Lab| -> Vec<TaskId> {
        lab.tasks().into_iter().filter(|task| !task.is_wanted()).map(|task| task.id).collect()
    };
    lab.lead();
    assert_eq!(sentenced(&lab), [first, third]);
}

#[test]
fn a_restart_of_nothing_and_a_scaling_to_nothing_finish() {
    let mut lab = Lab::with_app(0);
    lab.lead();
    let deployment = lab.deployment();
    let outcome = lab.must(Command::RestartApp { app: app_id("/a"), deployment, force: false });
    assert!(matches!(outcome, Outcome::Deployed { changed: true, .. }));
    assert_eq!(lab.lead().actions, [Action::FinishDeployment { deployment }]);
    assert!(lab.state.deployments.is_empty());
}

#[test]
fn scaling_down_takes_one_that_its_node_stops_already() {
    for stopping in [0, 1] {
        let mut lab = Lab::with_app(2);
        lab.settle();
        let ids: Vec<TaskId> = lab.tasks().into_iter().map(|task| task.id).collect();
        lab.report(&ids[stopping], crate::task::TaskChange::Killing);
        lab.put(AppSpec { instances: 1, ..testing::spec("/a") });
        lab.lead();
        let sentenced: Vec<TaskId> =
            lab.tasks().into_iter().filter(|task| !task.is_wanted()).map(|task| task.id).collect();
        assert_eq!(sentenced, [ids[stopping].clone()]);
    }
}
