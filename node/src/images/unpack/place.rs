//! Writes entries below one folder and nowhere else: every path is resolved by the kernel beneath that folder.
//!
//! What removes something of a lower layer becomes what overlayfs understands: a character device 0:0, or a mark on
//! the folder that hides what lies beneath it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstatat, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, mkfifoat, symlinkat, unlinkat};

use super::archive::{Entry, Kind};
use super::error::{Problem, UnpackError};

const PATH_BYTES_MAX: usize = 4_096;
const NAME_BYTES_MAX: usize = 255;
const WHITEOUT: &[u8] = b".wh.";
/// Marks of aufs; the one below is the only one that means something.
const WHITEOUT_MARK: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

type Time = (i64, u32);

pub struct Place {
    root: OwnedFd,
    /// The folder used last: archives come folder by folder.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Set at the end, because everything that is made in a folder changes its time.
    folder_times: Vec<(Vec<u8>, Time)>,
}

/// A new file whose content is still to be written.
pub struct NewFile(pub OwnedFd);

impl Place {
    pub fn new(root: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let root = openat(AT_FDCWD, root, flags, Mode::empty())?;
        Ok(Self { root, last: None, folder_times: Vec::new() })
    }

    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Makes what the entry says; a file is returned to be filled, then [`finished`](NewFile::finish).
    pub fn put(&mut self, entry: &Entry) -> Result<Option<NewFile>, UnpackError> {
        let path = clean(&entry.path)?;
        let Some(name) = path.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty()) else {
            // The layer's own root.
            self.dress(&path, entry)?;
            return Ok(None);
        };
        let parent_path = &path[..path.len() - name.len()];
        let parent = self.parent(parent_path, &entry.path)?;
        let failed = |error: Errno| UnpackError::write(&entry.path, error);
        if let Some(removed) = name.strip_prefix(WHITEOUT) {
            self.remove(&parent, name, removed, entry)?;
            return Ok(None);
        }
        let hides = self.clear(&parent, name, entry)?;
        let os_name = OsStr::from_bytes(name);
        match &entry.kind {
            Kind::Folder => {
                match mkdirat(&parent, os_name, Mode::from_bits_truncate(0o700)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(failed(error)),
                }
                let folder = self.dress(&path, entry)?;
                if hides {
                    set_xattr(&folder, c"trusted.overlay.opaque", b"y")
                        .map_err(|error| UnpackError::write(&entry.path, error))?;
                }
            }
            Kind::File => {
                let flags =
                    OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let file =
                    openat(&parent, os_name, flags, Mode::from_bits_truncate(0o600)).map_err(failed)?;
                return Ok(Some(NewFile(file)));
            }
            Kind::Symlink(target) => {
                let target = target_of(target, entry)?;
                symlinkat(target.as_c_str(), &parent, os_name).map_err(failed)?;
                own_in(&parent, os_name, entry).map_err(failed)?;
            }
            Kind::HardLink(target) => self.link(target, &parent, os_name, entry)?,
            Kind::Fifo => {
                mkfifoat(&parent, os_name, Mode::from_bits_truncate(entry.mode)).map_err(failed)?;
                own_in(&parent, os_name, entry).map_err(failed)?;
            }
            // Tasks have a /dev of their own; a node's device in an image is of no use, or a danger.
            Kind::Device => {}
        }
        Ok(None)
    }

    /// Gives all folders their time.
    pub fn finish(self) -> Result<(), UnpackError> {
        for (path, time) in self.folder_times.iter().rev() {
            match open_beneath(&self.root, path, OFlag::O_DIRECTORY | OFlag::O_RDONLY) {
                Ok(folder) => set_time(&folder, *time).map_err(|error| UnpackError::write(path, error))?,
                // A later entry took its place.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EXDEV | Errno::ELOOP) => {}
                Err(error) => return Err(UnpackError::write(path, error)),
            }
        }
        Ok(())
    }

    /// The folder at `path` (empty, or with a slash at the end), made with all above it if it is not there.
    fn parent(&mut self, path: &[u8], entry: &[u8]) -> Result<OwnedFd, UnpackError> {
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(|error| UnpackError::write(entry, error));
        if let Some((last, fd)) = &self.last
            && last == path
        {
            return copy(fd);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let folder = match open_beneath(&self.root, path, flags) {
            Ok(folder) => folder,
            Err(Errno::ENOENT) => self.make_folders(path, entry)?,
            Err(error) => return Err(resolved(error, entry)),
        };
        self.last = Some((path.to_vec(), copy(&folder)?));
        Ok(folder)
    }

    fn make_folders(&self, path: &[u8], entry: &[u8]) -> Result<OwnedFd, UnpackError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let mut above = open_beneath(&self.root, b"", flags).map_err(|e| resolved(e, entry))?;
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        let mut begin = 0;
        for end in ends {
            let name = OsStr::from_bytes(&path[begin..end]);
            above = match open_beneath(&self.root, &path[..end], flags) {
                Err(Errno::ENOENT) => {
                    mkdirat(&above, name, Mode::from_bits_truncate(0o755)).map_err(|error| match error {
                        // A symbolic link to nowhere.
                        Errno::EEXIST => UnpackError::hostile(entry, Problem::NoFolder),
                        other => UnpackError::write(entry, other),
                    })?;
                    open_beneath(&self.root, &path[..end], flags).map_err(|e| resolved(e, entry))?
                }
                other => other.map_err(|e| resolved(e, entry))?,
            };
            begin = end + 1;
        }
        Ok(above)
    }

    /// Removes what stands where the entry is to be; true if that was a mark of removal. A folder stays for a folder.
    fn clear(&mut self, parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<bool, UnpackError> {
        let Some(there) = stat(parent, name).map_err(|e| UnpackError::write(&entry.path, e))? else {
            return Ok(false);
        };
        let is_folder = kind_of(&there) == SFlag::S_IFDIR;
        if is_folder && entry.kind == Kind::Folder {
            return Ok(false);
        }
        if entry.kind == Kind::Device {
            return Ok(false);
        }
        // It may be the one that is kept open, or be on its way.
        self.last = None;
        let flag = if is_folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        match unlinkat(parent, OsStr::from_bytes(name), flag) {
            Ok(()) => Ok(is_whiteout(&there)),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {
                Err(UnpackError::hostile(&entry.path, Problem::FullFolder))
            }
            Err(error) => Err(UnpackError::write(&entry.path, error)),
        }
    }

    /// A mark that something of the layers below is gone.
    fn remove(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        removed: &[u8],
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let failed = |error: io::Error| UnpackError::write(&entry.path, error);
        let hide = |folder: &OwnedFd| set_xattr(folder, c"trusted.overlay.opaque", b"y").map_err(failed);
        if name == OPAQUE {
            return hide(&readable(parent).map_err(|e| failed(e.into()))?);
        }
        if name.starts_with(WHITEOUT_MARK) {
            return Ok(());
        }
        if matches!(removed, b"" | b"." | b"..") {
            return Err(UnpackError::hostile(&entry.path, Problem::Whiteout));
        }
        let os_name = OsStr::from_bytes(removed);
        match stat(parent, removed).map_err(|e| failed(e.into()))? {
            // This layer puts something else there: a folder must then hide what was below, a file does so anyway.
            Some(there) if kind_of(&there) == SFlag::S_IFDIR => {
                let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                hide(&openat(parent, os_name, flags, Mode::empty()).map_err(|e| failed(e.into()))?)
            }
            Some(_) => Ok(()),
            None => mknodat(parent, os_name, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))
                .map_err(|e| failed(e.into())),
        }
    }

    fn link(&self, target: &[u8], parent: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), UnpackError> {
        let absent = || UnpackError::hostile(&entry.path, Problem::HardLink);
        // Links are written as names from the layer's root, by some with a slash before.
        let target = clean(target.strip_prefix(b"/").unwrap_or(target)).map_err(|_| absent())?;
        let target_name =
            target.rsplit(|b| *b == b'/').next().filter(|n| !n.is_empty()).ok_or_else(absent)?;
        let folder = &target[..target.len() - target_name.len()];
        let folder =
            open_beneath(&self.root, folder, OFlag::O_PATH | OFlag::O_DIRECTORY).map_err(|_| absent())?;
        let there = stat(&folder, target_name).map_err(|e| UnpackError::write(&entry.path, e))?;
        if !there.is_some_and(|t| matches!(kind_of(&t), SFlag::S_IFREG | SFlag::S_IFLNK | SFlag::S_IFIFO)) {
            return Err(absent());
        }
        match linkat(&folder, OsStr::from_bytes(target_name), parent, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            // A link to itself was removed a moment ago.
            Err(Errno::ENOENT) => Err(absent()),
            Err(error) => Err(UnpackError::write(&entry.path, error)),
        }
    }

    /// Owner, mode, attributes of a folder that is there; its time comes at the end.
    fn dress(&mut self, path: &[u8], entry: &Entry) -> Result<OwnedFd, UnpackError> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_NOFOLLOW;
        let folder = open_beneath(&self.root, path, flags).map_err(|error| resolved(error, &entry.path))?;
        dress(&folder, entry).map_err(|error| UnpackError::write(&entry.path, error))?;
        self.folder_times.push((path.to_vec(), entry.modified));
        Ok(folder)
    }
}

impl NewFile {
    /// After the content: owner, mode, attributes, time.
    pub fn finish(&self, entry: &Entry) -> Result<(), UnpackError> {
        let all = || {
            dress(&self.0, entry)?;
            set_time(&self.0, entry.modified)
        };
        all().map_err(|error| UnpackError::write(&entry.path, error))
    }
}

/// Names from the layer's root, with single slashes, without `.`; empty for the root itself.
fn clean(path: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let refuse = |problem| Err(UnpackError::hostile(path, problem));
    if path.is_empty() {
        return refuse(Problem::NoName);
    }
    if path.len() > PATH_BYTES_MAX {
        return refuse(Problem::LongName);
    }
    if path.contains(&0) {
        return refuse(Problem::Nul);
    }
    if path.starts_with(b"/") {
        return refuse(Problem::Absolute);
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return refuse(Problem::DotDot),
            name if name.len() > NAME_BYTES_MAX => return refuse(Problem::LongName),
            name => names.push(name),
        }
    }
    Ok(names.join(&b'/'))
}

fn target_of(target: &[u8], entry: &Entry) -> Result<CString, UnpackError> {
    match target.len() {
        0 => Err(UnpackError::hostile(&entry.path, Problem::NoName)),
        length if length >= PATH_BYTES_MAX => Err(UnpackError::hostile(&entry.path, Problem::LongName)),
        _ => CString::new(target).map_err(|_| UnpackError::hostile(&entry.path, Problem::Nul)),
    }
}

/// Resolved by the kernel beneath `root`; a symbolic link may be followed, but not out of it.
fn open_beneath(root: &OwnedFd, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    loop {
        match openat2(root, OsStr::from_bytes(path), how) {
            // The kernel could not rule out that something was moved meanwhile.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            result => return result,
        }
    }
}

fn resolved(error: Errno, entry: &[u8]) -> UnpackError {
    match error {
        Errno::EXDEV => UnpackError::hostile(entry, Problem::LinkOut),
        Errno::ENOTDIR | Errno::ELOOP | Errno::ENOENT => UnpackError::hostile(entry, Problem::NoFolder),
        Errno::ENAMETOOLONG => UnpackError::hostile(entry, Problem::LongName),
        other => UnpackError::write(entry, other),
    }
}

fn stat(folder: &OwnedFd, name: &[u8]) -> Result<Option<FileStat>, Errno> {
    match fstatat(folder, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn is_whiteout(stat: &FileStat) -> bool {
    kind_of(stat) == SFlag::S_IFCHR && stat.st_rdev == makedev(0, 0)
}

/// The same folder, opened so that attributes can be set.
fn readable(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(folder, c".", OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

fn dress(file: &OwnedFd, entry: &Entry) -> io::Result<()> {
    fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    // After the owner: a change of owner takes the set-user bit away.
    fchmod(file, Mode::from_bits_truncate(entry.mode))?;
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        set_xattr(file, &CString::new(name.as_slice()).map_err(io::Error::other)?, value)?;
    }
    Ok(())
}

/// Capabilities of files, and what users note. Above all nothing that overlayfs would take for its own.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

fn own_in(folder: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    fchownat(folder, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let time = TimeSpec::new(entry.modified.0, i64::from(entry.modified.1));
    utimensat(folder, name, &time, &time, UtimensatFlags::NoFollowSymlink)
}

fn set_time(file: &OwnedFd, (seconds, nanos): Time) -> io::Result<()> {
    let time = TimeSpec::new(seconds, i64::from(nanos));
    Ok(nix::sys::stat::futimens(file, &time, &time)?)
}

fn set_xattr(file: &OwnedFd, name: &std::ffi::CStr, value: &[u8]) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the name is NUL-terminated, value and length belong together, both live across the call.
    let result = unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_root() {
        for (path, expected) in [
            ("a", "a"),
            ("./a//b/.", "a/b"),
            ("./", ""),
            (".", ""),
            ("a/", "a"),
            ("...", "..."),
            ("a/..b", "a/..b"),
        ] {
            assert_eq!(clean(path.as_bytes()).unwrap(), expected.as_bytes(), "{path}");
        }
        let long = "x".repeat(256);
        for (path, expected) in [
            ("", Problem::NoName),
            ("/", Problem::Absolute),
            ("/etc/passwd", Problem::Absolute),
            ("..", Problem::DotDot),
            ("a/../../b", Problem::DotDot),
            ("a\0b", Problem::Nul),
            (&long, Problem::LongName),
        ] {
            match clean(path.as_bytes()) {
                Err(UnpackError::Hostile { problem, .. }) => assert_eq!(problem, expected, "{path}"),
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    #[test]
    fn nothing_of_overlayfs_is_taken_from_an_archive() {
        assert!(is_kept(b"security.capability") && is_kept(b"user.note"));
        for name in [
            &b"trusted.overlay.opaque"[..],
            b"trusted.overlay.redirect",
            b"user.overlay.opaque",
            b"security.ima",
        ] {
            assert!(!is_kept(name));
        }
    }
}
