//! What the other roles write to their standard error: kept in RUN, bounded, for the node's page, and shown where init
//! itself writes.
//!
//! Init copies bytes and never looks at them. Each role has a file and the one before it; a full file becomes the one
//! before. A console that does not keep up is left behind, init waits for nobody.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::config::Paths;

/// Of one file: RUN is memory.
const FILE_BYTES_MAX: u64 = 128 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// Taken from a role that has ended; what is more was written by a child of it that lives on.
const LAST_WORDS_BYTES_MAX: usize = 1024 * 1024;

pub fn folder(paths: &Paths) -> PathBuf {
    paths.run.join("log")
}

pub fn file(folder: &Path, role: &str) -> PathBuf {
    folder.join(format!("{role}.log"))
}

pub fn older_file(folder: &Path, role: &str) -> PathBuf {
    folder.join(format!("{role}.log.1"))
}

pub struct RoleLogs {
    folder: PathBuf,
    files: BTreeMap<String, Kept>,
    pipes: BTreeMap<u64, (String, File)>,
    next_pipe: u64,
    console: Box<dyn Write>,
    /// Bytes the console was too slow for.
    missed: usize,
}

/// The file that is written now.
struct Kept {
    file: File,
    bytes: u64,
}

impl RoleLogs {
    /// `own_console`: this machine is ours, and its console is written without waiting for it.
    pub fn new(paths: &Paths, own_console: bool) -> Self {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let device =
            own_console.then(|| OpenOptions::new().write(true).custom_flags(flags).open("/dev/console"));
        let console: Box<dyn Write> = match device {
            Some(Ok(device)) => Box::new(device),
            Some(Err(_)) => Box::new(io::sink()),
            None => Box::new(io::stderr()),
        };
        Self::with_console(folder(paths), console)
    }

    fn with_console(folder: PathBuf, console: Box<dyn Write>) -> Self {
        Self { folder, files: BTreeMap::new(), pipes: BTreeMap::new(), next_pipe: 0, console, missed: 0 }
    }

    /// A pipe for a role that is about to be started: the number to hear it by, and its end.
    pub fn open(&mut self, role: &str) -> io::Result<(u64, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let number = self.next_pipe;
        self.next_pipe += 1;
        self.pipes.insert(number, (role.to_owned(), File::from(read)));
        Ok((number, write))
    }

    pub fn fd(&self, number: u64) -> Option<BorrowedFd<'_>> {
        self.pipes.get(&number).map(|(_, pipe)| pipe.as_fd())
    }

    /// Takes some of what is there; the pipe is closed once nobody can write to it.
    pub fn hear(&mut self, number: u64) {
        self.take(number);
    }

    /// A line of init about a role, behind everything the role said.
    pub fn note(&mut self, role: &str, text: &str) {
        let of_role: Vec<u64> =
            self.pipes.iter().filter(|(_, (name, _))| name == role).map(|(number, _)| *number).collect();
        for number in of_role {
            let mut taken = 0;
            while let Some(count) = self.take(number) {
                taken += count;
                if taken > LAST_WORDS_BYTES_MAX {
                    break;
                }
            }
        }
        self.keep(role, format!("meseta init: {text}\n").as_bytes());
    }

    /// How many bytes came; `None` if there is nothing right now, or never again.
    fn take(&mut self, number: u64) -> Option<usize> {
        let (role, pipe) = self.pipes.get_mut(&number)?;
        let mut buffer = [0; READ_BYTES];
        match pipe.read(&mut buffer) {
            Ok(0) => {
                self.pipes.remove(&number);
                None
            }
            Ok(count) => {
                let role = role.clone();
                self.keep(&role, &buffer[..count]);
                self.show(&buffer[..count]);
                Some(count)
            }
            Err(_) => None,
        }
    }

    fn keep(&mut self, role: &str, bytes: &[u8]) {
        // RUN may be full. Then the console has it; there is nobody else to tell.
        let _ = self.try_keep(role, bytes);
    }

    fn try_keep(&mut self, role: &str, bytes: &[u8]) -> io::Result<()> {
        let path = file(&self.folder, role);
        if self.files.get(role).is_some_and(|kept| kept.bytes + bytes.len() as u64 > FILE_BYTES_MAX) {
            self.files.remove(role);
            fs::rename(&path, older_file(&self.folder, role))?;
        }
        if !self.files.contains_key(role) {
            fs::create_dir_all(&self.folder)?;
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            let bytes = file.metadata()?.len();
            self.files.insert(role.to_owned(), Kept { file, bytes });
        }
        let Some(kept) = self.files.get_mut(role) else { return Ok(()) };
        kept.file.write_all(bytes)?;
        kept.bytes += bytes.len() as u64;
        Ok(())
    }

    fn show(&mut self, bytes: &[u8]) {
        if self.missed > 0 {
            let note = format!("\nmeseta init: {} bytes of output were not shown here\n", self.missed);
            if !matches!(self.console.write(note.as_bytes()), Ok(count) if count == note.len()) {
                self.missed += bytes.len();
                return;
            }
        }
        self.missed = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.console.write(rest) {
                Ok(count) if count > 0 => rest = &rest[count..],
                _ => {
                    self.missed = rest.len();
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Takes as many bytes as it has room for.
    #[derive(Clone, Default)]
    struct Console(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Console {
        fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().expect("alone").0).into_owned()
        }
    }

    impl Write for Console {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().expect("alone");
            let count = bytes.len().min(inner.1);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            inner.0.extend_from_slice(&bytes[..count]);
            inner.1 -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logs(room: usize) -> (tempfile::TempDir, RoleLogs, Console) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let console = Console::default();
        console.0.lock().expect("alone").1 = room;
        let logs = RoleLogs::with_console(folder.path().join("log"), Box::new(console.clone()));
        (folder, logs, console)
    }

    fn read(logs: &RoleLogs, name: &str) -> String {
        fs::read_to_string(logs.folder.join(name)).unwrap_or_default()
    }

    #[test]
    fn last_words_come_before_the_end() {
        let (_folder, mut logs, console) = logs(1_000);
        let (number, write) = logs.open("net").expect("a pipe");
        let mut write = File::from(write);
        write.write_all(b"one\n").expect("write");
        logs.hear(number);
        write.write_all(b"last words\n").expect("write");
        drop(write);
        logs.note("net", "net was ended");
        assert_eq!(read(&logs, "net.log"), "one\nlast words\nmeseta init: net was ended\n");
        assert_eq!(console.text(), "one\nlast words\n");
        assert!(logs.fd(number).is_none(), "closed");
    }

    #[test]
    fn it_is_bounded_and_goes_on_after_another_init() {
        let (folder, mut logs, _console) = logs(usize::MAX);
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        for _ in 0..1_000 {
            logs.keep("agent", &line);
        }
        let sizes: Vec<usize> = ["agent.log", "agent.log.1"].iter().map(|n| read(&logs, n).len()).collect();
        assert!(sizes.iter().all(|size| *size as u64 <= FILE_BYTES_MAX), "{sizes:?}");
        assert_eq!(sizes[1] as u64, FILE_BYTES_MAX);
        let mut next = RoleLogs::with_console(folder.path().join("log"), Box::new(io::sink()));
        next.keep("agent", b"next\n");
        assert_eq!(read(&next, "agent.log").len(), sizes[0] + 5);
    }

    #[test]
    fn a_slow_console_is_left_behind_and_told_so() {
        let (_folder, mut logs, console) = logs(6);
        let (number, write) = logs.open("log").expect("a pipe");
        let mut write = File::from(write);
        write.write_all(b"0123456789\n").expect("write");
        logs.hear(number);
        assert_eq!((console.text().as_str(), logs.missed), ("012345", 5));
        console.0.lock().expect("alone").1 = 1_000;
        write.write_all(b"more\n").expect("write");
        logs.hear(number);
        assert!(console.text().ends_with("meseta init: 5 bytes of output were not shown here\nmore\n"));
        assert_eq!(read(&logs, "log.log"), "0123456789\nmore\n");
    }
}
