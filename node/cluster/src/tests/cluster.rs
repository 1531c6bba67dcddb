//! Through the front door: open, propose, read, reopen; what stops a node.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::auth::Actor;
use model::{Command, Envelope, NodeId, Origin, Timestamp};
use rusqlite::Connection;

use super::{NODE, config, failure, in_time, lead, numbered, open, propose_many, refused, until};
use crate::types::Logged;
use crate::{COMMAND_BYTES_MAX, Cluster, Config, Leadership, NoWire, OpenError, ProposeError, ReadError};

const YEAR_MS: u64 = 365 * 86_400_000;

#[tokio::test]
async fn a_pristine_folder_becomes_a_cluster_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let mut watch = cluster.watch();
    watch.borrow_and_update();

    let applied = cluster.propose(numbered(1)).await.unwrap();
    assert!(watch.has_changed().unwrap(), "the state is published before the answer");
    assert_eq!(cluster.state().index, applied.index);
    assert_eq!(cluster.read().await.unwrap().index, applied.index);
    assert!(cluster.state().now <= cluster.now());

    until("metrics follow", || cluster.metrics().applied == Some(applied.index)).await;
    let metrics = cluster.metrics();
    assert!(metrics.log_bytes > 0 && metrics.free_bytes.is_some());
    let leadership = *cluster.leadership().borrow();
    assert!(
        matches!(leadership, Leadership { leader: Some(NODE), is_self: true, term: 1.. }),
        "{leadership:?}"
    );
    let other = cluster.clone();
    cluster.shutdown().await;
    assert!(matches!(other.propose(numbered(2)).await, Err(ProposeError::Failed(_))));
    assert!(matches!(other.read().await, Err(ReadError::Failed(_))));
}

#[tokio::test]
async fn reopening_restores_the_state_and_leads_again() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let last = propose_many(&cluster, 0..300).await;
    let before = cluster.state();
    let term = cluster.leadership().borrow().term;
    cluster.shutdown().await;

    let cluster = open(dir.path()).await;
    assert_eq!(*cluster.read().await.unwrap(), *before);
    assert!(cluster.propose(numbered(300)).await.unwrap().index > last);
    assert!(cluster.leadership().borrow().term >= term);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_cluster_of_one_rests_and_still_leads() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    cluster.propose(numbered(1)).await.unwrap();
    let before = *cluster.leadership().borrow();
    // Long enough for every timer of raft to run out, were it running.
    let timers = config(dir.path()).timers;
    tokio::time::sleep(Duration::from_millis(3 * timers.election_max)).await;
    assert_eq!(cluster.read().await.unwrap().index, cluster.propose(numbered(2)).await.unwrap().index - 1);
    assert_eq!(*cluster.leadership().borrow(), before);

    // A member that only learns, and cannot be reached, changes nothing.
    cluster.raft().unwrap().add_learner(99, crate::types::Peer::default(), false).await.unwrap();
    cluster.propose(numbered(3)).await.expect("a learner is not asked");
    assert_eq!(*cluster.leadership().borrow(), before);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_folder_has_one_user_and_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    assert!(matches!(refused(config(dir.path())).await, OpenError::InUse { .. }));
    cluster.shutdown().await;

    let other = Config { node: NodeId(8), ..config(dir.path()) };
    let error = refused(other).await;
    assert!(matches!(error, OpenError::OtherNode { found: NODE, expected: NodeId(8), .. }), "{error}");

    let again = Cluster::open(config(dir.path()), Arc::new(NoWire)).await.expect("its own folder");
    lead(&again).await;
    again.shutdown().await;
}

#[tokio::test]
async fn snapshots_without_a_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("snapshots")).unwrap();
    fs::write(dir.path().join("snapshots/12-1.snap"), "").unwrap();
    assert!(matches!(refused(config(dir.path())).await, OpenError::LogMissing { .. }));
}

#[tokio::test]
async fn a_command_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let mut large = numbered(1);
    large.origin.uri = "x".repeat(COMMAND_BYTES_MAX);
    let limit = COMMAND_BYTES_MAX;
    assert_eq!(cluster.propose(large).await, Err(ProposeError::TooLarge { limit }));
    cluster.propose(numbered(2)).await.expect("the next is not affected");
    cluster.shutdown().await;
}

fn envelope(format: u32, at: Timestamp) -> Envelope {
    let command = Command::RaiseFeatureLevel { level: model::command::FEATURE_LEVEL };
    let (actor, origin) = (Actor::System, Origin::default());
    Envelope { format, request_id: None, actor, origin, at, expected_version: None, command }
}

#[tokio::test]
async fn a_leader_a_year_ahead_freezes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let ahead = cluster.now().plus_ms(YEAR_MS);
    let logged = Logged(Arc::new(envelope(model::command::FORMAT, ahead)));
    cluster.raft().unwrap().client_write(logged).await.unwrap();

    cluster.propose(numbered(1)).await.unwrap();
    let first = cluster.state().now;
    assert!(first >= ahead);
    until("time goes on", || cluster.now().ms_since(first) >= 20).await;
    cluster.propose(numbered(2)).await.unwrap();
    let second = cluster.state().now;
    assert!(second.ms_since(first) >= 20, "{first} then {second}");
    assert!(second.ms_since(first) < YEAR_MS / 2, "{first} then {second}");
    cluster.shutdown().await;

    // A restart, by a wall clock that is a year behind, goes on from there.
    let cluster = open(dir.path()).await;
    assert!(cluster.read().await.unwrap().now >= second);
    assert!(cluster.now() >= second);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_command_of_a_newer_format_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let acknowledged = cluster.propose(numbered(1)).await.unwrap();
    let newer = Logged(Arc::new(envelope(99, cluster.now())));
    cluster.raft().unwrap().client_write(newer).await.expect_err("never applied");

    let failure = failure(&cluster).await;
    assert!(failure.reason.contains("has format 99"), "{failure}");
    assert_eq!(cluster.propose(numbered(2)).await, Err(ProposeError::Failed(failure.reason)));
    assert_eq!(cluster.state().index, acknowledged.index, "it was not skipped");
    let mut leadership = cluster.leadership();
    let nobody = leadership.wait_for(|leadership| leadership.leader.is_none());
    in_time("nobody leads", nobody).await.unwrap();
    cluster.shutdown().await;
}

/// Rewrites one stored entry as another program might have written it.
fn rewrite(dir: &Path, index: u64, with: impl Fn(&str) -> String) {
    let conn = Connection::open(dir.join("raft.db")).unwrap();
    let index = i64::try_from(index).unwrap();
    let bytes: Vec<u8> = conn.query_row("SELECT e FROM log WHERE idx=?1", [index], |row| row.get(0)).unwrap();
    let text = with(std::str::from_utf8(&bytes).unwrap());
    conn.execute("UPDATE log SET e=?2 WHERE idx=?1", rusqlite::params![index, text.as_bytes()]).unwrap();
}

/// What stops the node when entry `index` of ten is rewritten.
async fn stopped_by(index: impl Fn(u64) -> u64, with: impl Fn(&str) -> String) -> String {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let last = propose_many(&cluster, 0..10).await;
    cluster.shutdown().await;
    rewrite(dir.path(), index(last), with);
    match Cluster::open(config(dir.path()), Arc::new(NoWire)).await {
        Err(error) => error.to_string(),
        Ok(cluster) => {
            let reason = failure(&cluster).await.reason;
            assert!(cluster.state().index < index(last), "it was not skipped");
            cluster.shutdown().await;
            reason
        }
    }
}

#[tokio::test]
async fn an_entry_this_program_does_not_know_stops_the_node() {
    let newer = |text: &str| text.replacen("\"f\":1", "\"f\":2", 1);
    let unknown = |text: &str| text.replacen("register_node", "launch_rocket", 1);
    for (index, what) in [(0, "the last entry"), (5, "an entry in the middle")] {
        let text = stopped_by(|last| last - index, newer).await;
        assert!(text.contains("has format 2, this program knows 1"), "{what}: {text}");
        let text = stopped_by(|last| last - index, unknown).await;
        assert!(text.contains("cannot be decoded"), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_gap_or_another_schema_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let last = propose_many(&cluster, 0..10).await;
    cluster.shutdown().await;
    let conn = Connection::open(dir.path().join("raft.db")).unwrap();

    conn.execute("UPDATE meta SET value='99' WHERE key='schema'", []).unwrap();
    assert!(matches!(refused(config(dir.path())).await, OpenError::Schema { known: 1, .. }));
    conn.execute("UPDATE meta SET value='1' WHERE key='schema'", []).unwrap();

    conn.execute("DELETE FROM log WHERE idx=?1", [i64::try_from(last - 3).unwrap()]).unwrap();
    assert!(matches!(refused(config(dir.path())).await, OpenError::Damaged { .. }));
}
