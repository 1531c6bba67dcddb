//! Opens what lies in a sandbox whose owner may be hostile and busy: nothing outside it, and nothing but plain files
//! and folders.
//!
//! A path is first only pointed at (`O_PATH`), which opens no device and waits for no FIFO; the kernel itself keeps
//! the walk beneath the sandbox, whatever is renamed meanwhile. What was found is looked at, and only then opened
//! through its descriptor: it cannot be another by then.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use console::SandboxError;
use console::sandbox::SandboxPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

/// The kernel asks for another try when a rename came into the walk; a task that renames for ever does not hold us.
const ATTEMPTS: usize = 16;

#[derive(Debug)]
pub enum Found {
    File(File, Metadata),
    /// Opened for reading its entries.
    Folder(File),
}

/// `path` in `sandbox`. Links are followed as long as they stay beneath it.
pub fn find(sandbox: &Path, path: &SandboxPath) -> Result<Found, SandboxError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = open(sandbox, flags, Mode::empty()).map_err(fault)?;
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let found = point_at(folder.as_fd(), &path.to_bytes(), OFlag::empty(), resolve).map_err(fault)?;
    open_found(found)
}

/// An entry of a folder itself: a link is found as a link.
pub fn entry(folder: BorrowedFd<'_>, name: &[u8]) -> nix::Result<OwnedFd> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    point_at(folder, name, OFlag::O_NOFOLLOW, resolve)
}

fn point_at(folder: BorrowedFd<'_>, path: &[u8], flags: OFlag, resolve: ResolveFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | flags).resolve(resolve);
    for _ in 0..ATTEMPTS {
        match openat2(folder, path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            result => return result,
        }
    }
    Err(Errno::EAGAIN)
}

/// Opens a plain file or a folder that is pointed at.
pub fn open_found(found: OwnedFd) -> Result<Found, SandboxError> {
    let io = |error: io::Error| SandboxError::Io(error.to_string());
    let found = File::from(found);
    let meta = found.metadata().map_err(io)?;
    let is_folder = meta.is_dir();
    if !is_folder && !meta.is_file() {
        return Err(SandboxError::Refused("it is neither a file nor a folder"));
    }
    // Non-blocking: a lease that the task holds on its file makes this fail instead of waiting.
    let mut flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    flags.set(OFlag::O_DIRECTORY, is_folder);
    let file = File::from(open(&descriptor_path(found.as_fd()), flags, Mode::empty()).map_err(fault)?);
    Ok(if is_folder { Found::Folder(file) } else { Found::File(file, meta) })
}

/// Leads to the very file that is open, under whatever name it has now.
pub fn descriptor_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn fault(error: Errno) -> SandboxError {
    match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => SandboxError::NotFound,
        Errno::EXDEV => SandboxError::Refused("it leads outside the sandbox"),
        Errno::ELOOP => SandboxError::Refused("its links lead nowhere"),
        other => SandboxError::Io(io::Error::from(other).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn path(text: &str) -> SandboxPath {
        SandboxPath::parse(text.as_bytes()).expect("a path")
    }

    fn read(sandbox: &Path, name: &str) -> Result<String, SandboxError> {
        let Found::File(mut file, _) = find(sandbox, &path(name))? else { return Ok("a folder".into()) };
        let mut text = String::new();
        file.read_to_string(&mut text).expect("text");
        Ok(text)
    }

    #[test]
    fn only_files_and_folders_beneath_are_opened() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (sandbox, outside) = (place.path().join("sandbox"), place.path().join("outside"));
        std::fs::create_dir_all(sandbox.join("a/b")).expect("folders");
        std::fs::write(&outside, "precious").expect("a victim");
        std::fs::write(sandbox.join("a/b/file"), "ours").expect("a file");
        for (target, link) in [
            ("/etc/passwd", "absolute"),
            ("../outside", "relative"),
            ("a/../../outside", "winding"),
            ("a/b/file", "within"),
            ("b", "a/folder"),
            ("/proc/self/root/etc/passwd", "magic"),
            ("round", "round"),
            ("gone", "dangling"),
        ] {
            symlink(target, sandbox.join(link)).expect("a link");
        }
        symlink(place.path(), sandbox.join("a/up")).expect("a link");
        nix::unistd::mkfifo(&sandbox.join("fifo"), Mode::from_bits_truncate(0o600)).expect("a fifo");
        let _socket = UnixListener::bind(sandbox.join("socket")).expect("a socket");
        let outside_refused = Err(SandboxError::Refused("it leads outside the sandbox"));
        let kind_refused = Err(SandboxError::Refused("it is neither a file nor a folder"));
        for (name, expected) in [
            ("a/b/file", Ok("ours".to_owned())),
            ("within", Ok("ours".to_owned())),
            ("a/folder/file", Ok("ours".to_owned())),
            ("", Ok("a folder".to_owned())),
            ("absolute", outside_refused.clone()),
            ("relative", outside_refused.clone()),
            ("winding", outside_refused.clone()),
            ("magic", outside_refused.clone()),
            ("a/up/outside", outside_refused),
            ("round", Err(SandboxError::Refused("its links lead nowhere"))),
            ("dangling", Err(SandboxError::NotFound)),
            ("a/b/file/more", Err(SandboxError::NotFound)),
            ("fifo", kind_refused.clone()),
            ("socket", kind_refused),
        ] {
            assert_eq!(read(&sandbox, name), expected, "{name}");
        }
        assert_eq!(read(&place.path().join("none"), "x"), Err(SandboxError::NotFound));
    }

    #[test]
    fn a_sandbox_that_is_itself_a_link_is_not_followed() {
        let place = tempfile::tempdir().expect("a temporary folder");
        symlink("/etc", place.path().join("sandbox")).expect("a link");
        assert_eq!(read(&place.path().join("sandbox"), "passwd"), Err(SandboxError::NotFound));
    }

    /// One thread swaps a folder for a link to the outside as fast as it can; the other must never read what is there.
    #[test]
    fn renames_in_the_middle_of_a_walk_lead_nowhere_else() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (sandbox, outside) = (place.path().join("sandbox"), place.path().join("outside"));
        std::fs::create_dir_all(sandbox.join("real")).expect("a folder");
        std::fs::create_dir(&outside).expect("a folder");
        std::fs::write(sandbox.join("real/file"), "ours").expect("a file");
        std::fs::write(outside.join("file"), "precious").expect("a victim");
        symlink("../outside", sandbox.join("link")).expect("a link");
        let (over, mut ours, mut refused) = (AtomicBool::new(false), 0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let name = |n: &str| sandbox.join(n);
                while !over.load(Ordering::Relaxed) {
                    for from in ["real", "link"] {
                        std::fs::rename(name(from), name("now")).expect("a rename");
                        std::fs::rename(name("now"), name(from)).expect("a rename");
                    }
                }
            });
            for _ in 0..20_000 {
                match read(&sandbox, "now/file") {
                    Ok(text) => {
                        assert_eq!(text, "ours");
                        ours += 1;
                    }
                    Err(SandboxError::NotFound | SandboxError::Refused(_) | SandboxError::Io(_)) => {
                        refused += 1
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(ours + refused, 20_000);
    }
}
