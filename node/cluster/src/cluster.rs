//! The handle that the rest of the program holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::{NodeId, State, Timestamp};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use tokio::sync::{Semaphore, watch};

use crate::clock::ClusterClock;
use crate::config::{Config, Start};
use crate::error::{Failure, OpenError};
use crate::network::Network;
use crate::observer::{Leadership, Observer, Raft};
use crate::propose::IN_FLIGHT_BYTES_MAX;
use crate::space::Space;
use crate::storage::{LOG_FILE, Storage, WAL_FILE};
use crate::types::{Members, Peer};
use crate::wire::Wire;

/// Figures of this node's part of the log. Indices count entries from 0; `None` means none yet. They may lag an answer
/// of `propose` by a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    pub last_log: Option<u64>,
    pub applied: Option<u64>,
    pub snapshot: Option<u64>,
    pub purged: Option<u64>,
    /// Bytes of `raft.db` and its write-ahead log.
    pub log_bytes: u64,
    /// Bytes free on the state folder's file system; `None` if it does not answer.
    pub free_bytes: Option<u64>,
}

/// A running member. Cheap to clone; it runs until [`Cluster::shutdown`].
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) raft: Raft,
    pub(crate) wire: Arc<dyn Wire>,
    node: NodeId,
    dir: PathBuf,
    clock: Arc<ClusterClock>,
    pub(crate) space: Arc<Space>,
    pub(crate) in_flight: Semaphore,
    state: watch::Receiver<Arc<State>>,
    leadership: watch::Receiver<Leadership>,
    /// Cluster time in milliseconds when a leader last spoke to this node; 0 before it did.
    pub(crate) heard: AtomicU64,
    pub(crate) failure: watch::Sender<Option<Failure>>,
    /// What `shutdown` must see the end of.
    closing: Mutex<Option<Closing>>,
}

struct Closing {
    lock: File,
    writer: std::thread::JoinHandle<()>,
    observer: tokio::task::JoinHandle<()>,
}

impl Cluster {
    /// Opens the state folder and starts taking part; a pristine folder becomes what `config.start` says. Others are
    /// reached by `wire`. Returns before a leader is known: see [`Cluster::leadership`].
    pub async fn open(config: Config, wire: Arc<dyn Wire>) -> Result<Self, OpenError> {
        let raft_config = config.raft().validate().map_err(|error| OpenError::Raft(error.to_string()))?;
        let failure = watch::Sender::new(None);
        let (for_storage, failure_of_storage) = (config.clone(), failure.clone());
        let storage = tokio::task::spawn_blocking(move || Storage::open(&for_storage, failure_of_storage))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        let Storage { lock, store, writer, machine, clock, space } = storage;
        let (state, for_signing) = (machine.watch(), store.clone());
        let network = Network::new(wire.clone());
        let raft = Raft::new(config.node.0, Arc::new(raft_config), network, store, machine)
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        let begins = config.start == Start::Alone && initialize(&raft, config.node).await?;
        if !begins {
            elect_alone(&raft, config.node).await?;
        }
        let (sender, leadership) = watch::channel(Leadership::default());
        let observer =
            Observer { raft: raft.clone(), node: config.node, leadership: sender, failure: failure.clone() };
        let observer = tokio::spawn(observer.run(for_signing, state.clone()));
        let closing = Mutex::new(Some(Closing { lock, writer, observer }));
        let (node, dir) = (config.node, config.dir);
        let in_flight = Semaphore::new(IN_FLIGHT_BYTES_MAX as usize);
        Ok(Self(Arc::new(Inner {
            raft,
            wire,
            node,
            dir,
            clock,
            space,
            in_flight,
            state,
            leadership,
            heard: AtomicU64::new(0),
            failure,
            closing,
        })))
    }

    /// True if `dir` holds a log, of whatever cluster.
    pub fn exists(dir: &Path) -> bool {
        dir.join(LOG_FILE).exists()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub fn node(&self) -> NodeId {
        self.0.node
    }

    #[cfg(test)]
    pub(crate) fn raft(&self) -> &Raft {
        &self.0.raft
    }

    /// The latest state applied here: fast, possibly stale.
    pub fn state(&self) -> Arc<State> {
        self.0.state.borrow().clone()
    }

    /// Wakes at each new state; several entries applied together are one wake-up.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.0.state.clone()
    }

    /// Cluster time as this node estimates it. Never goes back, never stands still.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// When a leader other than this node last spoke to it, by cluster time; `None` if none did since it was opened.
    pub fn last_heard(&self) -> Option<Timestamp> {
        Some(self.0.heard.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Timestamp)
    }

    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.clone()
    }

    /// Resolves when storage or consensus died. Nothing heals it in this process: log it, mark unready, exit.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.0.failure.subscribe();
        let found = failure.wait_for(Option::is_some).await.ok().and_then(|found| (*found).clone());
        found.unwrap_or_else(|| Failure { reason: "the consensus engine is gone".to_owned() })
    }

    pub fn metrics(&self) -> Metrics {
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let bytes = |name| fs::metadata(self.0.dir.join(name)).map_or(0, |file| file.len());
        Metrics {
            last_log: metrics.last_log_index,
            applied: metrics.last_applied.map(|id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            purged: metrics.purged.map(|id| id.index),
            log_bytes: bytes(LOG_FILE) + bytes(WAL_FILE),
            free_bytes: self.0.space.free().ok(),
        }
    }

    /// Stops taking part and closes the files; returns when the folder may be opened again. Later calls on other
    /// clones answer with an error.
    pub async fn shutdown(self) {
        let closing = self.0.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Closing { lock, writer, observer }) = closing else {
            return;
        };
        observer.abort();
        self.0.failure.send_if_modified(|failure| {
            failure.get_or_insert_with(|| Failure { reason: "this node stopped taking part".to_owned() });
            true
        });
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::warn!(%error, "the consensus engine did not end cleanly");
        }
        let ended = tokio::task::spawn_blocking(move || (writer.join().is_ok(), lock.unlock())).await;
        if !matches!(ended, Ok((true, Ok(())))) {
            tracing::warn!("the log's writer thread did not end cleanly");
        }
    }
}

/// The only voter need not wait for a leader that might still be there.
async fn elect_alone(raft: &Raft, node: NodeId) -> Result<(), OpenError> {
    let votes = raft.metrics().borrow_watched().membership_config.voter_ids().collect::<Vec<_>>();
    if votes == [node.0] {
        raft.trigger().elect(false).await.map_err(|error| OpenError::Raft(error.to_string()))?;
    }
    Ok(())
}

/// Makes a pristine node a cluster of one, and says that it did; leaves any other alone.
async fn initialize(raft: &Raft, node: NodeId) -> Result<bool, OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Raft(error.to_string());
    if raft.is_initialized().await.map_err(|error| failed(&error))? {
        return Ok(false);
    }
    match raft.initialize(Members::from([(node.0, Peer::default())])).await {
        Ok(()) => Ok(true),
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(false),
        Err(error) => Err(failed(&error)),
    }
}
