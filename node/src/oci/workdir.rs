//! The working directory that an image names, made in the task's root if it is not there.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};

/// Makes `path`, as the task will see it, below `root`; links of the image lead nowhere but below `root` either.
pub fn make(root: &Path, path: &Path) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(AT_FDCWD, root, flags, Mode::empty())?;
    let mut above = open_in(&root, Path::new("/"))?;
    let mut so_far = PathBuf::from("/");
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    });
    for name in names {
        so_far.push(name);
        above = match open_in(&root, &so_far) {
            Err(Errno::ENOENT) => {
                mkdirat(&above, name, Mode::from_bits_truncate(0o755))?;
                open_in(&root, &so_far)?
            }
            other => other?,
        };
    }
    Ok(())
}

fn open_in(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_below_the_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("real")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink("/real", root.join("link")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("out")).unwrap();
        make(&root, Path::new("/a/b")).unwrap();
        make(&root, Path::new("/link/c")).unwrap();
        make(&root, Path::new("")).unwrap();
        assert!(root.join("a/b").is_dir() && root.join("real/c").is_dir());
        // The link leads to /outside of the task's root, which is not there.
        assert!(make(&root, Path::new("/out/d")).is_err());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }
}
