//! Opens output files in a sandbox whose owner may be hostile: never through a link, never anything but a plain file.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use console::LogStream;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

/// A task that keeps planting something else in the file's place loses its output, not our time.
const ATTEMPTS: usize = 5;

pub fn name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    }
}

/// Opens the file of `stream` for writing, owned by the task's user. Whatever else has its name is moved away.
pub fn open_for_writing(sandbox: &Path, stream: LogStream, uid: u32, gid: u32) -> io::Result<File> {
    let folder = open_folder(sandbox)?;
    let name = name(stream);
    for _ in 0..ATTEMPTS {
        match open_plain(&folder, name, OFlag::O_WRONLY | OFlag::O_CREAT) {
            Ok(file) => {
                let meta = file.metadata()?;
                if (meta.uid(), meta.gid()) != (uid, gid) {
                    fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
                }
                return Ok(file);
            }
            Err(error) if is_impostor(&error) => clear(&folder, name)?,
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("something else is put in the place of `{name}` again and again")))
}

/// Opens the file of `stream` for reading; `None` if there is none, or none that may be read.
pub fn open_for_reading(sandbox: &Path, stream: LogStream) -> io::Result<Option<File>> {
    let folder = open_folder(sandbox)?;
    match open_plain(&folder, name(stream), OFlag::O_RDONLY) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_impostor(&error) || error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Non-blocking, so that a FIFO does not hold us up before we have seen that it is one.
fn open_plain(folder: &OwnedFd, name: &str, flags: OFlag) -> io::Result<File> {
    let mut how = OpenHow::new()
        .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    if flags.contains(OFlag::O_CREAT) {
        how = how.mode(Mode::from_bits_truncate(0o644));
    }
    let file = File::from(openat2(folder.as_fd(), name, how)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::EISDIR.into()) }
}

fn is_impostor(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ELOOP | libc::EISDIR | libc::ENXIO | libc::ENODEV))
}

fn clear(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        // A directory: kept for the task under another name.
        Err(_) => Ok(renameat(folder, name, folder, format!("{name}.moved").as_str())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(sandbox: &Path) -> io::Result<File> {
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        open_for_writing(sandbox, LogStream::Stdout, uid, gid)
    }

    #[test]
    fn a_planted_link_fifo_or_folder_is_never_written_through() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (sandbox, victim) = (place.path().join("sandbox"), place.path().join("victim"));
        std::fs::create_dir(&sandbox).expect("sandbox");
        std::fs::write(&victim, "precious").expect("victim");
        let path = sandbox.join("stdout");

        symlink(&victim, &path).expect("link");
        assert!(open_for_reading(&sandbox, LogStream::Stdout).expect("open").is_none());
        write(&sandbox).expect("replaces the link").set_len(0).expect("truncate");
        assert_eq!(std::fs::read_to_string(&victim).expect("victim"), "precious");
        assert!(path.symlink_metadata().expect("stdout").is_file());

        std::fs::remove_file(&path).expect("remove");
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).expect("fifo");
        assert!(open_for_reading(&sandbox, LogStream::Stdout).expect("open").is_none());
        write(&sandbox).expect("replaces the fifo");

        std::fs::remove_file(&path).expect("remove");
        std::fs::create_dir(&path).expect("folder");
        write(&sandbox).expect("moves the folder away");
        assert!(sandbox.join("stdout.moved").is_dir());
    }
}
