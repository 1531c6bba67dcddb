//! Commands and their answers, as the API and the nodes rely on them.

use super::{App, DeploymentKind, State};
use crate::app::AppSpec;
use crate::auth::{Actor, Role};
use crate::command::{Command, Envelope, FEATURE_LEVEL, FORMAT, Outcome, PutMode, Reject};
use crate::event::{EventId, EventKind, TaskStatus};
use crate::limits;
use crate::task::{EndState, Exit, TaskChange, TaskState, TaskUpdate};
use crate::testing::{self, Lab, START};
use crate::{AppId, NodeId, TaskId, Timestamp};

fn app_id(id: &str) -> AppId {
    AppId::parse(id).expect("a valid app id")
}

fn spec(instances: u32, cmd: &str) -> AppSpec {
    AppSpec { instances, cmd: Some(cmd.to_owned()), ..testing::spec("/a") }
}

fn app(lab: &Lab) -> &App {
    lab.state.app(&app_id("/a")).expect("/a is there")
}

fn put(lab: &mut Lab, spec: AppSpec, mode: PutMode, force: bool) -> Result<Outcome, Reject> {
    let command = lab.put_command(spec, mode, force);
    lab.run(command)
}

/// Version, created, changed.
fn deployed(outcome: Outcome) -> (Timestamp, bool, bool) {
    match outcome {
        Outcome::Deployed { version, created, changed, .. } => (version, created, changed),
        other => panic!("{other:?}"),
    }
}

/// Short names of the events since `index`.
fn events_since(lab: &Lab, index: u64) -> Vec<String> {
    let name = |kind: &EventKind| match kind {
        EventKind::TaskStatus { status: TaskStatus::Live(state), .. } => format!("{state:?}"),
        EventKind::TaskStatus { status: TaskStatus::Ended(state), .. } => format!("{state:?}"),
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
    };
    let after = EventId { index, n: u32::MAX };
    lab.state.events_after(Some(after)).map(|event| name(&event.kind)).collect()
}

// === versions and deployments ===

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

// === ports and limits ===

#[test]
fn service_ports_are_the_lowest_free_and_stay() {
    let mut lab = Lab::new();
    let with = |id: &str, ports: &[u16]| AppSpec {
        instances: 0,
        ports: ports.iter().map(|port| testing::port(*port, None)).collect(),
        ..testing::spec(id)
    };
    let given = |lab: &Lab, id: &str| -> Vec<u16> {
        let app = lab.state.app(&app_id(id)).expect("there");
        app.spec.ports.iter().map(|port| port.service_port).collect()
    };
    lab.put(with("/a", &[0, 9_000, 0]));
    assert_eq!(given(&lab, "/a"), [10_000, 9_000, 10_001]);
    lab.put(with("/b", &[10_002, 0]));
    assert_eq!(given(&lab, "/b"), [10_002, 10_003]);
    // The same request again changes nothing; a further port is added to those it has.
    lab.settle();
    assert!(!deployed(lab.put(with("/a", &[0, 9_000, 0]))).2);
    lab.put(with("/a", &[0, 9_000, 0, 0]));
    assert_eq!(given(&lab, "/a"), [10_000, 9_000, 10_001, 10_004]);
    // An old port that the request now gives to another place is not given twice.
    lab.settle();
    lab.put(with("/a", &[0, 10_000]));
    assert_eq!(given(&lab, "/a"), [10_001, 10_000]);
    // Explicit ones may repeat over apps: who gets the balancer's port is decided there.
    lab.put(with("/c", &[10_000]));
}

#[test]
fn service_ports_can_run_out() {
    let mut lab = Lab::new();
    let (first, last) = limits::SERVICE_PORTS;
    let all: Vec<u16> = (first..=last).collect();
    for (at, some) in all.chunks(limits::PORTS_PER_APP_MAX).enumerate() {
        let ports = some.iter().map(|port| testing::port(*port, None)).collect();
        lab.put(AppSpec { instances: 0, ports, ..testing::spec(&format!("/full/a{at}")) });
        lab.settle();
    }
    let wants = AppSpec { ports: vec![testing::port(0, None)], ..spec(0, "a") };
    let result = put(&mut lab, wants, PutMode::Create, false);
    assert!(matches!(&result, Err(Reject::Invalid { path, .. }) if path == "/ports"), "{result:?}");
}

#[test]
fn every_limit_is_named() {
    let mut lab = Lab::new();
    let mut check = |spec: AppSpec, named: &str| match put(&mut lab, spec, PutMode::Upsert, true) {
        Err(Reject::Limit { what, .. }) => assert_eq!(what, named),
        other => panic!("{other:?} for {named}"),
    };
    check(spec(limits::INSTANCES_PER_APP_MAX + 1, "a"), "instances of one app");
    check(spec(1, &"a".repeat(limits::APP_BYTES_MAX)), "bytes of one app definition");
    let many = |count| (0..=count).map(|at| (format!("k{at}"), String::new())).collect();
    check(AppSpec { labels: many(limits::LABELS_PER_APP_MAX), ..spec(1, "a") }, "labels of one app");
    let env = many(limits::ENV_PER_APP_MAX);
    check(AppSpec { env, ..spec(1, "a") }, "environment variables of one app");
    let ports = vec![testing::port(1, None); limits::PORTS_PER_APP_MAX + 1];
    check(AppSpec { ports, ..spec(1, "a") }, "ports of one app");
    for at in 0..limits::DEPLOYMENTS_MAX {
        lab.put(testing::spec(&format!("/b/a{at}")));
    }
    let result = put(&mut lab, spec(1, "a"), PutMode::Create, true);
    let full =
        Reject::Limit { limit: limits::DEPLOYMENTS_MAX as u64, what: "running deployments".to_owned() };
    assert_eq!(result, Err(full));
    assert!(lab.state.app(&app_id("/a")).is_none(), "nothing of it stays");
}

// === requests ===

fn by_admin(lab: &mut Lab, command: Command) -> Envelope {
    let request_id = Some(lab.request_id());
    let actor = Actor::User { name: "admin".to_owned(), role: Role::Administrator };
    Envelope { request_id, actor, ..lab.envelope(command) }
}

#[test]
fn a_retried_request_is_answered_and_not_applied_again() {
    let mut lab = Lab::with_app(3);
    lab.settle();
    let task = lab.tasks()[0].id.clone();
    let deployment = lab.deployment();
    let kill = Command::KillTasks { tasks: vec![task], scale: true, deployment, force: false };
    let envelope = by_admin(&mut lab, kill);
    let answer = lab.state.apply(100, &envelope);
    assert_eq!(app(&lab).spec.instances, 2);
    lab.settle();
    let before = lab.state.clone();
    assert_eq!(lab.state.apply(200, &envelope), answer, "index and all");
    assert_eq!(lab.state, State { index: 200, ..before });
    // A rejected one is remembered too.
    let create = lab.put_command(spec(1, "a"), PutMode::Create, false);
    let envelope = by_admin(&mut lab, create);
    let answer = lab.state.apply(201, &envelope);
    assert!(answer.result.is_err());
    let deployment = lab.deployment();
    lab.must(Command::DeleteApp { app: app_id("/a"), deployment, force: true });
    assert_eq!(lab.state.apply(300, &envelope), answer);
}

#[test]
fn remembered_answers_are_bounded_and_only_of_people() {
    let mut lab = Lab::new();
    let reset = || Command::ResetDelay { app: app_id("/a") };
    let mut system = lab.envelope(reset());
    system.request_id = Some(lab.request_id());
    let _ = lab.apply(system);
    assert!(lab.state.requests.is_empty());
    let first = by_admin(&mut lab, reset());
    let first_id = first.request_id.expect("given");
    let _ = lab.apply(first);
    for _ in 0..limits::REQUESTS_REMEMBERED_MAX {
        let envelope = by_admin(&mut lab, reset());
        let _ = lab.apply(envelope);
    }
    assert_eq!(lab.state.requests.len(), limits::REQUESTS_REMEMBERED_MAX);
    assert!(!lab.state.requests.contains_key(&first_id), "the oldest is forgotten first");
    assert_eq!(lab.state.invariants(), Ok(()));
}

// === claim, levels, formats ===

#[test]
fn a_cluster_is_claimed_once_and_before_all_else() {
    let mut lab = Lab::empty();
    assert_eq!(put(&mut lab, spec(1, "a"), PutMode::Create, false), Err(Reject::NotClaimed));
    lab.must(Command::RegisterNode { node: testing::node(1) });
    let Command::Claim { cluster, mut admin, session_key } = testing::claim() else { panic!("a claim") };
    admin.name = "with:colon".to_owned();
    let bad = lab.run(Command::Claim { cluster, admin, session_key });
    assert!(matches!(bad, Err(Reject::Invalid { path, .. }) if path == "/name"));
    assert!(!lab.state.is_claimed());
    lab.must(testing::claim());
    assert_eq!(lab.state.users.get("admin").map(|user| user.created_at), Some(START));
    assert_eq!(lab.run(testing::claim()), Err(Reject::AlreadyClaimed));
}

#[test]
fn the_feature_level_rises_only_as_far_as_every_node_supports() {
    let mut lab = Lab::new();
    let mut raise = |level| lab.run(Command::RaiseFeatureLevel { level });
    assert_eq!(raise(1), Ok(Outcome::Done));
    assert!(matches!(raise(0), Err(Reject::Invalid { .. })));
    assert!(matches!(raise(2), Err(Reject::Invalid { .. })));
    let mut node = testing::node(1);
    node.feature_level = 2;
    lab.must(Command::RegisterNode { node });
    lab.must(Command::RaiseFeatureLevel { level: 2 });
    assert_eq!(lab.state.feature_level, 2);
}

#[test]
fn an_unknown_format_is_seen_before_it_is_applied() {
    let lab = Lab::empty();
    let mut envelope = lab.envelope(testing::claim());
    assert_eq!(envelope.check_format(FEATURE_LEVEL), Ok(()));
    assert!(envelope.check_format(FEATURE_LEVEL + 1).is_err(), "this program is too old for the cluster");
    for format in [0, FORMAT + 1] {
        envelope.format = format;
        assert_eq!(envelope.check_format(FEATURE_LEVEL).map_err(|error| error.format), Err(format));
    }
}

// === nodes and reports ===

#[test]
fn a_reboot_ends_the_tasks_of_that_node_only() {
    let mut lab = Lab::new();
    lab.must(Command::RegisterNode { node: testing::node(2) });
    lab.put(spec(4, "a"));
    lab.settle();
    let deployment = lab.deployment();
    let doomed = lab.tasks().into_iter().find(|task| task.node == NodeId(1)).expect("two there").id;
    lab.must(Command::KillTasks { tasks: vec![doomed.clone()], scale: false, deployment, force: false });
    let index = lab.state.index;
    lab.must(Command::RegisterNode { node: testing::node(1) });
    assert_eq!(events_since(&lab, index), [""; 0], "nothing new");
    lab.wait(1_000);
    let mut node = testing::node(1);
    node.boot_id = "boot-2".to_owned();
    lab.must(Command::RegisterNode { node });
    assert!(lab.tasks().iter().all(|task| task.node == NodeId(2)));
    let ends: Vec<_> = app(&lab).history.iter().map(|ended| (ended.task.id == doomed, ended.state)).collect();
    assert_eq!(ends.len(), 2);
    assert!(ends.contains(&(true, EndState::Killed)) && ends.contains(&(false, EndState::Lost)));
    let lost = app(&lab).last_failure.as_ref().expect("one");
    assert_eq!(lost.message, "lost: nobody saw its end: the node restarted");
    assert_eq!(app(&lab).backoff.delay_ms, 0, "not the app's fault");
    assert_eq!(events_since(&lab, index)[0], "NodeRegistered");
    assert_eq!(lab.state.nodes.get(&NodeId(1)).map(|node| node.joined_at), Some(START));
}

#[test]
fn a_node_cannot_offer_less_than_its_tasks_hold() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let mut node = testing::node(1);
    node.resources.mem_mib = 20;
    lab.must(Command::RegisterNode { node: node.clone() });
    assert_eq!(lab.state.nodes.get(&NodeId(1)).map(|node| node.resources.mem_mib), Some(32));
    node.boot_id = "boot-2".to_owned();
    lab.must(Command::RegisterNode { node });
    assert_eq!(lab.state.nodes.get(&NodeId(1)).map(|node| node.resources.mem_mib), Some(20));
}

#[test]
fn nodes_that_make_no_sense_are_refused() {
    let mut lab = Lab::new();
    let mut refuse = |change: fn(&mut crate::node::Node)| {
        let mut node = testing::node(2);
        change(&mut node);
        let result = lab.run(Command::RegisterNode { node });
        assert!(matches!(result, Err(Reject::Invalid { .. } | Reject::Limit { .. })), "{result:?}");
    };
    refuse(|node| node.host_ports = (0, 100));
    refuse(|node| node.host_ports = (32_000, 31_000));
    refuse(|node| node.name = "n".repeat(256));
    refuse(|node| node.attributes = (0..300).map(|at| (at.to_string(), String::new())).collect());
    refuse(|node| node.addresses = vec![node.addresses[0]; 65]);
}

/// Applies `changes` to one staging task and compares its state and the events.
#[track_caller]
fn check_report(changes: &[TaskChange], state: Option<TaskState>, events: &[&str]) {
    let mut lab = Lab::with_app(1);
    lab.lead();
    let index = lab.state.index;
    let task = lab.tasks()[0].id.clone();
    for change in changes {
        lab.report(&task, change.clone());
    }
    assert_eq!(lab.tasks().first().map(|task| task.state), state, "{changes:?}");
    let seen: Vec<String> =
        events_since(&lab, index).into_iter().filter(|name| name != "DeploymentSucceeded").collect();
    assert_eq!(seen, events, "{changes:?}");
}

#[test]
fn reports_may_repeat_and_overtake_each_other() {
    let running = || TaskChange::Running { addresses: Vec::new() };
    let ended = || TaskChange::Ended { exit: Exit::Code(0) };
    check_report(&[TaskChange::Starting, running()], Some(TaskState::Running), &["Starting", "Running"]);
    check_report(&[running(), TaskChange::Starting], Some(TaskState::Running), &["Running"]);
    check_report(&[running(), running()], Some(TaskState::Running), &["Running"]);
    check_report(&[TaskChange::Killing, running()], Some(TaskState::Killing), &["Killing"]);
    check_report(&[ended(), running(), ended()], None, &["Finished"]);
}

#[test]
fn reports_of_strangers_are_skipped() {
    let mut lab = Lab::with_app(1);
    lab.must(Command::RegisterNode { node: testing::node(2) });
    lab.lead();
    let task = lab.tasks()[0].clone();
    let other = NodeId(3 - task.node.0);
    let update = |task: &TaskId| TaskUpdate {
        task: task.clone(),
        change: TaskChange::Ended { exit: Exit::Code(1) },
        message: String::new(),
    };
    let stranger = testing::task("/x", 1).id;
    lab.must(Command::Report { node: other, updates: vec![update(&task.id), update(&stranger)] });
    assert_eq!(lab.tasks(), [task.clone()]);
    let unknown = lab.run(Command::Report { node: NodeId(9), updates: Vec::new() });
    assert_eq!(unknown, Err(Reject::NodeUnknown { node: NodeId(9) }));
    let updates = vec![update(&task.id); limits::REPORT_UPDATES_MAX + 1];
    assert!(matches!(lab.run(Command::Report { node: task.node, updates }), Err(Reject::Limit { .. })));
}

#[test]
fn an_end_is_kept_with_its_reason_in_a_bounded_history() {
    let mut lab = Lab::with_app(1);
    for round in 0..limits::HISTORY_PER_APP_MAX + 5 {
        lab.lead();
        let task = lab.tasks()[0].id.clone();
        let update = TaskUpdate {
            task,
            change: TaskChange::Ended {
                exit: if round % 2 == 0 { Exit::OutOfMemory } else { Exit::NeverRan },
            },
            message: "ä".repeat(limits::MESSAGE_BYTES_MAX),
        };
        lab.must(Command::Report { node: NodeId(1), updates: vec![update] });
        lab.wait(1_000_000);
    }
    let app = app(&lab);
    assert_eq!(app.history.len(), limits::HISTORY_PER_APP_MAX);
    let newest = app.history.front().expect("many");
    assert_eq!(newest.state, EndState::Error);
    assert!(newest.message.starts_with("never started: ää"), "{}", newest.message);
    assert!(newest.message.len() <= limits::MESSAGE_BYTES_MAX);
    let before = app.history.get(1).expect("many");
    assert_eq!(before.state, EndState::Failed);
    assert!(before.message.starts_with("out of memory: used more than its 16 MiB"));
    assert_eq!(app.last_failure.as_ref(), Some(newest));
    assert_eq!(lab.state.invariants(), Ok(()));
}

// === killing ===

#[test]
fn kill_and_scale_takes_the_killed_from_the_instances() {
    let mut lab = Lab::with_app(3);
    lab.put(testing::spec("/b"));
    lab.settle();
    let ids: Vec<TaskId> = lab.tasks().into_iter().map(|task| task.id).collect();
    let kill = |lab: &mut Lab, tasks: Vec<TaskId>| {
        let deployment = lab.deployment();
        (deployment, lab.run(Command::KillTasks { tasks, scale: true, deployment, force: false }))
    };
    let (_, mixed) = kill(&mut lab, ids.clone());
    assert!(matches!(mixed, Err(Reject::Invalid { .. })));
    assert!(lab.tasks().iter().all(|task| task.is_wanted()), "nothing of it was applied");
    let twice = vec![ids[0].clone(), ids[0].clone(), testing::task("/x", 1).id];
    let (deployment, outcome) = kill(&mut lab, twice);
    let killed = Outcome::Killed { tasks: vec![ids[0].clone()], deployment: Some(deployment) };
    assert_eq!(outcome, Ok(killed));
    assert_eq!(app(&lab).spec.instances, 2);
    lab.settle();
    assert_eq!(lab.tasks().iter().map(|task| &task.id).collect::<Vec<_>>(), [&ids[1], &ids[2], &ids[3]]);
    let (_, nobody) = kill(&mut lab, vec![ids[0].clone()]);
    assert_eq!(nobody, Ok(Outcome::Killed { tasks: Vec::new(), deployment: None }));
}

// === events ===

#[test]
fn events_are_numbered_by_log_index_and_bounded() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let ids: Vec<EventId> = lab.state.events_after(None).map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    let after: Vec<EventId> = lab.state.events_after(Some(ids[2])).map(|event| event.id).collect();
    assert_eq!(after, ids[3..]);
    // An id between two kept ones resumes at the next.
    let between = EventId { index: ids[2].index, n: ids[2].n + 1_000 };
    assert!(lab.state.events_after(Some(between)).all(|event| event.id.index > between.index));
    assert_eq!(EventId::parse(&ids[2].to_string()), Some(ids[2]));
    for _ in 0..limits::EVENTS_KEPT_MAX {
        let deployment = lab.deployment();
        lab.must(Command::RestartApp { app: app_id("/a"), deployment, force: true });
        lab.settle();
    }
    assert_eq!(lab.state.events.len(), limits::EVENTS_KEPT_MAX);
}
