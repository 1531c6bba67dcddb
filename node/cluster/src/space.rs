//! Room for the log: the log must never be what fills the disk, nor be stopped by what else does.
//!
//! Two lines of defence. Proposals are refused while less than the reserve is free; reads, DNS and tasks go on. And
//! half of the reserve is taken by a file, `ballast`, so that others cannot use it up: it is given back when a start
//! finds the disk full, because even opening a database needs a little space.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

use crate::clock::boottime_ms;

/// How old the figure of free bytes may be on the way of a proposal. At the fastest rate measured (20,000 entries of
/// 256 bytes a second) that is 1 MiB.
const FRESH_MS: u64 = 200;

/// Watches the file system of the state folder.
#[derive(Debug)]
pub struct Space {
    dir: PathBuf,
    reserve: u64,
    /// When (CLOCK_BOOTTIME) how many bytes were free.
    seen: Mutex<Option<(u64, u64)>>,
}

impl Space {
    /// Takes the ballast if there is plenty of room, gives it back if there is little. Call before the log is opened.
    pub fn open(dir: &Path, reserve: u64) -> io::Result<Self> {
        let space = Self { dir: dir.to_owned(), reserve, seen: Mutex::new(None) };
        let ballast = dir.join("ballast");
        let (taken, free) = (ballast.exists(), free_bytes(dir)?);
        if taken && free < reserve / 2 {
            tracing::warn!(free, reserve, "little space left; giving back the ballast");
            fs::remove_file(&ballast)?;
        } else if !taken && free >= reserve.saturating_mul(2) && reserve > 0 {
            take_ballast(&ballast, reserve / 2)?;
        }
        Ok(space)
    }

    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Bytes an ordinary process may still write, as of at most [`FRESH_MS`] ago.
    pub fn free(&self) -> io::Result<u64> {
        let now = boottime_ms();
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match *seen {
            Some((at, free)) if now < at + FRESH_MS => Ok(free),
            _ => {
                let free = free_bytes(&self.dir)?;
                *seen = Some((now, free));
                Ok(free)
            }
        }
    }

    /// A snapshot may use the reserve's upper half: it is what lets the log shrink again.
    pub fn has_room_for_snapshot(&self, expected: u64) -> bool {
        let needed = expected.saturating_mul(2).saturating_add(self.reserve / 2);
        // A file system that does not answer is reported by the next write to it, not here.
        self.free().map_or(true, |free| free >= needed)
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = statvfs(dir)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

fn take_ballast(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::create(path)?;
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    match fallocate(&file, FallocateFlags::empty(), 0, length) {
        Ok(()) => file.sync_all(),
        // A file system without preallocation (NFS, FAT) has only the first line of defence.
        Err(Errno::EOPNOTSUPP) => fs::remove_file(path),
        Err(error) => Err(error.into()),
    }
}
