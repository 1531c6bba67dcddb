//! What a backup holds, and what a blank node makes of it.

use crate::auth::{Role, SessionKey, Token, User};
use crate::command::{Command, FEATURE_LEVEL, Outcome, Reject};
use crate::testing::{self, Lab};
use crate::{AppId, ClusterId, NodeId, State, Timestamp};

/// A claimed cluster with a running app, a token and a secret.
fn old() -> State {
    let mut lab = Lab::with_app(3);
    lab.must(Command::PutToken {
        token: Token {
            name: "ci".to_owned(),
            token_sha256: "a".repeat(64),
            role: Role::Administrator,
            created_at: Timestamp::default(),
            expires_at: None,
        },
    });
    lab.settle();
    lab.state.secrets.insert("db".to_owned(), "hidden".to_owned());
    lab.state
}

/// Registered and not claimed, at the newest level.
fn blank() -> Lab {
    let mut lab = Lab::empty();
    lab.must(Command::RegisterNode { node: testing::node(9) });
    lab.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL });
    lab
}

fn admin() -> User {
    User {
        name: "admin".to_owned(),
        password_hash: "new".to_owned(),
        role: Role::Administrator,
        created_at: Timestamp::default(),
    }
}

fn restore(lab: &mut Lab, backup: State, admin: Option<User>) -> Result<Outcome, Reject> {
    let session_key = SessionKey("11".repeat(32));
    lab.run(Command::Restore { cluster: ClusterId(77), backup: Box::new(backup), admin, session_key })
}

#[test]
fn a_backup_holds_wishes_and_no_machines() {
    let old = old();
    let kept = old.for_backup(true);
    assert_eq!(kept.invariants(), Ok(()));
    assert_eq!((kept.index, kept.now, kept.cluster), (old.index, old.now, old.cluster));
    assert_eq!(kept.apps.len(), old.apps.len());
    assert_eq!((&kept.users, &kept.tokens, &kept.secrets), (&old.users, &old.tokens, &old.secrets));
    assert!(kept.nodes.is_empty() && kept.task_apps.is_empty() && kept.events.is_empty());
    assert!(kept.session_key.is_none() && kept.authority.is_none() && kept.members.is_empty());
    assert_eq!(kept.for_backup(true), kept, "once more changes nothing");
}

#[test]
fn without_secrets_nothing_that_opens_a_door_is_kept() {
    let old = old();
    let text = String::from_utf8(old.for_backup(false).encode_snapshot()).expect("JSON");
    assert!(text.contains("sleep 1000"), "the app is there");
    let hash = &old.users.values().next().expect("admin").password_hash;
    for secret in [hash.as_str(), &"a".repeat(64), "hidden", "admin"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
fn a_blank_node_goes_on_from_a_backup_and_launches_everything_anew() {
    let (old, mut lab) = (old(), blank());
    restore(&mut lab, old.for_backup(true), None).expect("restored");
    assert_eq!(lab.state.invariants(), Ok(()));
    assert_eq!(lab.state.cluster, Some(ClusterId(77)));
    assert!(lab.state.now >= old.now, "time never goes back");
    assert_eq!(lab.state.users, old.users);
    assert_ne!(lab.state.session_key, old.session_key);
    lab.settle();
    let id = old.apps.keys().next().expect("an app").clone();
    let running: Vec<NodeId> = lab.state.apps[&id].tasks.values().map(|task| task.node).collect();
    assert_eq!(running, [NodeId(9); 3], "by this node");
    let versions = |state: &State, id: &AppId| state.apps[id].versions.clone();
    assert_eq!(versions(&lab.state, &id), versions(&old, &id));
}

#[test]
fn restoring_takes_a_blank_node_somebody_to_log_in_and_a_sound_state() {
    let old = old();
    let mut claimed = Lab::new();
    claimed.must(Command::RegisterNode { node: testing::node(1) });
    claimed.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL });
    let answer = restore(&mut claimed, old.for_backup(true), None);
    assert_eq!(answer, Err(Reject::AlreadyClaimed));

    let mut lab = blank();
    let before = lab.state.users.clone();
    let answer = restore(&mut lab, old.for_backup(false), None);
    assert!(matches!(&answer, Err(Reject::Invalid { path, .. }) if path == "/password"), "{answer:?}");
    assert!(lab.state.users == before && !lab.state.is_claimed(), "nothing changed");

    let mut unsound = old.for_backup(true);
    let mut user = admin();
    user.name = "another".to_owned();
    unsound.users.insert("admin".to_owned(), user);
    let answer = restore(&mut lab, unsound, None);
    assert!(matches!(&answer, Err(Reject::Invalid { path, .. }) if path == "/file"), "{answer:?}");

    let newer = State { feature_level: FEATURE_LEVEL + 1, ..old.for_backup(true) };
    let answer = restore(&mut lab, newer, None);
    assert!(matches!(answer, Err(Reject::FeatureLevel { .. })), "{answer:?}");

    restore(&mut lab, old.for_backup(false), Some(admin())).expect("with a new password");
    assert_eq!(lab.state.users["admin"].password_hash, "new");
    assert_eq!(restore(&mut lab, old.for_backup(true), None), Err(Reject::AlreadyClaimed), "once");
}
