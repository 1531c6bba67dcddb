//! Nodes let in, lost, back and removed, and what becomes of their tasks.

use super::{app, events_since, spec};
use crate::app::AppSpec;
use crate::command::{Command, FEATURE_LEVEL, Outcome, Reject};
use crate::membership::{Applicant, Availability, NodeChange};
use crate::node::Resources;
use crate::task::{EndState, KillReason};
use crate::testing::{self, Lab};
use crate::{NodeId, Timestamp, rebalance};

/// A cluster of node 1 that has been claimed and takes in others.
fn founded() -> Lab {
    let mut lab = Lab::new();
    lab.must(Command::RegisterNode { node: testing::node(1) });
    lab.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL });
    lab.must(testing::found());
    lab
}

pub(super) fn token(lab: &mut Lab, uses: u32) -> String {
    let token = testing::join_token("rack", 'a', uses, lab.now.plus_ms(60_000));
    lab.must(Command::PutJoinToken { token: token.clone() });
    token.secret_sha256
}

pub(super) fn admit(lab: &mut Lab, node: u64, secret: &str) -> Result<Outcome, Reject> {
    let command =
        Command::AdmitNode { applicant: testing::applicant(node), secret_sha256: secret.to_owned() };
    lab.run(command)
}

/// Nodes 1 to `count`, all members and up.
pub(super) fn several(count: u64) -> Lab {
    let mut lab = founded();
    let secret = token(&mut lab, 10);
    for node in 2..=count {
        admit(&mut lab, node, &secret).expect("admitted");
        lab.must(Command::RegisterNode { node: testing::node(node) });
    }
    lab
}

pub(super) fn lose(lab: &mut Lab, node: u64, lost: bool) {
    lab.must(Command::SetLost { node: NodeId(node), lost });
}

#[track_caller]
pub(super) fn refused(result: Result<Outcome, Reject>, with: &str) {
    let text = result.expect_err("refused").to_string();
    assert!(text.contains(with), "{text}");
}

#[test]
fn a_token_lets_in_as_many_as_it_says_until_it_expires() {
    let mut lab = founded();
    refused(admit(&mut lab, 2, &"b".repeat(64)), "is unknown to this cluster");
    let secret = token(&mut lab, 1);
    admit(&mut lab, 2, &secret).expect("admitted");
    admit(&mut lab, 2, &secret).expect("the same again, after a lost answer");
    refused(admit(&mut lab, 3, &secret), "is used up");

    let later = testing::join_token("later", 'c', 5, lab.now.plus_ms(10));
    lab.must(Command::PutJoinToken { token: later.clone() });
    lab.wait(10);
    refused(admit(&mut lab, 3, &later.secret_sha256), "has expired");
    assert_eq!(lab.state.members.len(), 2);
    assert_eq!(lab.state.members[&NodeId(2)].peers(), ["192.0.2.2:7300".parse().expect("an address")]);
}

#[test]
fn applicants_that_make_no_sense_are_refused() {
    let mut lab = founded();
    let secret = token(&mut lab, 5);
    let mut refuse = |change: fn(&mut Applicant), with: &str| {
        let mut applicant = testing::applicant(2);
        change(&mut applicant);
        refused(lab.run(Command::AdmitNode { applicant, secret_sha256: secret.clone() }), with);
    };
    refuse(|a| a.fingerprint = "no".to_owned(), "is no SHA-256");
    refuse(|a| a.port = 0, "must be 1 to 65535");
    refuse(|a| a.addresses.clear(), "at least one address");
    refuse(|a| a.node = NodeId(1), "is the id of another member");
}

#[test]
fn only_members_register_and_they_are_found_where_they_are() {
    let mut lab = founded();
    let unknown = lab.run(Command::RegisterNode { node: testing::node(2) });
    assert_eq!(unknown, Err(Reject::NodeUnknown { node: NodeId(2) }));
    let secret = token(&mut lab, 1);
    admit(&mut lab, 2, &secret).expect("admitted");
    let mut node = testing::node(2);
    node.addresses = vec!["198.51.100.7".parse().expect("an address")];
    lab.must(Command::RegisterNode { node });
    assert_eq!(lab.state.members[&NodeId(2)].peers(), ["198.51.100.7:7300".parse().expect("an address")]);
}

#[test]
fn a_lost_node_s_tasks_run_elsewhere_and_none_comes_back_by_itself() {
    let mut lab = several(2);
    lab.put(spec(4, "a"));
    lab.settle();
    let there = |lab: &Lab| lab.tasks().iter().filter(|task| task.node == NodeId(2)).count();
    assert_eq!(there(&lab), 2);
    let index = lab.state.index;
    lose(&mut lab, 2, true);
    assert_eq!(events_since(&lab, index)[0], "NodeLost");
    lab.settle();
    assert_eq!((lab.tasks().len(), there(&lab)), (4, 0));
    assert!(app(&lab).history.iter().all(|ended| ended.state == EndState::Lost));
    assert_eq!(app(&lab).backoff.delay_ms, 0, "not the app's fault");
    lose(&mut lab, 2, false);
    lab.settle();
    assert_eq!(there(&lab), 0);
    // What is new may go there again.
    lab.put(spec(6, "a"));
    lab.settle();
    assert_eq!(there(&lab), 2);
}

fn change(lab: &mut Lab, node: u64, availability: Availability) {
    let change = NodeChange { availability: Some(availability), ..NodeChange::default() };
    lab.must(Command::ChangeNode { node: NodeId(node), change });
}

#[test]
fn a_drained_node_s_tasks_are_replaced_before_they_go() {
    let mut lab = several(3);
    lab.put(spec(3, "a"));
    lab.settle();
    change(&mut lab, 2, Availability::Draining);
    let mut fewest = usize::MAX;
    lab.settle_watched(|state| {
        let serving = state.apps.values().flat_map(|app| app.tasks.values().filter(|task| app.serves(task)));
        fewest = fewest.min(serving.count());
    });
    assert_eq!(fewest, 3, "new ones run before old ones go");
    assert!(lab.tasks().len() == 3 && lab.tasks().iter().all(|task| task.node != NodeId(2)));
    let ended = app(&lab).history.back().expect("one has ended").clone();
    assert_eq!(ended.task.kill, Some(KillReason::Moved));
    // It is given nothing, and nothing comes back by itself.
    lab.put(spec(5, "a"));
    lab.settle();
    change(&mut lab, 2, Availability::Active);
    lab.settle();
    assert!(lab.tasks().len() == 5 && lab.tasks().iter().all(|task| task.node != NodeId(2)));
}

#[test]
fn what_has_no_other_place_stays_and_says_why() {
    let mut lab = several(2);
    lab.put(spec(2, "a"));
    lab.settle();
    let before = lab.tasks();
    change(&mut lab, 1, Availability::Cordoned);
    change(&mut lab, 2, Availability::Draining);
    lab.settle();
    assert_eq!(lab.tasks().len(), 2);
    assert!(app(&lab).waiting.contains("2 nodes take no new tasks"), "{}", app(&lab).waiting);
    change(&mut lab, 2, Availability::Active);
    lab.settle();
    assert_eq!(lab.tasks(), before, "taken back in time");
    assert_eq!(app(&lab).waiting, "");
}

#[test]
fn one_task_is_moved_to_another_node() {
    let mut lab = several(3);
    lab.put(spec(1, "a"));
    lab.settle();
    let before = lab.tasks().remove(0);
    let moved = |cancel| Command::MoveTasks { tasks: vec![before.id.clone()], cancel };
    lab.must(moved(false));
    lab.must(moved(true));
    lab.settle();
    assert_eq!(lab.tasks()[0].id, before.id);
    lab.must(moved(false));
    lab.settle();
    let after = lab.tasks().remove(0);
    assert!(after.node != before.node && !after.displaced && lab.tasks().len() == 1, "{after:?}");
    refused(lab.run(moved(false)), "does not live");
}

#[test]
fn the_load_of_a_full_node_is_evened_out_as_it_was_announced() {
    let mut lab = several(2);
    let wish = |instances| AppSpec {
        resources: Resources { cpu_milli: 100, mem_mib: 100, disk_mib: 0 },
        ..spec(instances, "a")
    };
    change(&mut lab, 2, Availability::Cordoned);
    lab.put(wish(6));
    lab.settle();
    assert_eq!(rebalance::plan(&lab.state), [], "the only other node takes nothing");
    change(&mut lab, 2, Availability::Active);
    let moves = rebalance::plan(&lab.state);
    assert_eq!(moves.len(), 3, "{moves:#?}");
    assert!(moves.iter().all(|step| (step.from, step.to) == (NodeId(1), NodeId(2))), "{moves:#?}");
    assert!(moves.windows(2).all(|two| two[0].from_load.after == two[1].from_load.before), "{moves:#?}");
    let tasks = moves.into_iter().map(|step| step.task).collect();
    lab.must(Command::MoveTasks { tasks, cancel: false });
    lab.settle();
    let there = lab.tasks().iter().filter(|task| task.node == NodeId(2)).count();
    assert_eq!((lab.tasks().len(), there), (6, 3));
    assert_eq!(rebalance::plan(&lab.state), []);
    // What must not run twice does not move by itself.
    change(&mut lab, 2, Availability::Cordoned);
    let labels = [("MESETA_EXCLUSIVE".to_owned(), "true".to_owned())].into();
    lab.put(AppSpec { labels, ..wish(6) });
    lab.settle();
    change(&mut lab, 2, Availability::Active);
    assert_eq!(rebalance::plan(&lab.state), []);
}

#[test]
fn a_cluster_evens_itself_out_one_by_one_whoever_waits_for_a_place() {
    let mut lab = several(2);
    let wish = |id, instances, cpu_milli| AppSpec {
        instances,
        resources: Resources { cpu_milli, mem_mib: 100, disk_mib: 0 },
        ..testing::spec(id)
    };
    change(&mut lab, 2, Availability::Cordoned);
    lab.put(wish("/a", 6, 100));
    lab.put(wish("/stuck", 1, 1_000_000));
    lab.settle();
    assert!(!lab.state.deployments.is_empty(), "it waits for ever");
    change(&mut lab, 2, Availability::Active);
    for left in (0..3).rev() {
        let step = rebalance::next(&lab.state).expect("a step");
        lab.must(Command::MoveTasks { tasks: vec![step.task], cancel: false });
        assert_eq!(rebalance::next(&lab.state), None, "the one before is on its way");
        lab.settle();
        assert_eq!(rebalance::plan(&lab.state).len(), left);
    }
    lose(&mut lab, 2, true);
    assert_eq!(rebalance::next(&lab.state), None);
}

#[test]
fn an_exclusive_task_ends_before_another_begins() {
    let mut lab = several(2);
    let labels = [("MESETA_EXCLUSIVE".to_owned(), "true".to_owned())].into();
    lab.put(AppSpec { labels, ..spec(1, "a") });
    lab.settle();
    let node = lab.tasks()[0].node;
    change(&mut lab, node.0, Availability::Draining);
    let mut most = 0;
    lab.settle_watched(|state| most = most.max(state.apps.values().map(|app| app.tasks.len()).sum()));
    assert_eq!(most, 1);
    assert_ne!(lab.tasks()[0].node, node);
}

#[test]
fn an_operator_names_nodes_and_gives_them_attributes() {
    let mut lab = several(2);
    let attributes = [("rack".to_owned(), Some("r1".to_owned()))].into();
    let mut wish = NodeChange { name: Some("granite".to_owned()), attributes, ..NodeChange::default() };
    lab.must(Command::ChangeNode { node: NodeId(2), change: wish.clone() });
    // It says again what it says of itself; the operator's word stays.
    let mut node = testing::node(2);
    node.boot_id = "another".to_owned();
    lab.must(Command::RegisterNode { node });
    let known = lab.state.nodes[&NodeId(2)].clone();
    assert_eq!((&*known.name, known.attributes.get("rack").map(String::as_str)), ("granite", Some("r1")));
    refused(lab.run(Command::ChangeNode { node: NodeId(1), change: wish.clone() }), "the name of another");
    wish.attributes.insert("rack".to_owned(), None);
    lab.must(Command::ChangeNode { node: NodeId(2), change: wish.clone() });
    assert_eq!(lab.state.nodes[&NodeId(2)].attributes.get("rack"), None);
    for (name, key, value) in [("two words", "a", "b"), ("", "a", "b"), ("a", "", "b"), ("a", "a", "b\n")] {
        wish.name = Some(name.to_owned());
        wish.attributes = [(key.to_owned(), Some(value.to_owned()))].into();
        assert!(lab.run(Command::ChangeNode { node: NodeId(2), change: wish.clone() }).is_err());
    }
}

#[test]
fn a_plan_made_before_the_node_was_lost_or_back_is_stale() {
    let mut lab = several(2);
    lab.put(spec(2, "a"));
    let plan = lab.plan();
    lose(&mut lab, 2, true);
    let stale = lab.run(Command::ApplyPlan { based_on: 0, actions: plan.actions });
    refused(stale, "which takes no tasks now");
    lose(&mut lab, 2, false);
    lab.settle();
    lose(&mut lab, 2, true);
    let plan = lab.plan();
    lose(&mut lab, 2, false);
    assert!(matches!(
        lab.run(Command::ApplyPlan { based_on: 0, actions: plan.actions }),
        Err(Reject::StalePlan { .. })
    ));
    assert_eq!(lab.tasks().len(), 2);
}

#[test]
fn where_nobody_answers_people_are_told() {
    let mut lab = several(2);
    lose(&mut lab, 1, true);
    lose(&mut lab, 2, true);
    lab.put(spec(1, "a"));
    lab.settle();
    assert_eq!(app(&lab).waiting, "2 nodes do not answer");
}

#[test]
fn a_removed_node_is_forgotten_and_its_key_refused() {
    let mut lab = several(3);
    lab.put(spec(3, "a"));
    lab.settle();
    lab.must(Command::RemoveNode { node: NodeId(3) });
    assert!(!lab.state.nodes.contains_key(&NodeId(3)));
    lab.settle();
    assert_eq!(lab.tasks().len(), 3);
    let secret = "a".repeat(64);
    refused(admit(&mut lab, 3, &secret), "was removed");
    lab.must(Command::RemoveNode { node: NodeId(2) });
    refused(lab.run(Command::RemoveNode { node: NodeId(1) }), "the only member");
}

#[test]
fn a_newer_key_ends_those_before_it_and_removal_ends_all() {
    let mut lab = several(3);
    let (node, first) = (NodeId(3), lab.state.members[&NodeId(3)].clone());
    let register = |fill: char, since| {
        let fingerprint = fill.to_string().repeat(64);
        Command::RegisterKey { node: NodeId(3), fingerprint, since, authority: None }
    };
    lab.must(Command::RenewKeys { nodes: vec![node] });
    assert!(lab.state.members[&node].renews_key);
    let since = first.key_since.plus_ms(5);
    refused(lab.run(register('b', first.key_since)), "is not after");
    lab.must(register('b', since));
    lab.must(register('b', since));
    let member = &lab.state.members[&node];
    assert_eq!((member.key_since, member.renews_key), (since, false));
    refused(lab.run(register('c', since)), "is not after");
    let taken = lab.state.members[&NodeId(2)].fingerprint.clone();
    let since_then = since.plus_ms(1);
    let steal = Command::RegisterKey { node, fingerprint: taken, since: since_then, authority: None };
    refused(lab.run(steal), "another node's key");
    refused(lab.run(Command::RenewKeys { nodes: vec![NodeId(9)] }), "");

    let why = |lab: &Lab, key: &str, since| lab.state.refuses_key(node, key, since).unwrap_or_default();
    let new = "b".repeat(64);
    assert!(why(&lab, &first.fingerprint, first.key_since).contains("replaced"));
    assert_eq!(why(&lab, &new, since), "");
    assert_eq!(why(&lab, &"d".repeat(64), since.plus_ms(9)), "", "one that is not known here yet");
    lab.must(Command::RemoveNode { node });
    for (key, since) in [(&new, since), (&first.fingerprint, first.key_since)] {
        assert!(why(&lab, key, since).contains("removed"));
    }
}

#[test]
fn nothing_of_this_is_proposed_before_all_understand_it() {
    let mut lab = Lab::new();
    refused(lab.run(testing::found()), "needs feature level 2");
    lab.must(Command::RegisterNode { node: testing::node(1) });
    lab.must(Command::RaiseFeatureLevel { level: 2 });
    lab.must(testing::found());
    let token = testing::join_token("", 'a', 1, Timestamp::MAX);
    refused(lab.run(Command::PutJoinToken { token }), "1 to 64 bytes");
    let token = testing::join_token("x", 'g', 1, Timestamp::MAX);
    refused(lab.run(Command::PutJoinToken { token }), "is no SHA-256");
    let token = testing::join_token("x", 'a', 0, Timestamp::MAX);
    refused(lab.run(Command::PutJoinToken { token }), "must be 1 to");
    refused(lab.run(Command::DeleteJoinToken { name: "x".to_owned() }), "no join token");
}

#[test]
fn a_survivor_goes_on_alone_and_the_others_are_strangers() {
    let mut lab = several(3);
    lab.put(spec(3, "a"));
    lab.settle();
    lose(&mut lab, 2, true);
    lab.must(Command::Recover { survivor: NodeId(2) });
    assert_eq!(lab.state.invariants(), Ok(()));
    assert_eq!(lab.state.members.keys().copied().collect::<Vec<_>>(), [NodeId(2)]);
    assert_eq!(lab.state.members[&NodeId(2)].lost_since, None, "it is there");
    assert_eq!(lab.state.removed.len(), 2);
    let before = lab.state.clone();
    lab.must(Command::Recover { survivor: NodeId(2) });
    assert_eq!(lab.state.members, before.members, "the same again, after a second power cut");
    lab.settle();
    let nodes: Vec<NodeId> = lab.tasks().iter().map(|task| task.node).collect();
    assert_eq!(nodes, [NodeId(2); 3], "what ran elsewhere is launched here");
    refused(lab.run(Command::Recover { survivor: NodeId(3) }), "is not a member");
    Lab::new().must(Command::Recover { survivor: NodeId(1) });
}
