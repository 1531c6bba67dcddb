//! The log store by itself: what leaves memory, and what a purge may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use model::auth::Actor;
use model::{Command, Envelope, Origin, Timestamp};
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::vote::RaftLeaderIdExt;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::watch;

use super::{NODE, config, until};
use crate::log_store::LogStore;
use crate::log_store::db::DELETE_ROWS;
use crate::types::{Entry, LeaderId, LogId, Logged, Payload, Tc, TokioRuntime};

type Types = Tc<TokioRuntime>;

fn id(index: u64) -> LogId {
    LogId::new(LeaderId::new_committed(1, NODE.0), index)
}

fn entry(index: u64, bytes: usize) -> Entry {
    let envelope = Envelope {
        format: model::command::FORMAT,
        request_id: None,
        actor: Actor::System,
        origin: Origin { client_ip: String::new(), uri: "x".repeat(bytes) },
        at: Timestamp(index),
        expected_version: None,
        command: Command::RaiseFeatureLevel { level: 1 },
    };
    Entry { log_id: id(index), payload: Payload::Normal(Logged(Arc::new(envelope))) }
}

struct Opened {
    store: LogStore,
    limit: Arc<AtomicU64>,
    _thread: JoinHandle<()>,
}

fn open(dir: &TempDir, snapshot: Option<LogId>) -> Opened {
    let limit = Arc::new(AtomicU64::new(0));
    let failure = watch::Sender::new(None);
    let (store, thread) =
        LogStore::open(&dir.path().join("raft.db"), &config(dir.path()), snapshot, failure, limit.clone())
            .unwrap();
    Opened { store, limit, _thread: thread }
}

async fn append(store: &mut LogStore, entries: impl Iterator<Item = Entry>) {
    let entries: Vec<_> = entries.collect();
    RaftLogStorageExt::<Types>::blocking_append(store, entries).await.unwrap();
}

async fn indices(store: &mut LogStore, range: std::ops::Range<u64>) -> Vec<u64> {
    let entries = RaftLogReader::<Types>::try_get_log_entries(store, range).await.unwrap();
    entries.iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn entries_that_left_memory_come_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir, None);
    // 25 MB, more than the tail holds.
    for index in 0..100 {
        append(&mut log.store, std::iter::once(entry(index, 256 * 1024))).await;
    }
    assert!(log.store.bytes_in_memory() <= 16 * 1024 * 1024, "{}", log.store.bytes_in_memory());
    assert_eq!(indices(&mut log.store, 0..200).await, (0..100).collect::<Vec<_>>());
    assert_eq!(indices(&mut log.store, 98..100).await, [98, 99]);
    let limited = RaftLogReader::<Types>::limited_get_log_entries(&mut log.store, 0, 100).await.unwrap();
    assert!((1..100).contains(&limited.len()), "{} entries at once", limited.len());
    let all = RaftLogReader::<Types>::try_get_log_entries(&mut log.store, 0..1).await.unwrap();
    assert_eq!(all, [entry(0, 256 * 1024)]);
}

#[tokio::test]
async fn purge_waits_for_the_mark_only_and_deletes_in_small_bites() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir, None);
    append(&mut log.store, (0..20_000).map(|index| entry(index, 64))).await;
    let conn = Connection::open(dir.path().join("raft.db")).unwrap();
    let rows = || -> i64 { conn.query_row("SELECT count(*) FROM log", [], |row| row.get(0)).unwrap() };

    // While an older snapshot needs them, all rows stay.
    RaftLogStorage::<Types>::purge(&mut log.store, id(14_999)).await.unwrap();
    assert_eq!(indices(&mut log.store, 0..15_002).await, [15_000, 15_001]);
    append(&mut log.store, std::iter::once(entry(20_000, 64))).await;
    assert_eq!(rows(), 20_001);

    // Each write takes one bite along at most: the core never waits for more.
    log.limit.store(10_000, Ordering::Release);
    let before = rows();
    append(&mut log.store, std::iter::once(entry(20_001, 64))).await;
    assert!(
        before - rows() < 10_000 && rows() <= before + 1 - i64::try_from(DELETE_ROWS).unwrap(),
        "{before} then {}",
        rows()
    );
    // The rest goes while nothing else is to be done, down to the limit and not further.
    until("rows are deleted", || rows() == 10_002).await;
    append(&mut log.store, std::iter::once(entry(20_002, 64))).await;
    assert_eq!(rows(), 10_003);
}

#[tokio::test]
async fn marks_votes_and_truncation_survive_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir, None);
    append(&mut log.store, (0..100).map(|index| entry(index, 8))).await;
    let vote = openraft::impls::Vote::new(3, NODE.0);
    RaftLogStorage::<Types>::save_vote(&mut log.store, &vote).await.unwrap();
    RaftLogStorage::<Types>::save_committed(&mut log.store, Some(id(60))).await.unwrap();
    RaftLogStorage::<Types>::truncate_after(&mut log.store, Some(id(79))).await.unwrap();
    RaftLogStorage::<Types>::purge(&mut log.store, id(39)).await.unwrap();
    log.limit.store(40, Ordering::Release);
    let Opened { store, _thread: thread, .. } = log;
    drop(store);
    tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();

    let mut log = open(&dir, Some(id(39)));
    let state = RaftLogStorage::<Types>::get_log_state(&mut log.store).await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(39)), Some(id(79))));
    assert_eq!(RaftLogReader::<Types>::read_vote(&mut log.store).await.unwrap(), Some(vote));
    let committed = RaftLogStorage::<Types>::read_committed(&mut log.store).await.unwrap();
    assert_eq!(committed, Some(id(60)));
    assert_eq!(indices(&mut log.store, 0..100).await, (40..80).collect::<Vec<_>>());
}
