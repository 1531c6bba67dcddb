//! The one thread that writes `raft.db`: everything that waits goes into one transaction with one fsync.
//!
//! After the first error nothing is written any more: a failed fsync may have dropped dirty pages, so trying again
//! could report as durable what is not. The thread then answers every request with that error, and the failure is
//! published so that the agent exits.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};

use super::db::{Change, DELETE_ROWS, Db};
use super::view::View;
use crate::error::Failure;
use crate::types::LogId;

/// Requests that may wait; beyond that, raft itself waits.
const QUEUE_MAX: usize = 4096;
/// Requests in one transaction.
const BATCH_MAX: usize = 4096;
/// Write-ahead log that is moved into the database once nothing waits.
const CHECKPOINT_IDLE_BYTES: u64 = 4 * 1024 * 1024;
/// Write-ahead log that is moved even while requests wait, so that it cannot grow without bound.
const CHECKPOINT_BUSY_BYTES: u64 = 64 * 1024 * 1024;
const PAGE_BYTES: u64 = 4096;

/// Called once the request is durable, or with the error that stopped the log.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

pub struct Request {
    pub change: Change,
    pub done: Done,
}

/// Where requests go. The thread ends when the last clone is dropped and all requests are answered.
#[derive(Clone)]
pub struct Queue(mpsc::Sender<Request>);

impl Queue {
    /// Returns once there is room. `done` is called in any case, possibly by this call.
    pub async fn send(&self, change: Change, done: Done) {
        if let Err(unsent) = self.0.send(Request { change, done }).await {
            (unsent.0.done)(Err(io::Error::other("the log's writer thread has ended")));
        }
    }
}

/// Purged rows below this index may really be deleted. Those above it complete an older snapshot, should the newest
/// turn out damaged.
pub type DeleteLimit = Arc<AtomicU64>;

pub struct Writer {
    db: Db,
    requests: mpsc::Receiver<Request>,
    view: Arc<Mutex<View>>,
    failure: watch::Sender<Option<Failure>>,
    delete_limit: DeleteLimit,
    /// No row of the file lies below this index.
    oldest: u64,
    /// `committed` as last written.
    committed: Option<LogId>,
    wal_bytes: u64,
    poisoned: Option<String>,
}

impl Writer {
    pub fn spawn(
        db: Db,
        view: Arc<Mutex<View>>,
        failure: watch::Sender<Option<Failure>>,
        delete_limit: DeleteLimit,
    ) -> io::Result<(Queue, JoinHandle<()>)> {
        let (sender, requests) = mpsc::channel(QUEUE_MAX);
        let oldest = db.oldest().map_err(io::Error::other)?.unwrap_or(0);
        let committed = lock(&view).committed;
        let writer = Self {
            db,
            requests,
            view,
            failure,
            delete_limit,
            oldest,
            committed,
            // What an earlier process left in the write-ahead log is unknown; it is moved at the first idle moment.
            wal_bytes: CHECKPOINT_IDLE_BYTES,
            poisoned: None,
        };
        let thread = thread::Builder::new().name("raft-log".to_owned()).spawn(move || writer.run())?;
        Ok((Queue(sender), thread))
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        while self.wait(&mut batch) {
            self.work(&mut batch);
        }
        // A clean end leaves the last commit mark and a small file to the next start.
        self.guarded("close", |w| {
            w.commit(&[])?;
            w.db.checkpoint().map(drop)
        });
    }

    /// Fills `batch` with all that waits, or leaves it empty if there is idle work. False once everybody hung up.
    fn wait(&mut self, batch: &mut Vec<Request>) -> bool {
        match self.requests.try_recv() {
            Ok(request) => batch.push(request),
            Err(TryRecvError::Empty) if self.has_idle_work() => return true,
            Err(TryRecvError::Empty) => match self.requests.blocking_recv() {
                Some(request) => batch.push(request),
                None => return false,
            },
            Err(TryRecvError::Disconnected) => return false,
        }
        while batch.len() < BATCH_MAX
            && let Ok(request) = self.requests.try_recv()
        {
            batch.push(request);
        }
        true
    }

    fn work(&mut self, batch: &mut Vec<Request>) {
        if batch.is_empty() {
            return self.idle();
        }
        self.guarded("write", |w| w.commit(batch));
        if self.poisoned.is_none() {
            self.publish(batch);
        }
        for request in batch.drain(..) {
            let result = match &self.poisoned {
                None => Ok(()),
                Some(reason) => Err(io::Error::other(reason.clone())),
            };
            (request.done)(result);
        }
        if self.wal_bytes > CHECKPOINT_BUSY_BYTES {
            self.guarded("checkpoint", Self::checkpoint);
        }
    }

    /// The end of the rows that may be deleted, if there are any.
    fn deletable(&self) -> Option<u64> {
        let end = lock(&self.view).purged?.index + 1;
        let end = end.min(self.delete_limit.load(Ordering::Acquire));
        (self.oldest < end).then_some(end)
    }

    fn has_idle_work(&self) -> bool {
        self.poisoned.is_none() && (self.wal_bytes >= CHECKPOINT_IDLE_BYTES || self.deletable().is_some())
    }

    fn idle(&mut self) {
        if self.wal_bytes >= CHECKPOINT_IDLE_BYTES {
            self.guarded("checkpoint", Self::checkpoint);
        } else {
            self.guarded("purge", |w| w.commit(&[]));
        }
    }

    fn commit(&mut self, batch: &[Request]) -> rusqlite::Result<()> {
        let committed = lock(&self.view).committed;
        let news = committed.filter(|_| committed != self.committed);
        let deletable = self.deletable();
        let deleted = self.db.commit(batch.iter().map(|r| &r.change), news, deletable)?;
        self.committed = committed;
        if let Some(end) = deletable {
            // Purged rows have no gap, so a full bite moved the lower end by as much; any other bite ate all of them.
            self.oldest = if deleted == DELETE_ROWS { self.oldest + deleted } else { end };
        }
        self.wal_bytes += estimate(batch, deleted);
        Ok(())
    }

    fn checkpoint(&mut self) -> rusqlite::Result<()> {
        // Whether or not a reader held part of it back: trying again at once would spin.
        self.db.checkpoint()?;
        self.wal_bytes = 0;
        Ok(())
    }

    fn publish(&self, batch: &[Request]) {
        let mut view = lock(&self.view);
        for request in batch {
            match &request.change {
                Change::Vote(vote) => view.vote = Some(*vote),
                Change::Append(rows) => {
                    if let Some((index, _)) = rows.last() {
                        view.durable(index + 1);
                    }
                }
                Change::Cluster(id) => view.cluster = Some(*id),
                Change::TruncateFrom(_) | Change::Purged(_) => {}
            }
        }
    }

    /// Runs `step` unless something failed before; the first failure is the last thing that happens to the file.
    fn guarded(&mut self, what: &str, step: impl FnOnce(&mut Self) -> rusqlite::Result<()>) {
        if self.poisoned.is_some() {
            return;
        }
        if let Err(error) = step(self) {
            let reason = format!("cannot {what} raft.db: {error}");
            tracing::error!(reason, "the cluster's log stops here");
            self.poisoned = Some(reason.clone());
            self.failure.send_if_modified(|failure| {
                let first = failure.is_none();
                failure.get_or_insert(Failure { reason });
                first
            });
        }
    }
}

/// Bytes that a commit added to the write-ahead log, roughly: its pages, and those of the tree above them.
fn estimate(batch: &[Request], deleted: u64) -> u64 {
    let appended: usize = batch
        .iter()
        .map(|request| match &request.change {
            Change::Append(rows) => rows.iter().map(|(_, bytes)| bytes.len() + 8).sum(),
            _ => 0,
        })
        .sum();
    appended as u64 + (4 + deleted / 16) * PAGE_BYTES
}

/// The view is never left half changed: nothing between lock and unlock can panic.
pub fn lock(view: &Mutex<View>) -> std::sync::MutexGuard<'_, View> {
    view.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
