//! Raft's log and votes, in memory as raft sees them and in `raft.db` as a power cut leaves them.
//!
//! Called by openraft only. `append` puts entries into the tail in memory and hands them to the writer thread; what
//! raft waits for (votes, truncation, the purge mark) is awaited, everything else never blocks the core.

pub mod db;
mod view;
mod writer;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use model::ClusterId;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{AsyncRuntime, OptionalSend};
use tokio::sync::{oneshot, watch};

use crate::codec;
use crate::config::Config;
use crate::error::{Failure, OpenError};
use crate::types::{Entry, LogId, Tc, Vote};
use db::{Change, Db, Reader};
use view::View;
pub use writer::DeleteLimit;
use writer::{Queue, Writer, lock};

/// Encoded bytes handed out by one read for replication.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A handle; clones are readers of the same log.
#[derive(Clone)]
pub struct LogStore {
    queue: Queue,
    view: Arc<Mutex<View>>,
    reader: Arc<Mutex<Reader>>,
}

impl LogStore {
    /// Opens `path` for the node of `config`, continuing after `snapshot`. Rows at or below both the purge mark and `delete_limit` are deleted
    /// in the background. The thread ends after the last handle is gone.
    pub fn open(
        path: &Path,
        config: &Config,
        snapshot: Option<LogId>,
        failure: watch::Sender<Option<Failure>>,
        delete_limit: DeleteLimit,
    ) -> Result<(Self, JoinHandle<()>), OpenError> {
        let db = Db::open(path, config.node, config.start)?;
        let view = Arc::new(Mutex::new(View::new(db.load(path, snapshot)?)));
        let reader = Arc::new(Mutex::new(Reader::open(path)?));
        let (queue, thread) = Writer::spawn(db, view.clone(), failure, delete_limit)
            .map_err(|source| OpenError::Io { what: "start the writer of", path: path.to_owned(), source })?;
        Ok((Self { queue, view, reader }, thread))
    }

    #[cfg(test)]
    pub fn bytes_in_memory(&self) -> usize {
        lock(&self.view).bytes_in_memory()
    }

    /// The cluster this log belongs to, once that is written down.
    pub fn cluster(&self) -> Option<ClusterId> {
        lock(&self.view).cluster
    }

    /// Writes down which cluster this log belongs to. The first writing stays.
    pub async fn sign(&self, cluster: ClusterId) -> io::Result<()> {
        match self.cluster() {
            Some(_) => Ok(()),
            None => self.durably(Change::Cluster(cluster)).await,
        }
    }

    /// Sends a change and waits until it is durable.
    async fn durably(&self, change: Change) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let done = Box::new(move |result| {
            // Nobody waits any more when raft is shutting down.
            let _ = done.send(result);
        });
        self.queue.send(change, done).await;
        answer.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer thread has ended")))
    }

    /// To read from, however long: it keeps no log open that is to be closed.
    pub fn entries(&self) -> Entries {
        Entries { view: self.view.clone(), reader: self.reader.clone() }
    }
}

/// The entries of a log.
#[derive(Clone)]
pub struct Entries {
    view: Arc<Mutex<View>>,
    reader: Arc<Mutex<Reader>>,
}

impl Entries {
    /// Some of `start..end`, from the first of them that there is on.
    pub async fn some<R: AsyncRuntime>(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read::<R>(start..end, READ_BYTES_MAX).await
    }

    /// Entries of `range`: from memory, and before that from disk, at most about `bytes_max` from there.
    async fn read<R: AsyncRuntime>(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (on_disk, in_memory) = lock(&self.view).get(range);
        if on_disk.is_empty() {
            return Ok(in_memory);
        }
        let (reader, wanted) = (self.reader.clone(), on_disk.clone());
        let mut entries = R::spawn_blocking(move || {
            let reader = reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            reader.read(wanted.start, wanted.end, bytes_max)
        })
        .await??;
        self.check(&entries, on_disk.clone())?;
        if entries.last().is_some_and(|entry| entry.log_id.index + 1 == on_disk.end) {
            entries.extend(in_memory);
        }
        Ok(entries)
    }

    /// What came from disk must have no gap, except in front by a purge that went on meanwhile.
    fn check(&self, entries: &[Entry], range: Range<u64>) -> io::Result<()> {
        let first = range.start.max(lock(&self.view).span().start);
        let found = entries.first().map_or(range.end, |entry| entry.log_id.index);
        let gap = entries.windows(2).find(|pair| pair[0].log_id.index + 1 != pair[1].log_id.index);
        match gap {
            None if found <= first => Ok(()),
            None => Err(io::Error::other(format!("raft.db lacks entry {first}, the next is {found}"))),
            Some(pair) => Err(io::Error::other(format!("raft.db lacks the entry after {}", pair[0].log_id))),
        }
    }
}

impl<R: AsyncRuntime> RaftLogReader<Tc<R>> for LogStore {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry>> {
        self.entries().read::<R>(to_range(&range), usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.entries().some::<R>(start, end).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(lock(&self.view).vote)
    }
}

impl<R: AsyncRuntime> RaftLogStorage<Tc<R>> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Tc<R>>> {
        let view = lock(&self.view);
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.durably(Change::Vote(*vote)).await
    }

    /// Not made durable by itself: it rides on the next write. A node that lost it learns it from the leader.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        lock(&self.view).committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(lock(&self.view).committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Tc<R>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let rows = self.push(entries)?;
        self.queue.send(Change::Append(rows), Box::new(|result| callback.io_completed(result))).await;
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        lock(&self.view).truncate_after(last);
        self.durably(Change::TruncateFrom(last.map_or(0, |id| id.index + 1))).await
    }

    /// Only the mark is awaited; rows are deleted a few at a time when the writer has nothing else to do.
    async fn purge(&mut self, mark: LogId) -> io::Result<()> {
        self.durably(Change::Purged(mark)).await?;
        lock(&self.view).purge(mark);
        Ok(())
    }
}

impl LogStore {
    /// Makes entries readable, and returns them as they will be stored.
    fn push(&self, entries: impl IntoIterator<Item = Entry>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut rows = Vec::new();
        let mut view = lock(&self.view);
        for entry in entries {
            let (id, bytes) = (entry.log_id, codec::encode(&entry)?);
            let end = view.span().end;
            if !view.push(entry, bytes.len()) {
                return Err(io::Error::other(format!(
                    "entry {id} does not follow the last, {end} was expected"
                )));
            }
            rows.push((id.index, bytes));
        }
        Ok(rows)
    }
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}
