//! Snapshots: whole, damaged, half written, of a newer version.

use std::fs;
use std::path::{Path, PathBuf};

use model::auth::{Actor, Role, SessionKey, User};
use model::{ClusterId, Command, Timestamp};
use sha2::{Digest, Sha256};

use super::{config, in_time, numbered, open, propose_many, refused, until};
use crate::{Cluster, OpenError, Proposal};

/// Hash of all that the state holds.
fn hash(state: &model::State) -> String {
    format!("{:x}", Sha256::digest(serde_json::to_vec(state).unwrap()))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<(u64, PathBuf)> = fs::read_dir(dir.join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "snap"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            (name.split_once('-').unwrap().0.parse().unwrap(), path)
        })
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Takes a snapshot now and has the log forget what it covers. (Metrics lag answers by a moment, so the state is
/// asked what is applied; a trigger while another snapshot is made would be dropped.)
pub(super) async fn snapshot(cluster: &Cluster) -> u64 {
    let applied = cluster.state().index;
    cluster.raft().unwrap().trigger().snapshot().await.unwrap();
    until("the snapshot is there", || cluster.metrics().snapshot >= Some(applied)).await;
    let taken = cluster.metrics().snapshot.unwrap();
    cluster.raft().unwrap().trigger().purge_log(taken).await.unwrap();
    until("the log is purged", || cluster.metrics().purged >= Some(taken)).await;
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_commands_a_snapshot_and_a_reopening_give_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    propose_many(&cluster, 0..10_000).await;
    let taken = snapshot(&cluster).await;
    assert!(taken >= 10_000);
    propose_many(&cluster, 10_000..10_100).await;
    let before = cluster.state();
    cluster.shutdown().await;

    let cluster = open(dir.path()).await;
    let after = cluster.read().await.unwrap();
    assert_eq!(hash(&after), hash(&before));
    assert_eq!(cluster.metrics().snapshot, Some(taken));
    let written = fs::metadata(&files(dir.path())[0]).unwrap().modified().unwrap();
    cluster.shutdown().await;
    let cluster = open(dir.path()).await;
    let again = fs::metadata(&files(dir.path())[0]).unwrap().modified().unwrap();
    assert_eq!(written, again, "a start does not rewrite the snapshot");
    cluster.shutdown().await;
}

/// Three snapshots, so that the first is gone, and some commands after the last. Returns the state's hash.
async fn filled(dir: &Path) -> String {
    let cluster = open(dir).await;
    for n in 0..3 {
        propose_many(&cluster, n * 400..(n + 1) * 400).await;
        snapshot(&cluster).await;
    }
    propose_many(&cluster, 1_200..1_250).await;
    let hash = hash(&cluster.state());
    cluster.shutdown().await;
    hash
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn tear(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_set_aside_and_the_one_before_takes_over() {
    for damage in [flip_a_byte, tear, empty] {
        let dir = tempfile::tempdir().unwrap();
        let before = filled(dir.path()).await;
        let [older, newest] = &files(dir.path())[..] else { panic!("two are kept") };
        damage(newest);

        let cluster = open(dir.path()).await;
        let after = in_time("reads", cluster.read()).await.unwrap();
        assert_eq!(hash(&after), before);
        assert!(newest.with_extension("damaged").exists() && !newest.exists());
        assert_eq!(&files(dir.path()), std::slice::from_ref(older));
        cluster.propose(numbered(2_000)).await.expect("it goes on");
        snapshot(&cluster).await;
        cluster.shutdown().await;
        open(dir.path()).await.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_snapshot_damaged_leaves_the_whole_log() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    propose_many(&cluster, 0..400).await;
    snapshot(&cluster).await;
    let before = hash(&cluster.state());
    cluster.shutdown().await;
    flip_a_byte(&files(dir.path())[0]);

    let cluster = open(dir.path()).await;
    assert_eq!(hash(&cluster.read().await.unwrap()), before);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_snapshots_damaged_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    let rows = |dir: &Path| -> i64 {
        let conn = rusqlite::Connection::open(dir.join("raft.db")).unwrap();
        conn.query_row("SELECT min(idx) FROM log", [], |row| row.get(0)).unwrap()
    };
    for n in 0..3 {
        propose_many(&cluster, n * 10..(n + 1) * 10).await;
        snapshot(&cluster).await;
    }
    until("old rows are deleted", || rows(dir.path()) > 0).await;
    cluster.shutdown().await;
    files(dir.path()).iter().for_each(|path| tear(path));
    let error = refused(config(dir.path())).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

/// Replaces text in a snapshot and makes its checksum right again.
fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    let body = text[..text.len() - 65].replacen(from, to, 1);
    fs::write(path, format!("{body}{:x}\n", Sha256::digest(&body))).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_newer_version_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let newest = files(dir.path()).pop().unwrap();
    rewrite(&newest, "\n{\"format\":1,", "\n{\"format\":2,");
    let error = refused(config(dir.path())).await;
    assert!(matches!(error, OpenError::SnapshotFormat { found: 2, .. }), "{error}");
    rewrite(&newest, "\n{\"format\":2,", "\n{\"format\":1,");
    rewrite(&newest, "MESETA-SNAPSHOT 1", "MESETA-SNAPSHOT 7");
    let error = refused(config(dir.path())).await;
    assert!(matches!(error, OpenError::SnapshotFormat { found: 7, .. }), "{error}");
}

pub(super) fn claim(cluster: ClusterId) -> Proposal {
    let role = Role::Administrator;
    let (name, password_hash) = ("admin".to_owned(), "$argon2id$".to_owned());
    let admin = User { name, password_hash, role, created_at: Timestamp(0) };
    let command = Command::Claim { cluster, admin, session_key: SessionKey("0".repeat(64)) };
    Proposal { actor: Actor::Claimant, command, ..numbered(0) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_of_another_cluster_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    cluster.propose(claim(ClusterId(5))).await.unwrap().result.expect("it is claimed");
    snapshot(&cluster).await;
    let conn = rusqlite::Connection::open(dir.path().join("raft.db")).unwrap();
    let signed = || conn.query_row("SELECT value FROM meta WHERE key='cluster'", [], |_| Ok(())).is_ok();
    until("the log is signed", signed).await;
    cluster.shutdown().await;
    open(dir.path()).await.shutdown().await;

    let other = serde_json::to_string(&ClusterId(6)).unwrap();
    conn.execute("UPDATE meta SET value=?1 WHERE key='cluster'", [other]).unwrap();
    let error = refused(config(dir.path())).await;
    let (expected, found) = (ClusterId(6), ClusterId(5));
    assert!(
        matches!(error, OpenError::OtherCluster { expected: e, found: f, .. } if (e, f) == (expected, found)),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_writer_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path()).await;
    let half = dir.path().join("snapshots/99999-1.tmp");
    fs::write(&half, "MESETA-SNAPSHOT 1\n{").unwrap();
    let cluster = open(dir.path()).await;
    assert!(!half.exists());
    assert_eq!(hash(&cluster.read().await.unwrap()), before);
    cluster.shutdown().await;
}
