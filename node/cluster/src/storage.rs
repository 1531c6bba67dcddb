//! The state folder: what is opened, in which order, and who may.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use model::ClusterId;
use tokio::sync::watch;

use crate::clock::ClusterClock;
use crate::config::{Config, Start};
use crate::error::{Failure, OpenError};
use crate::log_store::db::Db;
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
const SNAPSHOTS_FOLDER: &str = "snapshots";
/// Where a member without the log keeps the state.
const KEPT_FOLDER: &str = "kept";

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
        begin_from_kept(config)?;
        let snapshots = Snapshots::open(dir.join(SNAPSHOTS_FOLDER), delete_limit.clone())?;
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

/// What a member without the log has on disk, opened and checked.
pub struct Kept {
    pub lock: File,
    pub machine: Machine,
    pub clock: Arc<ClusterClock>,
    pub space: Arc<Space>,
}

impl Kept {
    /// Blocks. What this folder held of a log goes: its node was told that it holds it no more. A state of another
    /// cluster than `of` goes as well.
    pub fn open(config: &Config, of: ClusterId) -> Result<Self, OpenError> {
        let dir = &config.dir;
        let io = |what| move |source| OpenError::Io { what, path: dir.clone(), source };
        fs::create_dir_all(dir).map_err(io("create"))?;
        let lock = lock(&dir.join("lock"))?;
        let space = Arc::new(Space::open(dir, config.reserve_bytes).map_err(io("reserve room in"))?);
        keep_snapshots(dir)?;
        remove_log(dir)?;
        let snapshots = || Snapshots::open(dir.join(KEPT_FOLDER), Arc::default());
        let mut kept = snapshots()?;
        let mut stored = kept.load()?;
        if stored.as_ref().is_some_and(|stored| stored.state.cluster != Some(of)) {
            remove_folder(&dir.join(KEPT_FOLDER))?;
            (kept, stored) = (snapshots()?, None);
        }
        let clock = Arc::new(ClusterClock::new());
        let keep = Folder { snapshots: Arc::new(kept), space: space.clone() };
        let machine = Machine::new(stored, keep, clock.clone());
        Ok(Self { lock, machine, clock, space })
    }
}

/// Who joins leaves its own cluster of one behind, which nobody has claimed: no one was ever promised anything by it.
fn set_aside(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LOG_FILE);
    if !path.exists() || db::cluster_of(&path)?.is_some() {
        return Ok(());
    }
    tracing::info!(path = %path.display(), "this node's own log, of an unclaimed cluster of one, is removed");
    remove_log(dir)
}

/// Who begins to hold the log has its state from the time without it. The log first: a snapshot beside none would be one
/// whose log was lost.
fn begin_from_kept(config: &Config) -> Result<(), OpenError> {
    let (kept, snapshots) = (config.dir.join(KEPT_FOLDER), config.dir.join(SNAPSHOTS_FOLDER));
    if !kept.exists() {
        return Ok(());
    }
    Db::open(&config.dir.join(LOG_FILE), config.node, config.start)?;
    remove_folder(&snapshots)?;
    rename(&kept, &snapshots)
}

/// Who held the log begins with the state of its last snapshot.
fn keep_snapshots(dir: &Path) -> Result<(), OpenError> {
    let (kept, snapshots) = (dir.join(KEPT_FOLDER), dir.join(SNAPSHOTS_FOLDER));
    if kept.exists() || !snapshots.exists() { Ok(()) } else { rename(&snapshots, &kept) }
}

fn rename(from: &Path, to: &Path) -> Result<(), OpenError> {
    fs::rename(from, to).map_err(|source| OpenError::Io { what: "rename", path: from.to_owned(), source })
}

/// The log last: until it is gone, the next start does all of this again.
fn remove_log(dir: &Path) -> Result<(), OpenError> {
    remove_folder(&dir.join(SNAPSHOTS_FOLDER))?;
    for name in [WAL_FILE, SHM_FILE, LOG_FILE] {
        gone(fs::remove_file(dir.join(name)), &dir.join(name))?;
    }
    Ok(())
}

fn remove_folder(path: &Path) -> Result<(), OpenError> {
    gone(fs::remove_dir_all(path), path)
}

/// What was not there is gone as well.
fn gone(removed: io::Result<()>, path: &Path) -> Result<(), OpenError> {
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(OpenError::Io { what: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
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
        (Start::Alone | Start::Work(_), _) => Ok(()),
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
