//! openraft's own test suite for log stores and state machines.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio::sync::watch;

use super::config;
use crate::clock::ClusterClock;
use crate::log_store::LogStore;
use crate::machine::{Folder, Machine};
use crate::snapshot::Snapshots;
use crate::space::Space;
use crate::types::{Tc, TokioRuntime};

struct Fresh;

impl StoreBuilder<Tc<TokioRuntime>, LogStore, Machine, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Tc<TokioRuntime>>> {
        let dir = tempfile::tempdir().expect("a folder");
        // The suite purges without snapshots, and looks whether the entries are gone.
        let limit = Arc::new(AtomicU64::new(u64::MAX));
        let snapshots =
            Snapshots::open(dir.path().join("snapshots"), Arc::new(AtomicU64::new(0))).expect("a folder");
        let failure = watch::Sender::new(None);
        let (store, _thread) =
            LogStore::open(&dir.path().join("raft.db"), &config(dir.path()), None, failure, limit)
                .expect("a fresh store");
        let space = Arc::new(Space::open(dir.path(), 0).expect("a file system"));
        let keep = Folder { snapshots: Arc::new(snapshots), space };
        let machine = Machine::new(None, keep, Arc::new(ClusterClock::new()));
        Ok((dir, store, machine))
    }
}

#[test]
fn openraft_storage_suite() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(Suite::test_all(Fresh)).expect("the suite passes");
}
