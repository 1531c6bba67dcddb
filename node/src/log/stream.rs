//! One stream of one task: from its pipe to its file, bounded by giving up the oldest bytes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use console::LogStream;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, SpliceFFlags, fallocate, splice};

use super::index::{Kind, Mark, Writer};

/// Output that has lost its folder has no index either.
pub type Index = Option<Writer>;

/// Moved at one time, so that one busy task does not starve the others.
const TURN_BYTES_MAX: u64 = 1024 * 1024;
/// Holes are cut at the block size of every file system we meet.
const BLOCK: u64 = 4096;
/// Between two time marks of one stream.
const MARK_MS: u64 = 50;

pub struct Stream {
    pub kind: LogStream,
    pipe: OwnedFd,
    file: File,
    /// Where the next byte goes; counts everything the task ever wrote.
    offset: u64,
    /// The oldest byte kept.
    first: u64,
    limit: u64,
    marked_at: u64,
    marked_offset: u64,
}

/// What a turn led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// The pipe is empty, or others shall have their turn.
    Later,
    /// No room on the disk; the bytes wait in the pipe, and so does the task.
    Full,
    Ended,
}

impl Stream {
    /// `offset`: where an earlier logger stopped; the rest is still in the pipe.
    pub fn new(kind: LogStream, pipe: OwnedFd, file: File, (first, offset): (u64, u64), limit: u64) -> Self {
        Self { kind, pipe, file, offset, first, limit, marked_at: 0, marked_offset: offset }
    }

    pub fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Moves what is there. `now`: milliseconds since 1970, for the index.
    pub fn turn(&mut self, now: u64, index: &mut Index) -> io::Result<Turn> {
        let mut left = TURN_BYTES_MAX;
        let turn = loop {
            let mut position = self.offset as libc::off64_t;
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
            match splice(&self.pipe, None, &self.file, Some(&mut position), left as usize, flags) {
                Ok(0) => break Turn::Ended,
                Ok(moved) => {
                    self.offset += moved as u64;
                    left = left.saturating_sub(moved as u64);
                    if left == 0 {
                        break Turn::Later;
                    }
                }
                Err(Errno::EAGAIN) => break Turn::Later,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => {
                    // Our own oldest bytes are the first to go.
                    if !self.give_up_to(self.offset.saturating_sub(self.kept() / 2), now, index)? {
                        break Turn::Full;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        if turn == Turn::Ended {
            // Readers wait for this word. Where it finds no room it is said again later, the pipe stays at its end.
            let told = self.record(Kind::End, self.offset, now, index);
            return if told.is_ok() { Ok(turn) } else { Ok(Turn::Full) };
        }
        self.mark(now, index);
        if self.kept() > self.limit {
            self.give_up_to(self.offset - self.limit / 5 * 4, now, index)?;
        }
        Ok(turn)
    }

    fn kept(&self) -> u64 {
        self.offset - self.first
    }

    fn mark(&mut self, now: u64, index: &mut Index) {
        if self.offset > self.marked_offset && now >= self.marked_at.saturating_add(MARK_MS) {
            // A time less: nothing depends on any single one.
            let _ = self.record(Kind::Written, self.offset, now, index);
            (self.marked_at, self.marked_offset) = (now, self.offset);
        }
    }

    fn record(&self, kind: Kind, offset: u64, now: u64, index: &mut Index) -> io::Result<()> {
        let mark = Mark { kind, stream: self.kind, at: now, offset };
        index.as_mut().map_or(Ok(()), |index| index.append(mark))
    }

    /// Frees the blocks before `first`; false if there is none to free. The index is told before, so that no reader
    /// takes the zeros of the hole for output.
    fn give_up_to(&mut self, first: u64, now: u64, index: &mut Index) -> io::Result<bool> {
        let first = first / BLOCK * BLOCK;
        if first <= self.first {
            return Ok(false);
        }
        let told = self.record(Kind::First, first, now, index);
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let from = self.first / BLOCK * BLOCK;
        fallocate(&self.file, flags, from as libc::off_t, (first - from) as libc::off_t)?;
        self.first = first;
        // On a full disk the index itself may have had no room; there is some now. Without it readers still skip the
        // hole.
        if told.is_err() {
            let _ = self.record(Kind::First, first, now, index);
        }
        Ok(true)
    }
}
