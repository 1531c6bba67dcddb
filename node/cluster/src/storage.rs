//! The state folder: what is opened, in which order, and who may.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::clock::ClusterClock;
use crate::config::{Config, Start};
use crate::error::{Failure, OpenError};
use crate::log_store::{LogStore, db};
use crate::machine::{Folder, Machine};
use crate::recovery;
use crate::snapshot::{Snapshots, Stored};
use crate::space::Space;

pub const LOG_FILE: &str = "raft.db";
/// SQLite's write-ahead log beside it.
pub const WAL_FILE: &str = "raft.db-wal";

/// And its shared memory.
const SHM_FILE: &str = "raft.db-shm";

/// Everything on disk, opened and checked.
pub struct Storage {
    pub lock: File,
    pub store: LogStore,
    pub writer: JoinHandle<()>,
    pub machine: Machine,
    pub clock: Arc<ClusterClock>,
    pub space: Arc<Space>,
}

impl Storage {
    /// Blocks. The order matters: nobody else in the folder, then room, then snapshots, then the log after them.
    pub fn open(config: &Config, failure: watch::Sender<Option<Failure>>) -> Result<Self, OpenError> {
        let dir = &config.dir;
        let io = |what| move |source| OpenError::Io { what, path: dir.clone(), source };
        fs::create_dir_all(dir).map_err(io("create"))?;
        let lock = lock(&dir.join("lock"))?;
        let space = Arc::new(Space::open(dir, config.reserve_bytes).map_err(io("reserve room in"))?);
        let delete_limit = Arc::new(AtomicU64::new(0));
        if let Start::Join(_) = config.start {
            set_aside(dir)?;
        }
        let snapshots = Snapshots::open(dir.join("snapshots"), delete_limit.clone())?;
        let path = dir.join(LOG_FILE);
        if !path.exists() && !snapshots.names().map_err(io("list snapshots in"))?.is_empty() {
            return Err(OpenError::LogMissing { path });
        }
        let stored = snapshots.load()?;
        let snapshot = stored.as_ref().and_then(|stored| stored.meta.last_log_id);
        recovery::carry_out(config, &path, snapshot)?;
        let (store, writer) = LogStore::open(&path, config, snapshot, failure, delete_limit)?;
        check_cluster(&store, stored.as_ref(), &path)?;
        check_start(&store, config.start, &path)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync"))?;
        let clock = Arc::new(ClusterClock::new());
        let keep = Folder { snapshots: Arc::new(snapshots), space: space.clone() };
        let machine = Machine::new(stored, keep, clock.clone());
        Ok(Self { lock, store, writer, machine, clock, space })
    }
}

/// Who joins leaves its own cluster of one behind, which nobody has claimed: no one was ever promised anything by it.
fn set_aside(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LOG_FILE);
    if !path.exists() || db::cluster_of(&path)?.is_some() {
        return Ok(());
    }
    tracing::info!(path = %path.display(), "this node's own log, of an unclaimed cluster of one, is removed");
    // The log last: until it is gone, the next start does all of this again.
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { what: "remove", path, source }
    };
    let snapshots = dir.join("snapshots");
    if snapshots.exists() {
        fs::remove_dir_all(&snapshots).map_err(io(&snapshots))?;
    }
    for name in [WAL_FILE, SHM_FILE, LOG_FILE] {
        let path = dir.join(name);
        if path.exists() {
            fs::remove_file(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// A snapshot folder that was put beside another cluster's log would mix two histories.
fn check_cluster(store: &LogStore, stored: Option<&Stored>, path: &Path) -> Result<(), OpenError> {
    let of_snapshot = stored.and_then(|stored| stored.state.cluster);
    match (store.cluster(), of_snapshot) {
        (Some(expected), Some(found)) if expected != found => {
            Err(OpenError::OtherCluster { path: path.to_owned(), found, expected })
        }
        _ => Ok(()),
    }
}

/// Votes given in one cluster must never count in another.
fn check_start(store: &LogStore, start: Start, path: &Path) -> Result<(), OpenError> {
    match (start, store.cluster()) {
        (Start::Alone, _) => Ok(()),
        (Start::Join(wanted), Some(found)) if found == wanted => Ok(()),
        (Start::Join(wanted), found) => {
            let found = found.map_or("a cluster of one".to_owned(), |found| format!("cluster {found}"));
            Err(OpenError::Foreign { path: path.to_owned(), found, wanted })
        }
    }
}

/// Held while the folder is open; the kernel gives it back when the process dies.
fn lock(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Io { what: "lock", path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
