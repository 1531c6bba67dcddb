//! Room for the log: the log must never be what fills the disk, nor be stopped by what else does.
//!
//! Two lines of defence. Proposals are refused while less than the reserve is free; reads, DNS and tasks go on. And
//! a file, `ballast`, of half the reserve is kept beside it, so that others cannot use that up: it is given back when
//! they have used up everything else, because votes, marks and even opening a database need a little space.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

/// Watches the file system of the state folder.
#[derive(Debug)]
pub struct Space {
    dir: PathBuf,
    reserve: u64,
}

impl Space {
    /// Takes the ballast if there is plenty of room, gives it back if there is little. Call before the log is opened.
    pub fn open(dir: &Path, reserve: u64) -> io::Result<Self> {
        let space = Self { dir: dir.to_owned(), reserve };
        if space.free()? >= reserve.saturating_mul(2) && reserve > 0 && !space.ballast().exists() {
            take_ballast(&space.ballast(), reserve / 2)?;
        }
        Ok(space)
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Bytes an ordinary process may write now, after the ballast was given back if they are few. One system call of
    /// a few microseconds, so every proposal asks: a figure of 200 ms ago would be 8 MB off on a fast disk.
    pub fn free(&self) -> io::Result<u64> {
        let free = free_bytes(&self.dir)?;
        if free >= self.reserve / 2 || !self.ballast().exists() {
            return Ok(free);
        }
        tracing::warn!(free, reserve = self.reserve, "little space left; giving back the ballast");
        fs::remove_file(self.ballast())?;
        free_bytes(&self.dir)
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
