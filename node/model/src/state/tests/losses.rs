//! What becomes of the tasks of a node that does not answer, and of a node that is lost again and again.

use super::membership::{lose, refused, several};
use super::{events_since, spec};
use crate::app::{AppSpec, UnreachableStrategy};
use crate::command::Command;
use crate::membership::{Availability, FLAP_WINDOW_MS, NodeChange};
use crate::state::LEASES_FROM;
use crate::task::{Reach, Task};
use crate::testing::Lab;
use crate::{NodeId, Timestamp};

fn exclusive(instances: u32) -> AppSpec {
    let labels = [("MESETA_EXCLUSIVE".to_owned(), "True".to_owned())].into();
    AppSpec { labels, ..spec(instances, "a") }
}

fn tasks_on(lab: &Lab, node: u64) -> Vec<Task> {
    lab.tasks().into_iter().filter(|task| task.node == NodeId(node)).collect()
}

fn lost_since(lab: &Lab, node: u64) -> Timestamp {
    lab.state.members[&NodeId(node)].lost_since.expect("lost")
}

#[test]
fn an_exclusive_task_waits_until_its_node_is_fenced() {
    let mut lab = several(2);
    lab.put(exclusive(2));
    lab.settle();
    let before = lab.tasks();
    lose(&mut lab, 2, true);
    let first = lost_since(&lab, 2);
    lab.settle();
    let ids = |tasks: &[Task]| tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&lab.tasks()), ids(&before), "nobody knows whether it still writes");
    refused(lab.run(Command::RemoveNode { node: NodeId(2) }), "which is exclusive");
    lose(&mut lab, 2, false);
    lab.wait(1);
    lose(&mut lab, 2, true);
    let node = NodeId(2);
    refused(lab.run(Command::Fence { node, lost_since: first }), "is not since when");
    lab.must(Command::Fence { node, lost_since: lost_since(&lab, 2) });
    lab.settle();
    assert!(lab.tasks().len() == 2 && tasks_on(&lab, 2).is_empty());
    let epochs: Vec<u64> = lab.tasks().iter().map(|task| task.epoch).collect();
    let old = before.iter().map(|task| task.epoch).max();
    assert!(epochs.iter().any(|epoch| Some(*epoch) > old), "{epochs:?} after {old:?}");
    lab.must(Command::RemoveNode { node });
}

#[test]
fn who_goes_on_alone_takes_over_what_is_exclusive() {
    let mut lab = several(3);
    lab.put(exclusive(3));
    lab.settle();
    lose(&mut lab, 2, true);
    lab.must(Command::Recover { survivor: NodeId(2) });
    let members: Vec<_> = lab.state.members.iter().map(|(id, member)| (*id, member.lost_since)).collect();
    assert_eq!(members, [(NodeId(2), None)]);
    assert!(tasks_on(&lab, 2).iter().all(|task| task.reach == Reach::Here));
    lab.settle();
    assert_eq!(tasks_on(&lab, 2).len(), 3);
    refused(lab.run(Command::Recover { survivor: NodeId(7) }), "7");
}

#[test]
fn a_node_that_is_back_is_fenced_no_more() {
    let mut lab = several(2);
    lose(&mut lab, 2, true);
    let lost_since = lost_since(&lab, 2);
    lab.must(Command::Fence { node: NodeId(2), lost_since });
    lose(&mut lab, 2, false);
    assert_eq!(lab.state.members[&NodeId(2)].fenced_at, None);
    lab.put(exclusive(2));
    lab.settle();
    assert_eq!(tasks_on(&lab, 2).len(), 1);
    refused(lab.run(Command::RemoveNode { node: NodeId(2) }), "drain the node first");
}

#[test]
fn the_unreachable_strategy_says_when_another_runs_and_when_it_is_forgotten() {
    let mut lab = several(2);
    let unreachable = UnreachableStrategy::After { inactive_ms: 5_000, expunge_ms: 9_000 };
    lab.put(AppSpec { unreachable, ..spec(2, "a") });
    lab.settle();
    lose(&mut lab, 2, true);
    let lost_at = lab.state.now;
    let plan = lab.lead();
    assert_eq!((plan.actions.len(), plan.wake_at), (0, Some(lost_at.plus_ms(5_000))));
    assert_eq!(tasks_on(&lab, 2)[0].reach, Reach::Unreachable, "nobody is sent to it meanwhile");
    lab.wait(5_000);
    while !lab.lead().actions.is_empty() {}
    assert_eq!((tasks_on(&lab, 1).len(), tasks_on(&lab, 2).len()), (2, 1), "another runs, it is still known");
    assert_eq!(tasks_on(&lab, 2)[0].reach, Reach::Inactive);
    lab.wait(4_000);
    lab.settle();
    assert_eq!((tasks_on(&lab, 1).len(), tasks_on(&lab, 2).len()), (2, 0));
}

#[test]
fn a_task_that_is_back_before_it_was_forgotten_counts_again() {
    let mut lab = several(2);
    let unreachable = UnreachableStrategy::After { inactive_ms: 0, expunge_ms: 60_000 };
    lab.put(AppSpec { unreachable, ..spec(2, "a") });
    lab.settle();
    lose(&mut lab, 2, true);
    while !lab.lead().actions.is_empty() {}
    assert_eq!(lab.tasks().len(), 3);
    lose(&mut lab, 2, false);
    lab.settle();
    let tasks = lab.tasks();
    assert!(tasks.len() == 2 && tasks.iter().all(|task| task.reach.is_here()), "{tasks:?}");
}

#[test]
fn one_that_is_to_be_waited_for_is_waited_for() {
    let mut lab = several(2);
    lab.put(AppSpec { unreachable: UnreachableStrategy::Disabled, ..spec(2, "a") });
    lab.settle();
    lose(&mut lab, 2, true);
    lab.wait(86_400_000);
    lab.settle();
    assert_eq!(tasks_on(&lab, 2).len(), 1);
}

#[test]
fn a_node_that_is_lost_again_and_again_is_quarantined_until_a_person_says_otherwise() {
    let mut lab = several(2);
    let availability = |lab: &Lab| lab.state.members[&NodeId(2)].availability;
    let flap = |lab: &mut Lab| {
        lose(lab, 2, true);
        lose(lab, 2, false);
        lab.wait(1);
    };
    flap(&mut lab);
    lab.wait(FLAP_WINDOW_MS);
    flap(&mut lab);
    flap(&mut lab);
    assert_eq!(availability(&lab), Availability::Active, "the first is long ago");
    let index = lab.state.index;
    flap(&mut lab);
    assert_eq!(availability(&lab), Availability::Quarantined);
    assert!(events_since(&lab, index).iter().any(|event| event == "NodeQuarantined"));
    assert!(!lab.state.takes_tasks(NodeId(2)));
    let mut change = NodeChange { availability: Some(Availability::Quarantined), ..NodeChange::default() };
    refused(lab.run(Command::ChangeNode { node: NodeId(1), change: change.clone() }), "expected active");
    change.availability = Some(Availability::Active);
    lab.must(Command::ChangeNode { node: NodeId(2), change });
    flap(&mut lab);
    assert_eq!(availability(&lab), Availability::Active, "the count begins anew");
}

/// Programs of that time judge the same plans.
#[test]
fn before_leases_only_the_present_definition_says_what_is_exclusive() {
    let mut lab = Lab::new();
    lab.must(Command::RaiseFeatureLevel { level: LEASES_FROM - 1 });
    lab.put(exclusive(1));
    lab.settle();
    lab.put(spec(1, "a"));
    lab.lead();
    assert_eq!(lab.tasks().len(), 2, "the next one starts beside the one it replaces");
    let app = lab.state.apps.values().next().expect("an app");
    assert!(app.is_exclusive() && !lab.state.is_exclusive(app));
    lab.must(Command::RaiseFeatureLevel { level: LEASES_FROM });
    assert!(lab.state.is_exclusive(lab.state.apps.values().next().expect("an app")));
}

#[test]
fn a_word_that_older_programs_do_not_know_has_its_level() {
    let change = |availability| {
        let change = NodeChange { availability: Some(availability), ..NodeChange::default() };
        Command::ChangeNode { node: NodeId(1), change }.feature_level()
    };
    assert_eq!(change(Availability::Cordoned), 3);
    assert_eq!(change(Availability::Quarantined), LEASES_FROM);
}
