//! State folders that other builds have written stay readable: `written/level-N`, one for each feature level.
//!
//! A folder is kept as text: `raft.sql` makes `raft.db` as it was, `snapshots` holds the snapshot file as it was, and
//! `state.json` is the state that the build had in the end. `written/README.md` says which commit wrote each, and how
//! to add the next.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use model::State;
use model::command::FEATURE_LEVEL;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::Value;

use super::snapshots::snapshot;
use super::{in_time, numbered, open, story, until};
use crate::codec;

/// If it names a folder, the test of this build's own story leaves there what it wrote.
const KEEP: &str = "MESETA_KEEP_WRITTEN";

fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/written");
    let entries = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn the_present_level_is_kept_as_well() {
    let name = |folder: &PathBuf| folder.file_name().unwrap().to_str().unwrap().to_owned();
    let names: Vec<String> = folders().iter().map(name).collect();
    let wanted: Vec<String> = (1..=FEATURE_LEVEL).map(|level| format!("level-{level}")).collect();
    assert_eq!(names, wanted, "written/README.md says how to add one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_builds_wrote_is_read_as_they_meant_it() {
    for folder in folders() {
        println!("{}", folder.display());
        check(&folder).await;
    }
}

/// What is kept of this level was written when it was new; a build may change within a level, so its own is read, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_build_writes_is_read_as_it_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path()).await;
    story::beginning(&cluster).await;
    // A configuration with another node in it, as snapshots of several nodes have.
    let (other, addresses) = (model::NodeId(8), vec!["192.0.2.8:7300".parse().unwrap()]);
    in_time("follows", cluster.add_follower(other, addresses)).await.unwrap();
    let taken = cluster.state().index;
    cluster.raft().unwrap().trigger().snapshot().await.unwrap();
    until("the snapshot is there", || cluster.metrics().snapshot >= Some(taken)).await;
    story::rest(&cluster).await;
    in_time("follows no more", cluster.remove_follower(other)).await.unwrap();
    let state = cluster.state();
    cluster.shutdown().await;

    let kept = std::env::var_os(KEEP).map_or(dir.path().join("kept"), PathBuf::from);
    keep(dir.path(), &state, &kept);
    check(&kept).await;
}

fn keep(dir: &Path, state: &State, kept: &Path) {
    fs::create_dir_all(kept.join("snapshots")).unwrap();
    for file in fs::read_dir(dir.join("snapshots")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), kept.join("snapshots").join(file.file_name())).unwrap();
    }
    fs::write(kept.join("state.json"), serde_json::to_string(state).unwrap() + "\n").unwrap();
    fs::write(kept.join("raft.sql"), dump(&dir.join("raft.db"))).unwrap();
}

/// The statements that make the file anew; every value in it is text or a number.
fn dump(path: &Path) -> String {
    let conn = Connection::open(path).unwrap();
    let mut sql = String::new();
    let mut made = conn.prepare("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").unwrap();
    let tables: Vec<(String, String)> =
        made.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (table, create) in tables {
        writeln!(sql, "{create};").unwrap();
        let mut all = conn.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> = (0..columns).map(|at| literal(&row.get(at).unwrap())).collect();
            writeln!(sql, "INSERT INTO {table} VALUES ({});", cells.join(", ")).unwrap();
        }
    }
    sql
}

fn literal(cell: &Cell) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match cell {
        Cell::Integer(number) => number.to_string(),
        Cell::Text(text) => quoted(text),
        Cell::Blob(bytes) => format!("CAST({} AS BLOB)", quoted(std::str::from_utf8(bytes).unwrap())),
        other => panic!("{other:?} is not expected in raft.db"),
    }
}

/// A state folder as the other build left it, with or without its snapshots.
fn unfold(folder: &Path, with_snapshots: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("raft.db")).unwrap();
    let all = format!("BEGIN; {} COMMIT;", fs::read_to_string(folder.join("raft.sql")).unwrap());
    conn.execute_batch(&all).unwrap();
    if with_snapshots {
        fs::create_dir(dir.path().join("snapshots")).unwrap();
        for file in fs::read_dir(folder.join("snapshots")).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), dir.path().join("snapshots").join(file.file_name())).unwrap();
        }
    }
    dir
}

async fn check(folder: &Path) {
    let meant: Value = serde_json::from_str(&fs::read_to_string(folder.join("state.json")).unwrap()).unwrap();
    let mut read = Vec::new();
    for with_snapshots in [true, false] {
        let dir = unfold(folder, with_snapshots);
        rows_keep_everything(&dir.path().join("raft.db"));
        let cluster = open(dir.path()).await;
        assert_eq!(cluster.metrics().snapshot.is_some(), with_snapshots);
        let state = in_time("reads", cluster.read()).await.unwrap();
        state.invariants().unwrap();
        let value = serde_json::to_value(&*state).unwrap();
        says_all("state", &meant, &value);
        let again = State::decode_snapshot(&state.encode_snapshot()).unwrap();
        assert_eq!(again, *state);
        read.push((*state).clone());

        // And the folder is of use: it is written to, compacted and opened again.
        cluster.propose(numbered(1)).await.unwrap().result.unwrap();
        snapshot(&cluster).await;
        let before = cluster.state();
        cluster.shutdown().await;
        let cluster = open(dir.path()).await;
        assert_eq!(in_time("reads", cluster.read()).await.unwrap(), before);
        cluster.shutdown().await;
    }
    assert_eq!(read[0], read[1], "the snapshot and the rest of the log give what the whole log gives");
    let known: State = serde_json::from_value(meant).unwrap();
    assert_eq!(read[0], known, "applying means what it meant to the build that wrote this");
}

/// No entry loses a field on its way through this build.
fn rows_keep_everything(path: &Path) {
    let conn = Connection::open(path).unwrap();
    let mut all = conn.prepare("SELECT idx, e FROM log ORDER BY idx").unwrap();
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(i64, Vec<u8>)> = rows.map(Result::unwrap).collect();
    assert!(rows.len() > 20, "{} entries", rows.len());
    for (index, bytes) in rows {
        let index = u64::try_from(index).unwrap();
        let entry = codec::decode(index, &bytes).unwrap();
        let again = codec::encode(&entry).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        says_all(&format!("entry {index}"), &value(&bytes), &value(&again));
    }
}

/// Everything that `old` says, `new` says as well, in the same words.
#[track_caller]
fn says_all(at: &str, old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let found = new.get(key).unwrap_or_else(|| panic!("{at}/{key} is gone, it was {value}"));
                says_all(&format!("{at}/{key}"), value, found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{at}");
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                says_all(&format!("{at}/{index}"), old, new);
            }
        }
        _ => assert_eq!(old, new, "{at}"),
    }
}
