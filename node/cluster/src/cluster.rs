//! The handle that the rest of the program holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{ClusterId, NodeId, State, Timestamp};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use tokio::sync::{Semaphore, watch};

use crate::clock::ClusterClock;
use crate::config::{Config, Start};
use crate::error::{Failure, OpenError};
use crate::log_store::Entries;
use crate::membership::{Member, Pulses};
use crate::network::Network;
use crate::notices::Notices;
use crate::observer::{Leadership, Observer, Raft};
use crate::propose::IN_FLIGHT_BYTES_MAX;
use crate::space::Space;
use crate::storage::{Kept, LOG_FILE, Storage, WAL_FILE};
use crate::types::{Members, Peer};
use crate::wire::Wire;
use crate::worker::{self, Stream};

/// Figures of this node's part of the log. Indices count entries from 0; `None` means none yet. They may lag an answer
/// of `propose` by a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
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
    pub(crate) part: Part,
    pub(crate) wire: Arc<dyn Wire>,
    node: NodeId,
    dir: PathBuf,
    clock: Arc<ClusterClock>,
    pub(crate) space: Arc<Space>,
    pub(crate) in_flight: Semaphore,
    state: watch::Receiver<Arc<State>>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// Cluster time in milliseconds when a leader last spoke to this node; 0 before it did.
    pub(crate) heard: Arc<AtomicU64>,
    pulses: Mutex<Pulses>,
    pub(crate) failure: watch::Sender<Option<Failure>>,
    assignment: watch::Sender<Option<Assignment>>,
    /// What `shutdown` must see the end of.
    closing: Mutex<Option<Closing>>,
}

/// What a member does for the log.
pub(crate) enum Part {
    Server(Server),
    Worker(Worker),
}

/// Holds it.
pub(crate) struct Server {
    pub(crate) raft: Raft,
    pub(crate) log: Entries,
    pub(crate) applied: watch::Receiver<Option<u64>>,
    pub(crate) notices: Notices,
}

/// Is told what becomes committed.
pub(crate) struct Worker {
    pub(crate) members: watch::Receiver<Vec<Member>>,
    applied: watch::Receiver<Option<u64>>,
}

/// What a member is to be from its next start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// To hold the log.
    Server,
    /// To be told what happens by those that hold it.
    Worker,
}

struct Closing {
    lock: File,
    writer: Option<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Inner {
    pub(crate) fn pulses(&self) -> MutexGuard<'_, Pulses> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reassign(&self, assignment: Assignment) {
        self.assignment.send_replace(Some(assignment));
    }
}

impl Cluster {
    /// Opens the state folder and starts taking part; a pristine folder becomes what `config.start` says. Others are
    /// reached by `wire`. Returns before a leader is known: see [`Cluster::leadership`].
    pub async fn open(config: Config, wire: Arc<dyn Wire>) -> Result<Self, OpenError> {
        match config.start {
            Start::Work(cluster) => Self::open_worker(config, cluster, wire).await,
            Start::Alone | Start::Join(_) => Self::open_server(config, wire).await,
        }
    }

    async fn open_server(config: Config, wire: Arc<dyn Wire>) -> Result<Self, OpenError> {
        let raft_config = config.raft().validate().map_err(|error| OpenError::Raft(error.to_string()))?;
        let failure = watch::Sender::new(None);
        let (for_storage, failure_of_storage) = (config.clone(), failure.clone());
        let storage = tokio::task::spawn_blocking(move || Storage::open(&for_storage, failure_of_storage))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        let Storage { lock, store, writer, machine, clock, space } = storage;
        let (state, applied, for_signing) = (machine.watch(), machine.applied(), store.clone());
        let log = store.entries();
        let notices = Notices::default();
        let network = Network::new(wire.clone(), notices.clone());
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
        let part = Part::Server(Server { raft, log, applied, notices });
        let heard = Arc::default();
        let closing = Closing { lock, writer: Some(writer), tasks: vec![observer] };
        let opened = Opened { part, clock, space, state, leadership, heard, failure, closing };
        let contacts = config.contacts.clone();
        let cluster = Self::new(config, wire, opened);
        let absence = tokio::spawn(cluster.clone().notice_absence(contacts));
        if let Some(closing) = cluster.closing().as_mut() {
            closing.tasks.push(absence);
        }
        Ok(cluster)
    }

    async fn open_worker(config: Config, of: ClusterId, wire: Arc<dyn Wire>) -> Result<Self, OpenError> {
        let for_storage = config.clone();
        let kept = tokio::task::spawn_blocking(move || Kept::open(&for_storage, of))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        let Kept { lock, machine, clock, space } = kept;
        let (state, applied) = (machine.watch(), machine.applied());
        let (members, of_log) = watch::channel(Vec::new());
        let (sender, leadership) = watch::channel(Leadership::default());
        let (failure, heard) = (watch::Sender::new(None), Arc::default());
        let stream = Stream {
            node: config.node,
            wire: wire.clone(),
            contacts: config.contacts.clone(),
            machine,
            clock: clock.clone(),
            members,
            leadership: sender,
            heard: Arc::clone(&heard),
            failure: failure.clone(),
        };
        let pulse = worker::pulse(config.node, wire.clone(), of_log.clone(), leadership.clone());
        let tasks = vec![tokio::spawn(stream.run()), tokio::spawn(pulse)];
        let part = Part::Worker(Worker { members: of_log, applied });
        let closing = Closing { lock, writer: None, tasks };
        Ok(Self::new(config, wire, Opened { part, clock, space, state, leadership, heard, failure, closing }))
    }

    fn new(config: Config, wire: Arc<dyn Wire>, opened: Opened) -> Self {
        let Opened { part, clock, space, state, leadership, heard, failure, closing } = opened;
        Self(Arc::new(Inner {
            part,
            wire,
            node: config.node,
            dir: config.dir,
            clock,
            space,
            in_flight: Semaphore::new(IN_FLIGHT_BYTES_MAX as usize),
            state,
            leadership,
            heard,
            pulses: Mutex::default(),
            failure,
            assignment: watch::Sender::new(None),
            closing: Mutex::new(Some(closing)),
        }))
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

    /// True if this node has all of the log; else it is told what happens.
    pub fn holds_log(&self) -> bool {
        self.server().is_some()
    }

    /// Resolves when this node is to take part in another way than it was opened for. It has to be opened anew then.
    pub async fn assigned(&self) -> Assignment {
        let mut assignment = self.0.assignment.subscribe();
        let found = assignment.wait_for(Option::is_some).await.ok().and_then(|found| *found);
        match found {
            Some(assignment) => assignment,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn server(&self) -> Option<&Server> {
        match &self.0.part {
            Part::Server(server) => Some(server),
            Part::Worker(_) => None,
        }
    }

    /// Consensus, if this node takes part in it.
    pub(crate) fn raft(&self) -> Option<&Raft> {
        self.server().map(|server| &server.raft)
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

    /// Index of the last entry of the log here; `None` if there is none, or no log.
    pub fn last_log(&self) -> Option<u64> {
        self.raft()?.metrics().borrow_watched().last_log_index
    }

    pub fn metrics(&self) -> Metrics {
        let free_bytes = self.0.space.free().ok();
        let server = match &self.0.part {
            Part::Server(server) => server,
            Part::Worker(worker) => {
                let applied = *worker.applied.borrow();
                return Metrics { applied, free_bytes, ..Metrics::default() };
            }
        };
        let metrics = server.raft.metrics();
        let metrics = metrics.borrow_watched();
        let bytes = |name| fs::metadata(self.0.dir.join(name)).map_or(0, |file| file.len());
        Metrics {
            applied: metrics.last_applied.map(|id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            purged: metrics.purged.map(|id| id.index),
            log_bytes: bytes(LOG_FILE) + bytes(WAL_FILE),
            free_bytes,
        }
    }

    /// Stops taking part and closes the files; returns when the folder may be opened again. Later calls on other
    /// clones answer with an error.
    pub async fn shutdown(self) {
        let Some(Closing { lock, writer, tasks }) = self.closing().take() else { return };
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        self.0.failure.send_if_modified(|failure| {
            failure.get_or_insert_with(|| Failure { reason: "this node stopped taking part".to_owned() });
            true
        });
        if let Some(raft) = self.raft()
            && let Err(error) = raft.shutdown().await
        {
            tracing::warn!(%error, "the consensus engine did not end cleanly");
        }
        let ended = tokio::task::spawn_blocking(move || {
            (writer.is_none_or(|writer| writer.join().is_ok()), lock.unlock())
        });
        if !matches!(ended.await, Ok((true, Ok(())))) {
            tracing::warn!("the log's writer thread did not end cleanly");
        }
    }

    fn closing(&self) -> MutexGuard<'_, Option<Closing>> {
        self.0.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was opened, whichever part this node takes.
struct Opened {
    part: Part,
    clock: Arc<ClusterClock>,
    space: Arc<Space>,
    state: watch::Receiver<Arc<State>>,
    leadership: watch::Receiver<Leadership>,
    heard: Arc<AtomicU64>,
    failure: watch::Sender<Option<Failure>>,
    closing: Closing,
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
