//! What health checks do to tasks, apps and deployments.

use super::{app, app_id, events_since};
use crate::app::{AppSpec, HealthCheck, Millionths};
use crate::command::Command;
use crate::health::Verdict;
use crate::task::{EndState, Exit, KillReason, TaskChange};
use crate::testing::{self, Lab};
use crate::{Timestamp, deploy};

fn checked(instances: u32, cmd: &str) -> AppSpec {
    let health_checks = vec![testing::health_check()];
    AppSpec { instances, cmd: Some(cmd.to_owned()), health_checks, ..testing::spec("/a") }
}

/// One running task of an app with a check that has not said anything yet.
fn running() -> (Lab, crate::TaskId) {
    let mut lab = Lab::new();
    lab.put(checked(1, "one"));
    lab.lead();
    let task = lab.tasks()[0].id.clone();
    lab.running(&task);
    (lab, task)
}

#[test]
fn a_deployment_waits_for_health() {
    let (mut lab, task) = running();
    assert_eq!(lab.plan().actions, []);
    assert_eq!(lab.state.deployments.len(), 1, "running is not enough");
    let index = lab.state.index;
    lab.judged(&task, 0);
    assert!(lab.state.deployments.is_empty());
    assert_eq!(app(&lab).verdict(&lab.tasks()[0]), Verdict::Healthy);
    assert_eq!(events_since(&lab, index), ["HealthChanged", "DeploymentSucceeded"]);
}

#[test]
fn a_rolling_replacement_keeps_the_old_until_the_new_are_healthy() {
    let mut lab = Lab::new();
    let upgrade = |mut spec: AppSpec| {
        spec.upgrade.maximum_over = Millionths(500_000);
        spec
    };
    lab.put(upgrade(checked(2, "old")));
    lab.settle();
    lab.put(upgrade(checked(2, "new")));
    lab.lead();
    assert_eq!(lab.tasks().len(), 3);
    let fresh = lab.tasks().into_iter().find(|task| app(&lab).is_current(task.version)).expect("a new one");
    lab.running(&fresh.id);
    assert_eq!(lab.plan().actions, [], "the new one runs, but nobody knows whether it serves");
    lab.judged(&fresh.id, 0);
    assert_eq!(lab.lead().actions.len(), 1, "now one old task may go");
    lab.settle();
    assert!(deploy::is_reached(app(&lab)));
    assert!(lab.state.deployments.is_empty());
}

#[test]
fn a_check_that_keeps_failing_ends_the_task_as_a_failure() {
    let (mut lab, task) = running();
    lab.judged(&task, 0);
    let index = lab.state.index;
    lab.judged(&task, 1);
    assert_eq!(app(&lab).verdict(&lab.tasks()[0]), Verdict::Unhealthy);
    assert!(lab.tasks()[0].is_wanted(), "one failure of three");
    lab.judged(&task, 3);
    assert_eq!(lab.tasks()[0].kill, Some(KillReason::Unhealthy));
    assert_eq!(
        events_since(&lab, index),
        ["HealthCheckFailed", "HealthChanged", "UnhealthyTask"],
        "each turn is told once"
    );
    assert_eq!(lab.plan().actions, [], "it holds its place until it has ended");
    lab.ended(&task, Exit::Signal(15));
    let over = app(&lab).last_failure.clone().expect("a failure");
    assert_eq!(over.state, EndState::Failed);
    assert_eq!(
        over.message,
        "stopped, its health check kept failing; killed by SIGTERM (15): 3 failures in a row, the last: refused"
    );
    assert_eq!(app(&lab).backoff.delay_ms, 1_000);
    lab.settle();
    assert_ne!(lab.tasks()[0].id, task);
}

#[test]
fn nobody_is_judged_out_of_turn() {
    // Not running yet, sentenced already, ended, of an app without checks: nothing happens.
    let mut lab = Lab::new();
    lab.put(checked(1, "one"));
    lab.lead();
    let task = lab.tasks()[0].id.clone();
    lab.judged(&task, 3);
    assert!(lab.tasks()[0].is_wanted() && lab.tasks()[0].health.is_empty());
    lab.running(&task);
    let deployment = lab.deployment();
    lab.must(Command::KillTasks { tasks: vec![task.clone()], scale: false, deployment, force: false });
    lab.judged(&task, 3);
    assert_eq!(lab.tasks()[0].kill, Some(KillReason::Requested));
    lab.ended(&task, Exit::Signal(15));
    lab.judged(&task, 3);

    lab.put(testing::spec("/plain"));
    lab.settle();
    let plain = lab.state.app(&app_id("/plain")).expect("there").tasks.keys().next().expect("one").clone();
    let health = crate::health::CheckHealth { alive: Some(false), ..Default::default() };
    lab.report(&plain, TaskChange::Health { checks: vec![health; 3] });
    assert_eq!(lab.state.invariants(), Ok(()));
    assert!(lab.state.task(&plain).is_some_and(|(_, task)| task.health.is_empty()));
}

#[test]
fn health_is_judged_by_the_definition_the_task_runs() {
    let (mut lab, task) = running();
    lab.judged(&task, 0);
    let two = HealthCheck { grace_ms: 1, ..testing::health_check() };
    lab.put(AppSpec { health_checks: vec![testing::health_check(), two], ..checked(1, "two") });
    let old = lab.state.task(&task).expect("it lives on").1.clone();
    assert_eq!(app(&lab).verdict(&old), Verdict::Healthy);
    assert!(app(&lab).serves(&old));
    assert_eq!(deploy::counts(app(&lab)).old_running, 1);
    assert!(lab.now > Timestamp::default());
}
