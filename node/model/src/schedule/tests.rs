//! The planner with a state beneath it: placing, rolling, killing and waiting as people see them.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{AppSpec, Constraint, ConstraintOperator as Operator, KillSelection, Millionths, Network};
use crate::command::{Action, Command, Outcome, Reject};
use crate::limits;
use crate::task::{EndState, Exit, TaskState};
use crate::testing::{self, Lab};
use crate::{AppId, NodeId, TaskId};

fn app_id(id: &str) -> AppId {
    AppId::parse(id).expect("a valid app id")
}

/// A claimed cluster of `count` nodes; `attributes` of node i from `of(i)`.
fn lab_of(count: u64, of: impl Fn(u64) -> Vec<(&'static str, String)>) -> Lab {
    let mut lab = Lab::empty();
    lab.must(testing::claim());
    for id in 1..=count {
        let mut node = testing::node(id);
        node.attributes = of(id).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        lab.must(Command::RegisterNode { node });
    }
    lab
}

fn constraint(field: &str, operator: Operator, value: Option<&str>) -> Constraint {
    Constraint { field: field.to_owned(), operator, value: value.map(str::to_owned) }
}

/// Tasks per node.
fn spread(lab: &Lab) -> Vec<usize> {
    let mut counts: BTreeMap<NodeId, usize> = lab.state.nodes.keys().map(|id| (*id, 0)).collect();
    for task in lab.tasks() {
        *counts.entry(task.node).or_default() += 1;
    }
    counts.into_values().collect()
}

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
fn fifty_tasks_go_into_one_plan() {
    let mut lab = Lab::new();
    let resources = crate::node::Resources { cpu_milli: 10, mem_mib: 16, disk_mib: 0 };
    let ports = vec![testing::port(0, None)];
    lab.put(AppSpec { instances: 50, resources, ports, ..testing::spec("/a") });
    assert_eq!(lab.lead().actions.len(), 50);
    let ports: BTreeSet<u16> = lab.tasks().iter().map(|task| task.ports[0]).collect();
    assert_eq!(ports.len(), 50);
    assert!(ports.iter().all(|port| (31_000..=32_000).contains(port)));
}

#[test]
fn a_plan_is_bounded_and_says_that_there_is_more() {
    let mut lab = Lab::new();
    let mut node = testing::node(1);
    node.resources.cpu_milli = 1_000_000;
    node.resources.mem_mib = 1_000_000;
    lab.must(Command::RegisterNode { node });
    let instances = u32::try_from(limits::PLAN_ACTIONS_MAX + 10).expect("small");
    lab.put(AppSpec { instances, ..testing::spec("/a") });
    let plan = lab.lead();
    assert_eq!(plan.actions.len(), limits::PLAN_ACTIONS_MAX);
    assert_eq!(plan.wake_at, Some(lab.now));
    let plan = lab.lead();
    assert_eq!((plan.actions.len(), plan.wake_at), (10, None));
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
fn tasks_spread_over_nodes() {
    let mut lab = lab_of(3, |_| Vec::new());
    lab.put(AppSpec { instances: 7, ..testing::spec("/a") });
    lab.settle();
    let mut counts = spread(&lab);
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3]);
}

/// Puts `/a` of `instances` on `nodes` nodes (`rack` is r1, r1, r2, r2, …; node 1 also has `cores`) and compares the
/// tasks per node.
#[track_caller]
fn check_constraint(nodes: u64, instances: u32, constraints: Vec<Constraint>, expect: &[usize]) {
    let attributes = |id: u64| {
        let rack = ("rack", format!("r{}", id.div_ceil(2)));
        if id == 1 { vec![rack, ("cores", "8".to_owned())] } else { vec![rack] }
    };
    let mut lab = lab_of(nodes, attributes);
    lab.put(AppSpec { instances, constraints: constraints.clone(), ..testing::spec("/a") });
    lab.settle();
    assert_eq!(spread(&lab), expect, "{constraints:?}");
    let placed: usize = expect.iter().sum();
    let waiting = &lab.state.app(&app_id("/a")).expect("there").waiting;
    assert_eq!(waiting.is_empty(), placed == instances as usize, "{waiting}");
}

#[test]
fn constraints_decide_where() {
    use Operator::{Cluster, GroupBy, Is, Like, MaxPer, Unique, Unlike};
    let check = |nodes, instances, field, operator, value, expect: &[usize]| {
        check_constraint(nodes, instances, vec![constraint(field, operator, value)], expect);
    };
    check(3, 5, "hostname", Unique, None, &[1, 1, 1]);
    check(3, 2, "@hostname", Cluster, Some("node2"), &[0, 2, 0]);
    check(4, 4, "rack", Cluster, None, &[2, 2, 0, 0]);
    check(4, 3, "rack", Unique, None, &[1, 0, 1, 0]);
    check(4, 6, "rack", MaxPer, Some("2"), &[1, 1, 1, 1]);
    check(4, 6, "rack", GroupBy, None, &[2, 1, 2, 1]);
    check(3, 4, "rack", GroupBy, Some("2"), &[1, 1, 2]);
    check(6, 4, "rack", GroupBy, Some("2"), &[1, 1, 1, 1, 0, 0]);
    // Three groups are asked for, two exist: each is filled up to its share.
    check(4, 6, "rack", GroupBy, Some("3"), &[1, 1, 1, 1]);
    check(4, 4, "rack", Like, Some("r[2-9]"), &[0, 0, 2, 2]);
    check(4, 4, "rack", Like, Some("r"), &[0, 0, 0, 0]);
    check(4, 4, "rack", Like, Some("("), &[0, 0, 0, 0]);
    check(4, 4, "rack", Unlike, Some("r1"), &[0, 0, 2, 2]);
    check(2, 2, "cores", Is, Some("8.0"), &[2, 0]);
    check(2, 2, "rack", Is, Some("R1"), &[0, 0]);
    // Without the attribute only UNLIKE passes.
    check(2, 2, "cores", Unlike, Some("9"), &[1, 1]);
    check(2, 2, "cores", Like, Some(".*"), &[2, 0]);
    check(2, 2, "shelf", Unique, None, &[0, 0]);
    check_constraint(
        4,
        4,
        vec![constraint("rack", Is, Some("r1")), constraint("hostname", MaxPer, Some("1"))],
        &[1, 1, 0, 0],
    );
}

#[test]
fn group_by_decides_who_goes_first_and_survives_a_replacement() {
    let mut lab = lab_of(3, |id| vec![("rack", format!("r{}", id.div_ceil(2)))]);
    let constraints = vec![constraint("rack", Operator::GroupBy, Some("2"))];
    let spec = AppSpec { constraints, ..testing::spec("/a") };
    lab.put(AppSpec { instances: 6, ..spec.clone() });
    lab.settle();
    assert_eq!(spread(&lab).iter().sum::<usize>(), 6);
    lab.put(AppSpec { instances: 2, ..spec.clone() });
    lab.settle();
    let racks: BTreeSet<bool> = lab.tasks().iter().map(|task| task.node == NodeId(3)).collect();
    assert_eq!(racks.len(), 2, "one on each rack");
    lab.put(AppSpec { instances: 2, cmd: Some("other".to_owned()), ..spec });
    lab.settle();
    assert!(lab.state.deployments.is_empty());
}

/// What the one app waits for on two full-size nodes.
#[track_caller]
fn check_waiting(change: impl FnOnce(&mut AppSpec), expect: &str) {
    let mut lab = lab_of(2, |_| Vec::new());
    let mut spec = testing::spec("/a");
    change(&mut spec);
    lab.put(spec.clone());
    lab.settle();
    assert_eq!(lab.state.app(&app_id("/a")).expect("there").waiting, expect);
    assert_eq!(lab.plan().actions, [], "the same reason is not proposed again");
    // It is taken back once nothing is wanted any more.
    let command = lab.put_command(AppSpec { instances: 0, ..spec }, crate::command::PutMode::Upsert, true);
    lab.must(command);
    lab.settle();
    assert_eq!(lab.state.app(&app_id("/a")).expect("there").waiting, "");
}

#[test]
fn waiting_apps_say_what_for() {
    check_waiting(
        |spec| spec.resources.mem_mib = 8_192,
        "needs 8192 MiB of memory; the most any of 2 nodes has free is 4096 MiB",
    );
    check_waiting(
        |spec| spec.resources.cpu_milli = 4_500,
        "needs 4.5 cpus; the most any of 2 nodes has free is 4",
    );
    check_waiting(
        |spec| spec.resources.disk_mib = 20_000,
        "needs 20000 MiB of disk; the most any of 2 nodes has free is 10240 MiB",
    );
    check_waiting(
        |spec| spec.constraints = vec![constraint("rack", Operator::Like, Some("r1"))],
        "constraint rack LIKE r1 excludes 2 nodes",
    );
    check_waiting(|spec| spec.gpus = 1, "needs 1 GPU; 2 nodes offer none");
    check_waiting(
        |spec| spec.accepted_resource_roles = Some(vec!["db".to_owned()]),
        "accepts only resources of role db; 2 nodes offer only role *",
    );
    check_waiting(
        |spec| {
            spec.network = Network::Bridge;
            spec.ports = vec![testing::port(9_000, Some(80)), testing::port(9_001, Some(80))];
        },
        "asks for host port 80 more than once",
    );
}

#[test]
fn a_fixed_port_that_its_own_old_task_holds_is_told_with_advice() {
    let mut lab = Lab::new();
    let mut spec = testing::spec("/a/b");
    spec.network = Network::Bridge;
    spec.ports = vec![testing::port(9_000, Some(31_240))];
    lab.put(spec.clone());
    lab.settle();
    let old = lab.tasks()[0].id.clone();
    spec.cmd = Some("other".to_owned());
    lab.put(spec.clone());
    lab.settle();
    let waiting = &lab.state.app(&app_id("/a/b")).expect("there").waiting;
    assert!(
        waiting.starts_with(&format!("host port 31240 is taken on 1 node by task {old}, an ins")),
        "{waiting}"
    );
    // The advice works.
    spec.upgrade.minimum_health = Millionths(0);
    let command = lab.put_command(spec, crate::command::PutMode::Upsert, true);
    lab.must(command);
    lab.settle();
    assert!(lab.state.deployments.is_empty());
    assert_eq!(lab.tasks().len(), 1);
    assert_eq!(lab.tasks()[0].ports, [31_240]);
}

#[test]
fn a_cluster_without_nodes_says_so() {
    let mut lab = Lab::empty();
    lab.must(testing::claim());
    lab.put(testing::spec("/a"));
    lab.settle();
    assert_eq!(lab.state.app(&app_id("/a")).expect("there").waiting, "the cluster has no node yet");
}

#[test]
fn a_stale_plan_is_refused_as_a_whole() {
    let mut lab = Lab::with_app(2);
    lab.put(AppSpec { instances: 1, ..testing::spec("/b") });
    let plan = lab.plan();
    let scaled = lab.put_command(
        AppSpec { instances: 1, ..testing::spec("/a") },
        crate::command::PutMode::Upsert,
        true,
    );
    lab.must(scaled);
    let based_on = lab.state.index - 1;
    let result = lab.run(Command::ApplyPlan { based_on, actions: plan.actions });
    assert_eq!(result, Err(Reject::StalePlan { based_on, what: "the version of /a".to_owned() }));
    assert!(lab.tasks().is_empty(), "not even /b was launched");
}

/// Runs one action on a settled `/a` of two instances and compares the beginning of what is named as changed.
#[track_caller]
fn check_stale(action: impl FnOnce(&mut Lab) -> Action, what: &str) {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let action = action(&mut lab);
    let text = format!("{action:?}");
    match lab.run(Command::ApplyPlan { based_on: 0, actions: vec![action] }) {
        Err(Reject::StalePlan { what: got, .. }) => assert!(got.starts_with(what), "{got} for {text}"),
        other => panic!("{other:?} for {text}"),
    }
}

#[test]
fn each_action_is_checked_against_what_is() {
    use crate::task::KillReason::{Replaced, Requested, ScaledDown};
    fn launch(lab: &mut Lab, change: impl FnOnce(&mut Lab, &mut AppSpec)) -> Action {
        let mut spec = AppSpec { instances: 3, ..testing::spec("/a") };
        change(lab, &mut spec);
        lab.put(spec);
        lab.plan()
            .actions
            .into_iter()
            .find(|action| matches!(action, Action::Launch { .. }))
            .expect("one more")
    }
    fn alter(action: Action, change: impl FnOnce(&mut TaskId, &mut NodeId, &mut Vec<u16>)) -> Action {
        let Action::Launch { app, version, mut task, mut node, mut ports } = action else {
            panic!("{action:?}")
        };
        change(&mut task, &mut node, &mut ports);
        Action::Launch { app, version, task, node, ports }
    }
    let kill = |lab: &Lab, reason| Action::Kill { task: lab.tasks()[0].id.clone(), reason };
    let first = {
        let mut lab = Lab::with_app(2);
        lab.settle();
        format!("task {}", lab.tasks()[0].id)
    };
    for reason in [Replaced, Requested, ScaledDown] {
        check_stale(|lab| kill(lab, reason), &first);
    }
    check_stale(
        |_| Action::Kill { task: testing::task("/x", 1).id, reason: Replaced },
        &format!("task {}", testing::task("/x", 1).id),
    );
    check_stale(|_| Action::Waiting { app: app_id("/x"), reason: String::new() }, "app /x");
    check_stale(
        |lab| {
            let action = launch(lab, |_, _| {});
            lab.must(Command::ApplyPlan { based_on: 0, actions: vec![action.clone()] });
            action
        },
        "the number of instances of /a",
    );
    check_stale(
        |lab| {
            let action = launch(lab, |_, _| {});
            let task = lab.tasks()[0].id.clone();
            lab.ended(&task, Exit::Code(1));
            action
        },
        "the launch delay of /a",
    );
    check_stale(
        |lab| alter(launch(lab, |_, _| {}), |_, node, _| *node = NodeId(9)),
        &format!("node {}, which is unknown", NodeId(9)),
    );
    check_stale(
        |lab| alter(launch(lab, |_, _| {}), |_, _, ports| ports.push(31_000)),
        "the free host ports of node node1",
    );
    check_stale(
        |lab| {
            let used = lab.tasks()[0].id.clone();
            alter(launch(lab, |_, _| {}), |task, _, _| *task = used)
        },
        &format!("{first}, which exists"),
    );
    check_stale(
        |lab| {
            let action = launch(lab, |_, _| {});
            let mut node = testing::node(1);
            node.resources.mem_mib = 40;
            lab.must(Command::RegisterNode { node });
            action
        },
        "the free resources of node node1",
    );
    check_stale(
        |lab| {
            let deployment = lab.deployment();
            lab.must(Command::RestartApp { app: app_id("/a"), deployment, force: false });
            Action::FinishDeployment { deployment }
        },
        "the goal of deployment ",
    );
    let mut lab = Lab::new();
    let actions =
        vec![Action::Waiting { app: app_id("/a"), reason: String::new() }; limits::PLAN_ACTIONS_MAX + 1];
    assert!(matches!(lab.run(Command::ApplyPlan { based_on: 0, actions }), Err(Reject::Limit { .. })));
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
