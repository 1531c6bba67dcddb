//! A disk in memory that keeps, through a crash, what was flushed and nothing else.
//!
//! As `raft.db`: everything that waits goes into one flush, which a crash leaves whole or not at all.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::State;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{AsyncRuntime, OptionalSend};
use tokio::sync::{mpsc, oneshot};

use super::Runtime;
use crate::machine::Keep;
use crate::snapshot::Stored;
use crate::types::{Entry, LogId, SnapshotMeta, Tc, Vote};

/// One node's disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// As its program reads it.
    seen: Content,
    /// As a power cut leaves it.
    durable: Content,
    /// Handles of an earlier life of the program reach nothing any more.
    life: u64,
    flush_ms: u64,
    /// A bug to be found: says that it has flushed before it does.
    lies: bool,
}

#[derive(Clone, Default)]
struct Content {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
    snapshot: Option<Stored>,
}

enum Change {
    Vote(Vote),
    Append(Vec<Entry>),
    TruncateFrom(u64),
    Purged(LogId),
    Snapshot(Stored),
}

/// How long a disk that lies keeps what it has called durable in its cache.
const CACHED_MS: u64 = 2_000;

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

impl Disk {
    /// What one flush takes from now on.
    pub fn set_flush_ms(&self, flush_ms: u64) {
        self.lock().flush_ms = flush_ms;
    }

    /// Switches on the bug that acknowledges before anything is durable.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    /// The program that writes here is dead at once. What it was flushing is on the disk if `finishes`.
    pub(super) fn crash(&self, finishes: bool) {
        let mut inner = self.lock();
        inner.life += 1;
        // What only waits to be flushed is in `seen` as well: what a flush under way had taken cannot be told from it,
        // so all of it counts as under way.
        if finishes && !inner.lies {
            inner.durable = inner.seen.clone();
        }
        inner.seen = inner.durable.clone();
    }

    /// The log of a program that starts, and the snapshot before it.
    pub(super) fn open(&self) -> (Log, Snapshots, Option<Stored>) {
        let (life, stored) = {
            let mut inner = self.lock();
            inner.life += 1;
            (inner.life, inner.seen.snapshot.clone())
        };
        let (queue, changes) = mpsc::unbounded_channel();
        let log = Log { disk: self.clone(), life, queue };
        <Runtime as AsyncRuntime>::spawn(flush(self.clone(), life, changes));
        (log.clone(), Snapshots(log), stored)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn takes_ms(&self) -> u64 {
        if self.lies { CACHED_MS } else { self.flush_ms }
    }
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Vote(vote) => self.vote = Some(*vote),
            Change::Append(entries) => {
                self.entries.extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
            }
            Change::TruncateFrom(index) => drop(self.entries.split_off(index)),
            Change::Purged(mark) => {
                self.purged = self.purged.max(Some(*mark));
                self.entries = self.entries.split_off(&(mark.index + 1));
            }
            Change::Snapshot(stored) => self.snapshot = Some(stored.clone()),
        }
    }

    fn last(&self) -> Option<LogId> {
        self.entries.values().next_back().map(|entry| entry.log_id).max(self.purged)
    }
}

/// Makes durable what waits, all of it at once, until the program is dead.
async fn flush(disk: Disk, life: u64, mut changes: mpsc::UnboundedReceiver<(Change, Done)>) {
    while let Some(first) = changes.recv().await {
        let mut batch = vec![first];
        while let Ok(next) = changes.try_recv() {
            batch.push(next);
        }
        let ms = disk.lock().takes_ms();
        <Runtime as AsyncRuntime>::sleep(Duration::from_millis(ms)).await;
        let mut inner = disk.lock();
        if inner.life != life {
            return;
        }
        for (change, _) in &batch {
            inner.durable.apply(change);
        }
        drop(inner);
        for (_, done) in batch {
            done(Ok(()));
        }
    }
}

/// A handle of one life of the program.
#[derive(Clone)]
pub struct Log {
    disk: Disk,
    life: u64,
    queue: mpsc::UnboundedSender<(Change, Done)>,
}

impl Log {
    fn inner(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.lock();
        if inner.life == self.life { Ok(inner) } else { Err(dead()) }
    }

    /// Seen at once, durable when `done` is called. Of a dead program nothing is written, and nobody is told.
    fn write(&self, change: Change, done: Done) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.seen.apply(&change);
        let lies = inner.lies;
        drop(inner);
        let (now, later): (Done, Done) = if lies { (done, Box::new(drop)) } else { (Box::new(drop), done) };
        now(Ok(()));
        self.queue.send((change, later)).map_err(|_| dead())
    }

    async fn durably(&self, change: Change) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        // Nobody waits any more when the program is shutting down.
        self.write(change, Box::new(move |result| drop(done.send(result))))?;
        answer.await.unwrap_or_else(|_| Err(dead()))
    }
}

fn dead() -> io::Error {
    io::Error::other("this program was killed")
}

impl RaftLogReader<Tc<Runtime>> for Log {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry>> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        Ok(self.inner()?.seen.entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.inner()?.seen.vote)
    }
}

impl RaftLogStorage<Tc<Runtime>> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Tc<Runtime>>> {
        let inner = self.inner()?;
        Ok(LogState { last_purged_log_id: inner.seen.purged, last_log_id: inner.seen.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.durably(Change::Vote(*vote)).await
    }

    /// Not durable by itself, as in the real store; here it never becomes so.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.inner()?.seen.committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.inner()?.seen.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Tc<Runtime>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        self.write(Change::Append(entries), Box::new(|result| callback.io_completed(result)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.durably(Change::TruncateFrom(last.map_or(0, |id| id.index + 1))).await
    }

    async fn purge(&mut self, mark: LogId) -> io::Result<()> {
        self.durably(Change::Purged(mark)).await
    }
}

/// Snapshots on the same disk; of the real store it has the last one only.
pub struct Snapshots(Log);

impl Keep for Snapshots {
    fn has_room(&self, _expected: u64) -> bool {
        true
    }

    async fn save<R: AsyncRuntime>(&self, meta: SnapshotMeta, state: Arc<State>) -> io::Result<u64> {
        self.0.durably(Change::Snapshot(Stored { meta, state, bytes: 0 })).await?;
        Ok(0)
    }
}
