//! Requests that come twice, the claim, and formats of other releases.

use super::{app, app_id, put, spec};
use crate::auth::{Actor, Role};
use crate::command::{Command, Envelope, FEATURE_LEVEL, FORMAT, Outcome, PutMode, Reject};
use crate::testing::{self, Lab, START};
use crate::{State, limits};

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
    let mut old = testing::node(1);
    old.feature_level = 1;
    lab.must(Command::RegisterNode { node: old });
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
