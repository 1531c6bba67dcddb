//! The entries of a folder in a sandbox, a page at a time: a task may have made millions of them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use console::sandbox::{Entry, EntryKind, Listing};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, fstatat};

use super::place::descriptor_path;

/// Names that are read of one folder: beyond that nobody pages.
pub const ENTRIES_MAX: usize = 10_000;

/// Names of the entries, folders first, then by name; and whether there are more than [`ENTRIES_MAX`].
pub fn names(folder: &File) -> io::Result<(Vec<Vec<u8>>, bool)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(descriptor_path(folder.as_fd()))? {
        if found.len() == ENTRIES_MAX {
            return Ok((sorted(found), true));
        }
        let entry = entry?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        found.push((!is_folder, entry.file_name().into_vec()));
    }
    Ok((sorted(found), false))
}

fn sorted(mut found: Vec<(bool, Vec<u8>)>) -> Vec<Vec<u8>> {
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

pub fn page(folder: &File, skip: usize, limit: usize) -> io::Result<Listing> {
    let (names, truncated) = names(folder)?;
    let total = names.len();
    let wanted = names.into_iter().skip(skip).take(limit);
    // What is gone by now is not there.
    let entries = wanted.filter_map(|name| entry(folder, name).transpose()).collect::<io::Result<_>>()?;
    Ok(Listing { entries, total, truncated })
}

fn entry(folder: &File, name: Vec<u8>) -> io::Result<Option<Entry>> {
    let stat = match fstatat(folder, name.as_slice(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let kind = kind(&stat);
    let target = match kind {
        EntryKind::Link => readlinkat(folder, name.as_slice()).ok().map(OsStringExt::into_vec),
        _ => None,
    };
    Ok(Some(Entry {
        name,
        kind,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        modified_ms: modified_ms(stat.st_mtime, stat.st_mtime_nsec),
        target,
    }))
}

fn kind(stat: &FileStat) -> EntryKind {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => EntryKind::File,
        libc::S_IFDIR => EntryKind::Folder,
        libc::S_IFLNK => EntryKind::Link,
        libc::S_IFIFO => EntryKind::Fifo,
        libc::S_IFSOCK => EntryKind::Socket,
        _ => EntryKind::Device,
    }
}

/// A task may set any time, the year minus two billion included.
pub fn modified_ms(seconds: i64, nanoseconds: i64) -> u64 {
    let ms = seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000);
    u64::try_from(ms).unwrap_or_default().min(model::Timestamp::MAX.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn pages_of_a_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("z-folder")).expect("a folder");
        fs::write(at("b"), "12345").expect("a file");
        fs::write(at("a\n<b>"), "").expect("a file");
        symlink("/etc/passwd", at("c")).expect("a link");
        nix::unistd::mkfifo(&at("d"), nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a fifo");
        let open = File::open(folder.path()).expect("open");
        let listing = page(&open, 0, 100).expect("a listing");
        let seen: Vec<_> = listing.entries.iter().map(|e| (e.name.as_slice(), e.kind, e.size)).collect();
        assert_eq!(seen[0].1, EntryKind::Folder);
        assert_eq!(
            seen[1..],
            [
                (b"a\n<b>".as_slice(), EntryKind::File, 0),
                (b"b".as_slice(), EntryKind::File, 5),
                (b"c".as_slice(), EntryKind::Link, 11),
                (b"d".as_slice(), EntryKind::Fifo, 0),
            ]
        );
        assert_eq!(listing.entries[3].target.as_deref(), Some(b"/etc/passwd".as_slice()));
        let part = page(&open, 1, 2).expect("a listing");
        assert_eq!((part.entries.len(), part.total, part.truncated), (2, 5, false));
        assert_eq!(part.entries[0].name, b"a\n<b>");
        assert_eq!(page(&open, 5, 2).expect("beyond the end").entries, []);
    }

    #[test]
    fn more_than_anybody_reads_is_cut() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for n in 0..ENTRIES_MAX + 5 {
            fs::write(folder.path().join(format!("{n:06}")), "").expect("a file");
        }
        let listing = page(&File::open(folder.path()).expect("open"), 0, 10).expect("a listing");
        assert_eq!((listing.entries.len(), listing.total, listing.truncated), (10, ENTRIES_MAX, true));
    }

    #[test]
    fn times_of_all_ages() {
        assert_eq!(modified_ms(1, 5_000_000), 1_005);
        assert_eq!(modified_ms(-1, 0), 0);
        assert_eq!(modified_ms(i64::MAX, 0), model::Timestamp::MAX.0);
        assert_eq!(modified_ms(i64::MIN, 0), 0);
    }
}
