//! The log as raft sees it: ahead of the disk by what the writer thread has not yet committed.

use std::collections::VecDeque;
use std::ops::Range;

use model::ClusterId;

use super::db::Loaded;
use crate::types::{Entry, LogId, Vote};

/// Encoded bytes of entries kept in memory. Followers and `apply` read the newest entries; older ones come from disk.
pub const TAIL_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub struct View {
    /// The cluster this log is signed with.
    pub cluster: Option<ClusterId>,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
    /// Index of the first entry that exists, or of the next to come if there is none.
    first: u64,
    tail: Tail,
    /// Entries below this index are on disk.
    durable_to: u64,
}

impl View {
    pub fn new(loaded: Loaded) -> Self {
        let next = loaded.last.map_or(0, |id| id.index + 1);
        Self {
            first: loaded.purged.map_or(0, |id| id.index + 1),
            cluster: loaded.cluster,
            vote: loaded.vote,
            committed: loaded.committed,
            purged: loaded.purged,
            last: loaded.last,
            tail: Tail { first: next, entries: VecDeque::new(), bytes: 0 },
            durable_to: next,
        }
    }

    /// The indices that exist: after the purge mark, up to the last entry.
    pub fn span(&self) -> Range<u64> {
        self.first..self.last.map_or(self.first, |id| id.index + 1)
    }

    /// Adds an entry of `bytes` encoded bytes. False if it does not follow the last one. An untouched log may begin
    /// anywhere; `raft.db` must begin at 0 or after a snapshot when it is opened again.
    pub fn push(&mut self, entry: Entry, bytes: usize) -> bool {
        if self.last.is_none() {
            self.first = entry.log_id.index;
            self.tail.first = self.first;
            self.durable_to = self.first;
        }
        if entry.log_id.index != self.span().end {
            return false;
        }
        self.last = Some(entry.log_id);
        self.tail.entries.push_back((entry, bytes));
        self.tail.bytes += bytes;
        self.evict();
        true
    }

    pub fn truncate_after(&mut self, last: Option<LogId>) {
        self.last = self.last.min(last.max(self.purged));
        let end = self.span().end;
        self.durable_to = self.durable_to.min(end);
        self.tail.truncate(end);
    }

    pub fn purge(&mut self, mark: LogId) {
        self.purged = self.purged.max(Some(mark));
        self.last = self.last.max(Some(mark));
        self.first = self.first.max(mark.index + 1);
        self.durable_to = self.durable_to.max(self.first);
        self.tail.drop_below(self.first);
    }

    /// The writer thread has committed everything below `end`.
    pub fn durable(&mut self, end: u64) {
        // A truncation that is still queued may have taken entries back meanwhile.
        self.durable_to = self.durable_to.max(end.min(self.span().end));
        self.evict();
    }

    #[cfg(test)]
    pub fn bytes_in_memory(&self) -> usize {
        self.tail.bytes
    }

    fn evict(&mut self) {
        while self.tail.bytes > TAIL_BYTES_MAX && self.tail.first < self.durable_to {
            self.tail.pop_front();
        }
    }

    /// The entries of `range` that are in memory, and the part before them that must be read from disk.
    pub fn get(&self, range: Range<u64>) -> (Range<u64>, Vec<Entry>) {
        let span = self.span();
        let (from, to) = (range.start.max(span.start), range.end.min(span.end));
        let on_disk = from..to.min(self.tail.first).max(from);
        let in_memory = from.max(self.tail.first)..to;
        (on_disk, self.tail.slice(in_memory))
    }
}

/// The newest entries, without gap up to the last one.
#[derive(Debug)]
struct Tail {
    /// Index of the front entry, or of the next to come if there is none.
    first: u64,
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Tail {
    fn pop_front(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.first += 1;
            self.bytes -= bytes;
        }
    }

    fn drop_below(&mut self, first: u64) {
        while self.first < first && !self.entries.is_empty() {
            self.pop_front();
        }
        self.first = self.first.max(first);
    }

    fn truncate(&mut self, end: u64) {
        while self.first + self.entries.len() as u64 > end
            && let Some((_, bytes)) = self.entries.pop_back()
        {
            self.bytes -= bytes;
        }
        self.first = self.first.min(end);
    }

    fn slice(&self, range: Range<u64>) -> Vec<Entry> {
        if range.is_empty() {
            return Vec::new();
        }
        let at = |index: u64| usize::try_from(index - self.first).unwrap_or(usize::MAX);
        self.entries.range(at(range.start)..at(range.end)).map(|(entry, _)| entry.clone()).collect()
    }
}
