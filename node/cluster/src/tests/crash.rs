//! Kill -9 in the middle of writes. (It tests what the program has handed to the kernel; a power cut is tested in a VM.)
//!
//! The test starts itself again as a child that proposes and prints each number once it was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use futures::{StreamExt, stream};
use openraft::EntryPayload;

use super::{numbered, open};
use crate::log_store::db::Reader;
use crate::types::Logged;

const CHILD_DIR: &str = "MESETA_TEST_CRASH_DIR";
const CHILD_FROM: &str = "MESETA_TEST_CRASH_FROM";
const KILLS: u64 = 5;
const ACKNOWLEDGED_BEFORE_KILL: usize = 300;

/// Does nothing in an ordinary run of the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_child() {
    let (Ok(dir), Ok(from)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_FROM)) else {
        return;
    };
    let cluster = open(Path::new(&dir)).await;
    let numbers = from.parse::<u64>().unwrap()..;
    let answers = stream::iter(numbers).map(async |n| (n, cluster.propose(numbered(n)).await));
    let mut answers = std::pin::pin!(answers.buffer_unordered(32));
    while let Some((n, answer)) = answers.next().await {
        // Bypasses the capture of the test harness. Nobody reads once the parent is done: then this may end, too.
        let line = format!("ack {n} {}\n", answer.unwrap().index);
        if std::io::stdout().write_all(line.as_bytes()).is_err() {
            break;
        }
    }
}

/// Runs a child on `dir` until enough was acknowledged, kills it, and returns number → index of all it acknowledged.
fn run_and_kill(dir: &Path, from: u64) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::crash_child", "--nocapture"])
        .env(CHILD_DIR, dir)
        .env(CHILD_FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The line that the kill cut short was not acknowledged in full.
        let line = line.unwrap_or_default();
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", n, index] = words[..]
            && let (Ok(n), Ok(index)) = (n.parse(), index.parse())
        {
            acknowledged.insert(n, index);
            if acknowledged.len() == ACKNOWLEDGED_BEFORE_KILL {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
async fn every_acknowledged_write_survives_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..KILLS {
        let more = run_and_kill(dir.path(), round * 1_000_000);
        assert!(more.len() >= ACKNOWLEDGED_BEFORE_KILL, "round {round}: {} only", more.len());
        acknowledged.extend(more);
    }

    let cluster = open(dir.path()).await;
    let last = cluster.propose(numbered(u64::MAX)).await.unwrap().index;
    let reader = Reader::open(&dir.path().join("raft.db")).unwrap();
    let entries = reader.read(0, last + 1, usize::MAX).unwrap();
    let stored: Vec<u64> = entries.iter().map(|entry| entry.log_id.index).collect();
    assert_eq!(stored, (0..=last).collect::<Vec<_>>(), "no gap");
    for (n, index) in acknowledged {
        let EntryPayload::Normal(Logged(envelope)) = &entries[usize::try_from(index).unwrap()].payload else {
            panic!("entry {index} is not command {n}");
        };
        assert_eq!(envelope.origin.uri, format!("/{n}"), "entry {index}");
    }
    cluster.shutdown().await;
}
