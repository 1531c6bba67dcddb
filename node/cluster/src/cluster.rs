//! The handle that the rest of the program holds.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::auth::Actor;
use model::ids::RequestId;
use model::{Applied, Command, Envelope, NodeId, Origin, State, Timestamp};
use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, InitializeError, LinearizableReadError, RaftError};
use openraft::raft::ClientWriteResponse;
use tokio::sync::{Semaphore, watch};

use crate::clock::ClusterClock;
use crate::config::Config;
use crate::error::{Failure, OpenError, ProposeError, ReadError};
use crate::network::Alone;
use crate::observer::{Leadership, Observer, Raft, Types};
use crate::space::Space;
use crate::storage::{LOG_FILE, Storage, WAL_FILE};
use crate::types::{Logged, Members, Peer};

/// Bytes of one command in JSON. Above the largest request body and the largest plan or report.
pub const COMMAND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of all commands that wait for an answer; beyond that, proposers wait. Raft's own queue counts commands only,
/// and thousands of the largest would not fit a small node's memory.
const IN_FLIGHT_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// After this the proposer is told that the outcome is unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A command and on whose behalf it is proposed. Format and time are added here.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub actor: Actor,
    pub origin: Origin,
    pub request_id: Option<RequestId>,
    pub expected_version: Option<Timestamp>,
    pub command: Command,
}

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

struct Inner {
    raft: Raft,
    node: NodeId,
    dir: PathBuf,
    clock: Arc<ClusterClock>,
    space: Arc<Space>,
    in_flight: Semaphore,
    state: watch::Receiver<Arc<State>>,
    leadership: watch::Receiver<Leadership>,
    failure: watch::Sender<Option<Failure>>,
    /// What `shutdown` must see the end of.
    closing: Mutex<Option<Closing>>,
}

struct Closing {
    lock: File,
    writer: std::thread::JoinHandle<()>,
    observer: tokio::task::JoinHandle<()>,
}

impl Cluster {
    /// Opens the state folder and starts taking part. A pristine folder becomes a cluster of one. Returns before a
    /// leader is known: see [`Cluster::leadership`].
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let raft_config = config.raft().validate().map_err(|error| OpenError::Raft(error.to_string()))?;
        let failure = watch::Sender::new(None);
        let (for_storage, failure_of_storage) = (config.clone(), failure.clone());
        let storage = tokio::task::spawn_blocking(move || Storage::open(&for_storage, failure_of_storage))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        let Storage { lock, store, writer, machine, clock, space } = storage;
        let (state, for_signing) = (machine.watch(), store.clone());
        let raft = Raft::new(config.node.0, Arc::new(raft_config), Alone, store, machine)
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        initialize(&raft, config.node).await?;
        let (sender, leadership) = watch::channel(Leadership::default());
        let observer =
            Observer { raft: raft.clone(), node: config.node, leadership: sender, failure: failure.clone() };
        let observer = tokio::spawn(observer.run(for_signing, state.clone()));
        let closing = Mutex::new(Some(Closing { lock, writer, observer }));
        let (node, dir) = (config.node, config.dir);
        let in_flight = Semaphore::new(IN_FLIGHT_BYTES_MAX as usize);
        Ok(Self(Arc::new(Inner {
            raft,
            node,
            dir,
            clock,
            space,
            in_flight,
            state,
            leadership,
            failure,
            closing,
        })))
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

    /// Replicates a command; answers once it is durable on a majority and applied here. Dropping the future does not
    /// take the command back.
    pub async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        let inner = &self.0;
        if let Some(failure) = &*inner.failure.borrow() {
            return Err(ProposeError::Failed(failure.reason.clone()));
        }
        let (envelope, bytes) = self.envelope(proposal)?;
        self.check_space()?;
        let write = async {
            let _room = inner.in_flight.acquire_many(bytes).await;
            inner.raft.client_write(Logged(Arc::new(envelope))).await
        };
        match tokio::time::timeout(PROPOSE_TIMEOUT, write).await {
            Ok(answer) => answered(answer),
            Err(_) => Err(ProposeError::TimedOut),
        }
    }

    /// The command as it is replicated, and its size in bytes.
    fn envelope(&self, proposal: Proposal) -> Result<(Envelope, u32), ProposeError> {
        let Proposal { actor, origin, request_id, expected_version, command } = proposal;
        let (format, at) = (model::command::FORMAT, self.now());
        let envelope = Envelope { format, request_id, actor, origin, at, expected_version, command };
        let mut count = Count(0);
        serde_json::to_writer(&mut count, &envelope)
            .map_err(|error| ProposeError::Failed(format!("the command cannot be encoded: {error}")))?;
        match u32::try_from(count.0) {
            Ok(bytes) if count.0 <= COMMAND_BYTES_MAX => Ok((envelope, bytes)),
            _ => Err(ProposeError::TooLarge { limit: COMMAND_BYTES_MAX }),
        }
    }

    fn check_space(&self) -> Result<(), ProposeError> {
        let reserve = self.0.space.reserve();
        match self.0.space.free() {
            Ok(free) if free < reserve => Err(ProposeError::NoSpace { free, reserve }),
            Ok(_) => Ok(()),
            Err(error) => Err(ProposeError::Failed(format!("the state folder does not answer: {error}"))),
        }
    }

    /// A state that includes every write acknowledged before the call, confirmed by a majority (ReadIndex).
    pub async fn read(&self) -> Result<Arc<State>, ReadError> {
        let inner = &self.0;
        if let Some(failure) = &*inner.failure.borrow() {
            return Err(ReadError::Failed(failure.reason.clone()));
        }
        let confirmed = inner.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match tokio::time::timeout(READ_TIMEOUT, confirmed).await {
            Ok(Ok(_)) => Ok(self.state()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
                Err(ReadError::NoLeader)
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
                Err(ReadError::NoQuorum)
            }
            Ok(Err(RaftError::Fatal(fatal))) => Err(ReadError::Failed(fatal.to_string())),
        }
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
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::warn!(%error, "the consensus engine did not end cleanly");
        }
        let ended = tokio::task::spawn_blocking(move || (writer.join().is_ok(), lock.unlock())).await;
        if !matches!(ended, Ok((true, Ok(())))) {
            tracing::warn!("the log's writer thread did not end cleanly");
        }
    }
}

/// What openraft's answer means to a proposer.
fn answered(
    answer: Result<ClientWriteResponse<Types>, RaftError<Types, ClientWriteError<Types>>>,
) -> Result<Applied, ProposeError> {
    let response = answer.map_err(|error| match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => ProposeError::NoLeader,
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            ProposeError::Unknown("the leader changed meanwhile".to_owned())
        }
        // Not answered to ordinary writes.
        RaftError::APIError(error) => ProposeError::Failed(error.to_string()),
        RaftError::Fatal(fatal) => ProposeError::Unknown(fatal.to_string()),
    })?;
    response.data.0.ok_or_else(|| ProposeError::Unknown("the entry had no answer".to_owned()))
}

/// Makes a pristine node a cluster of one; leaves any other alone.
async fn initialize(raft: &Raft, node: NodeId) -> Result<(), OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Raft(error.to_string());
    if raft.is_initialized().await.map_err(|error| failed(&error))? {
        return Ok(());
    }
    match raft.initialize(Members::from([(node.0, Peer::default())])).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

/// Counts bytes without keeping them.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
