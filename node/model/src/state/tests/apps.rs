//! Creating, changing, locking and deleting apps.

use super::{app, app_id, deployed, events_since, put, spec};
use crate::app::AppSpec;
use crate::command::{Command, Outcome, PutMode, Reject};
use crate::state::DeploymentKind;
use crate::testing::{self, Lab, START};
use crate::{Timestamp, limits};

#[test]
fn what_differs_decides_between_nothing_scaling_and_restarting() {
    let mut lab = Lab::new();
    let (v1, created, changed) = deployed(lab.put(spec(1, "a")));
    assert_eq!((v1, created, changed), (START, true, true));
    lab.settle();
    lab.wait(1_000);
    let index = lab.state.index;

    assert_eq!(deployed(lab.put(spec(1, "a"))), (v1, false, false));
    assert_eq!(app(&lab).versions.len(), 1);
    assert!(lab.state.deployments.is_empty());
    // What the parser dropped is no difference either.
    let noisy = AppSpec { unknown_keys: vec!["color".to_owned()], ..spec(1, "a") };
    assert_eq!(deployed(lab.put(noisy)), (v1, false, false));
    assert_eq!(events_since(&lab, index), [""; 0]);

    let (v2, _, changed) = deployed(lab.put(spec(2, "a")));
    assert!(changed);
    assert_eq!(lab.state.deployments.values().next().map(|d| d.kind), Some(DeploymentKind::Scale));
    let stamps = |lab: &Lab| (app(lab).spec.last_scaling_at, app(lab).spec.last_config_change_at);
    assert_eq!(stamps(&lab), (v2, v1));
    lab.settle();
    assert_eq!(lab.tasks().iter().filter(|task| task.version == v1).count(), 1, "the first task stays");

    lab.wait(1_000);
    let (v3, ..) = deployed(lab.put(spec(2, "b")));
    assert_eq!(lab.state.deployments.values().next().map(|d| d.kind), Some(DeploymentKind::Restart));
    assert_eq!(stamps(&lab), (v3, v3));
    lab.settle();
    assert!(lab.tasks().iter().all(|task| task.version == v3));
    assert_eq!(app(&lab).versions.iter().map(|spec| spec.version).collect::<Vec<_>>(), [v1, v2, v3]);
}

#[test]
fn versions_increase_although_clocks_do_not() {
    let mut lab = Lab::new();
    let mut versions = vec![deployed(lab.put(spec(0, "a"))).0];
    lab.now = Timestamp(5);
    for instances in 1..4 {
        versions
            .push(deployed(put(&mut lab, spec(instances, "a"), PutMode::Upsert, true).expect("forced")).0);
    }
    assert_eq!(versions, [0, 1, 2, 3].map(|ms| START.plus_ms(ms)));
    assert_eq!(lab.state.now, START, "time does not go back");
    lab.now = Timestamp(u64::MAX);
    let (version, ..) = deployed(put(&mut lab, spec(9, "a"), PutMode::Upsert, true).expect("forced"));
    assert_eq!(version.to_string(), "9999-12-31T23:59:59.999Z");
}

#[test]
fn modes_ask_for_presence_or_absence() {
    let mut lab = Lab::new();
    let unknown = Err(Reject::AppUnknown { app: app_id("/a") });
    assert_eq!(put(&mut lab, spec(0, "a"), PutMode::Update, true), unknown);
    assert!(put(&mut lab, spec(0, "a"), PutMode::Create, false).is_ok());
    let exists = Err(Reject::AppExists { app: app_id("/a") });
    assert_eq!(put(&mut lab, spec(0, "a"), PutMode::Create, true), exists);
    assert!(put(&mut lab, spec(1, "a"), PutMode::Update, true).is_ok());
    let deployment = lab.deployment();
    let id = app_id("/b");
    for command in [
        Command::RestartApp { app: id.clone(), deployment, force: true },
        Command::DeleteApp { app: id.clone(), deployment, force: true },
        Command::ResetDelay { app: id.clone() },
    ] {
        assert_eq!(lab.run(command), Err(Reject::AppUnknown { app: id.clone() }));
    }
}

#[test]
fn a_running_deployment_locks_its_app_until_it_is_forced() {
    let mut lab = Lab::with_app(1);
    let first = *lab.state.deployments.keys().next().expect("one runs");
    let locked = Err(Reject::AppLocked { deployments: vec![first] });
    assert_eq!(put(&mut lab, spec(2, "x"), PutMode::Upsert, false), locked);
    // Asking for what is there is no conflict.
    assert!(!deployed(lab.put(testing::spec("/a"))).2);
    // Neither is another app.
    lab.put(testing::spec("/b"));
    let index = lab.state.index;
    assert!(put(&mut lab, spec(2, "x"), PutMode::Upsert, true).is_ok());
    assert_eq!(events_since(&lab, index), ["DeploymentCancelled", "ApiPost", "DeploymentStarted"]);
    assert_eq!(lab.state.deployments_of(&app_id("/a")).count(), 1);
    let again = lab.state.deployments_of(&app_id("/a")).next().expect("one runs").id;
    let command = Command::RestartApp { app: app_id("/b"), deployment: again, force: true };
    assert!(matches!(lab.run(command), Err(Reject::Invalid { path, .. }) if path == "/deployment"));
}

#[test]
fn a_deleted_app_goes_with_its_last_task() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let deployment = lab.deployment();
    let index = lab.state.index;
    lab.must(Command::DeleteApp { app: app_id("/a"), deployment, force: false });
    assert!(lab.state.app(&app_id("/a")).is_none(), "it is hidden at once");
    assert!(lab.tasks().iter().all(|task| !task.is_wanted()));
    assert_eq!(lab.plan().actions, []);
    let locked = Err(Reject::AppLocked { deployments: vec![deployment] });
    assert_eq!(put(&mut lab, spec(1, "a"), PutMode::Create, false), locked);
    lab.nodes_obey();
    assert!(lab.state.apps.is_empty() && lab.state.deployments.is_empty());
    let events = events_since(&lab, index);
    assert_eq!(
        events,
        ["ApiPost", "DeploymentStarted", "Killed", "Killed", "DeploymentSucceeded", "AppDeleted"]
    );
    // Without tasks it goes at once.
    lab.put(spec(0, "a"));
    lab.settle();
    let deployment = lab.deployment();
    lab.must(Command::DeleteApp { app: app_id("/a"), deployment, force: false });
    assert!(lab.state.apps.is_empty() && lab.state.deployments.is_empty());
}

#[test]
fn force_takes_over_the_name_of_an_app_that_is_going() {
    let mut lab = Lab::with_app(1);
    lab.settle();
    let (old, before) = (lab.tasks()[0].id.clone(), app(&lab).spec.version);
    let deployment = lab.deployment();
    lab.must(Command::DeleteApp { app: app_id("/a"), deployment, force: true });
    let outcome = put(&mut lab, testing::spec("/a"), PutMode::Create, true).expect("forced");
    let (version, created, changed) = deployed(outcome);
    assert!(created && changed && version > before);
    lab.settle();
    assert_eq!(lab.tasks().len(), 1);
    assert_ne!(lab.tasks()[0].id, old);
    assert!(lab.state.deployments.is_empty());
}

#[test]
fn definitions_are_kept_up_to_the_limit_and_as_long_as_tasks_run_them() {
    let mut lab = Lab::new();
    let oldest = deployed(lab.put(spec(1, "first"))).0;
    lab.settle();
    // The task of the first version stays while newer ones cannot be placed.
    let huge = |instances| {
        let mut huge = spec(instances, "huge");
        huge.resources.mem_mib = 1 << 40;
        huge
    };
    for instances in 1..=60 {
        put(&mut lab, huge(instances), PutMode::Upsert, true).expect("forced");
        assert_eq!(lab.state.invariants(), Ok(()));
    }
    assert_eq!(app(&lab).versions.len(), limits::VERSIONS_PER_APP_MAX);
    let task = lab.tasks()[0].clone();
    assert_eq!(task.version, oldest);
    let runs = app(&lab).spec_of(task.version).expect("kept");
    assert_eq!(runs.cmd.as_deref(), Some("first"));
    assert_eq!(app(&lab).spec_of(Timestamp(1)), None);
}

#[test]
fn a_version_that_moved_is_not_overwritten() {
    let mut lab = Lab::new();
    let first = deployed(lab.put(spec(0, "a"))).0;
    let second = deployed(put(&mut lab, spec(0, "b"), PutMode::Upsert, true).expect("forced")).0;
    let mut with_expected = |command, expected| {
        let mut envelope = lab.envelope(command);
        envelope.expected_version = Some(expected);
        lab.apply(envelope)
    };
    let reset = || Command::ResetDelay { app: app_id("/a") };
    let moved = Err(Reject::VersionMoved { expected: first, current: second });
    assert_eq!(with_expected(reset(), first), moved);
    assert_eq!(with_expected(reset(), second), Ok(Outcome::Done));
    let stranger = Command::ResetDelay { app: app_id("/b") };
    assert_eq!(with_expected(stranger, second), Err(Reject::AppUnknown { app: app_id("/b") }));
    let nameless = with_expected(Command::RaiseFeatureLevel { level: 1 }, second);
    assert!(matches!(nameless, Err(Reject::Invalid { .. })));
}
