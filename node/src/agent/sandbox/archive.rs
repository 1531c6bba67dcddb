//! A folder of a sandbox as a tar archive, made by a thread of its own while somebody reads it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use axum::body::Bytes;
use nix::fcntl::readlinkat;
use tokio::sync::mpsc;

use super::list;
use super::place::{self, Found};
use super::tar::{Facts, Tar};

/// Deeper folders and further entries are left out, and the archive says so.
const DEPTH_MAX: usize = 64;
const ENTRIES_MAX: usize = 100_000;
const PIECE_BYTES: usize = 128 * 1024;
const NOTE: &str = "INCOMPLETE.txt";

/// Hands what is written on in pieces; fails once nobody reads any more.
pub struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Pieces {
    pub fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { sender, piece: Vec::with_capacity(PIECE_BYTES) }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.sender.blocking_send(Ok(Bytes::from(piece)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// A folder on the way: itself, its name in the archive, and what is still to be looked at.
struct Level {
    folder: File,
    name: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
}

impl Level {
    fn open(folder: File, name: Vec<u8>, left_out: &mut bool) -> io::Result<Self> {
        let (names, truncated) = list::names(&folder)?;
        *left_out |= truncated;
        Ok(Self { folder, name, names: names.into_iter() })
    }
}

/// Writes `folder` and everything below it under `name`. What is neither file, folder nor link is left out, and so is
/// what vanishes meanwhile.
pub fn write<W: Write>(out: W, folder: File, name: &[u8]) -> io::Result<W> {
    let mut tar = Tar::new(out);
    let (mut left_out, mut entries) = (false, 0);
    tar.folder(name, Facts::of(&folder.metadata()?))?;
    let mut levels = vec![Level::open(folder, name.to_vec(), &mut left_out)?];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.names.next() else {
            levels.pop();
            continue;
        };
        if entries == ENTRIES_MAX {
            left_out = true;
            break;
        }
        entries += 1;
        let name = [level.name.as_slice(), b"/", &entry].concat();
        let Ok(found) = place::entry(level.folder.as_fd(), &entry) else { continue };
        if let Some(below) = add(&mut tar, found, &name)? {
            if levels.len() < DEPTH_MAX {
                levels.push(Level::open(below, name, &mut left_out)?);
            } else {
                left_out = true;
            }
        }
    }
    if left_out {
        let note = format!(
            "This archive is not complete. It has at most {ENTRIES_MAX} entries, {} of one folder, {DEPTH_MAX} levels.\n",
            list::ENTRIES_MAX
        );
        tar.text(&[name, b"/", NOTE.as_bytes()].concat(), &note)?;
    }
    tar.finish()
}

/// Adds one entry; a folder is returned, to be gone into.
fn add<W: Write>(tar: &mut Tar<W>, found: OwnedFd, name: &[u8]) -> io::Result<Option<File>> {
    let pointed = File::from(found);
    let meta = pointed.metadata()?;
    if meta.is_symlink() {
        // An empty path means the very link that is pointed at.
        if let Ok(target) = readlinkat(&pointed, "") {
            tar.link(name, &target.into_vec(), Facts::of(&meta))?;
        }
        return Ok(None);
    }
    match place::open_found(pointed.into()) {
        Ok(Found::File(file, meta)) => tar.file(name, &file, meta.len(), Facts::of(&meta)).map(|()| None),
        Ok(Found::Folder(folder)) => {
            tar.folder(name, Facts::of(&meta))?;
            Ok(Some(folder))
        }
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    fn listed(bytes: &[u8]) -> Vec<String> {
        let mut tar = Command::new("tar");
        tar.args(["-tf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("tar is installed");
        tar.stdin.take().expect("piped").write_all(bytes).expect("tar reads");
        let output = tar.wait_with_output().expect("tar");
        assert!(output.status.success());
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_folder_with_everything_in_it() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir_all(at("a/b")).expect("folders");
        std::fs::write(at("a/b/file"), "data").expect("a file");
        std::fs::write(at("top"), "data").expect("a file");
        symlink("/etc", at("a/link")).expect("a link");
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a fifo");
        let folder = File::open(place.path()).expect("open");
        let bytes = write(Vec::new(), folder, b"box").expect("an archive");
        let expected = ["box/", "box/a/", "box/a/b/", "box/a/b/file", "box/a/link", "box/top"];
        assert_eq!(listed(&bytes), expected, "the link is not gone into, the fifo not waited for");
    }

    #[test]
    fn a_pit_has_a_bottom() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let deep: std::path::PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 5).collect();
        std::fs::create_dir_all(place.path().join(deep)).expect("folders");
        let folder = File::open(place.path()).expect("open");
        let bytes = write(Vec::new(), folder, b"box").expect("an archive");
        let names = listed(&bytes);
        assert!(names.contains(&format!("box/{NOTE}")), "{names:?}");
        assert_eq!(names.len(), DEPTH_MAX + 2);
    }

    #[test]
    fn it_ends_when_nobody_reads() {
        let place = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(place.path().join("large"), vec![1; 1 << 20]).expect("a file");
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let folder = File::open(place.path()).expect("open");
        let ended = write(Pieces::new(sender), folder, b"box").map(drop);
        assert_eq!(ended.map_err(|e| e.kind()), Err(io::ErrorKind::BrokenPipe));
    }
}
