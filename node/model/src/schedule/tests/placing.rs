//! On which node a task lands, and what an app waits for.

use std::collections::BTreeSet;

use super::{app_id, constraint, lab_of, spread};
use crate::NodeId;
use crate::app::{AppSpec, Constraint, ConstraintOperator as Operator, Millionths, Network};
use crate::testing::{self, Lab};

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
