//! Snapshot files: `snapshots/<index>-<term>.snap`, the last two of them.
//!
//! A file is a line with magic and format, a line of JSON (openraft's description), the state as JSON, and a last line
//! with the SHA-256 of everything before it. It is written under another name, synced, renamed, and its folder synced:
//! a power cut leaves the old files or the old and the new one, never half of one. Should the newest be damaged later,
//! the one before it takes over; `raft.db` keeps the rows that complete it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::State;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::OpenError;
use crate::log_store::DeleteLimit;
use crate::types::{SnapshotMeta, StoredMembership};

const MAGIC: &str = "MESETA-SNAPSHOT";
/// Format of the file around the state; the state carries its own.
const FORMAT: u32 = 1;
const KEPT: usize = 2;
const SHA256_HEX_LEN: usize = 64;

/// A good snapshot and what its file takes on disk.
#[derive(Debug, Clone)]
pub struct Stored {
    pub meta: SnapshotMeta,
    pub state: Arc<State>,
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    membership: StoredMembership,
    last: crate::types::LogId,
}

/// The folder. Used by one state machine and its builder, never by two processes at once.
#[derive(Debug)]
pub struct Snapshots {
    dir: PathBuf,
    delete_limit: DeleteLimit,
}

/// Index and term of a file's last entry, which is also its name. Ordered by age.
type Name = (u64, u64);

impl Snapshots {
    /// Creates the folder if needed and removes what a killed writer left.
    pub fn open(dir: PathBuf, delete_limit: DeleteLimit) -> Result<Self, OpenError> {
        let path = &dir;
        let failed = |what| move |source| OpenError::Io { what, path: path.clone(), source };
        fs::create_dir_all(&dir).map_err(failed("create"))?;
        for entry in fs::read_dir(&dir).map_err(failed("list"))? {
            let path = entry.map_err(failed("list"))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(failed("clean"))?;
            }
        }
        Ok(Self { dir, delete_limit })
    }

    /// The newest good snapshot. Damaged ones are set aside and reported in the log.
    pub fn load(&self) -> Result<Option<Stored>, OpenError> {
        let mut names = self.names().map_err(|source| self.failed("list", &self.dir, source))?;
        while let Some(name) = names.pop() {
            let path = self.path(name);
            let bytes = fs::read(&path).map_err(|source| self.failed("read", &path, source))?;
            match decode(&path, &bytes) {
                Ok(stored) => {
                    self.limit_deletes(&names);
                    return Ok(Some(stored));
                }
                Err(OpenError::Damaged { what, .. }) => {
                    tracing::error!(path = %path.display(), what, "snapshot is damaged, trying the one before");
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside).map_err(|source| self.failed("set aside", &path, source))?;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }

    /// Writes a snapshot and forgets all but the last two. Blocks for as long as the disk takes.
    pub fn save(&self, meta: &SnapshotMeta, state: &State) -> io::Result<u64> {
        // Where nothing was applied, an empty folder says the same.
        let Some(last) = meta.last_log_id else {
            return Ok(0);
        };
        let name = (last.index, **last.committed_leader_id());
        let path = self.path(name);
        let temporary = path.with_extension("tmp");
        let header = Header { membership: meta.last_membership.clone(), last };
        let bytes = write(&temporary, &header, state).inspect_err(|_| {
            // Best effort: the next start cleans up as well.
            let _ = fs::remove_file(&temporary);
        })?;
        fs::rename(&temporary, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.prune()?;
        Ok(bytes)
    }

    fn prune(&self) -> io::Result<()> {
        let mut names = self.names()?;
        while names.len() > KEPT {
            fs::remove_file(self.path(names.remove(0)))?;
        }
        names.pop();
        self.limit_deletes(&names);
        Ok(())
    }

    /// Rows of the log that complete the oldest of the `older` snapshots must stay; all rows, while there is none.
    fn limit_deletes(&self, older: &[Name]) {
        let limit = older.first().map_or(0, |(index, _)| index + 1);
        self.delete_limit.store(limit, Ordering::Release);
    }

    /// Oldest first.
    pub fn names(&self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            names.extend(entry?.file_name().to_str().and_then(parse_name));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn path(&self, (index, term): Name) -> PathBuf {
        self.dir.join(format!("{index}-{term}.snap"))
    }

    fn failed(&self, what: &'static str, path: &Path, source: io::Error) -> OpenError {
        OpenError::Io { what, path: path.to_owned(), source }
    }
}

fn parse_name(name: &str) -> Option<Name> {
    let (index, term) = name.strip_suffix(".snap")?.split_once('-')?;
    Some((index.parse().ok()?, term.parse().ok()?))
}

/// A snapshot as bytes for another server: the same as its file.
pub fn to_bytes(meta: &SnapshotMeta, state: &State) -> io::Result<Vec<u8>> {
    let last = meta.last_log_id.ok_or_else(|| io::Error::other("a snapshot of nothing"))?;
    let mut bytes = Vec::new();
    compose(&mut bytes, &Header { membership: meta.last_membership.clone(), last }, state)?;
    Ok(bytes)
}

/// What [`to_bytes`] made. `from` takes the place of a file's name in errors.
pub fn from_bytes(from: &Path, bytes: &[u8]) -> Result<(SnapshotMeta, Arc<State>), OpenError> {
    let Stored { meta, state, .. } = decode(from, bytes)?;
    Ok((meta, state))
}

fn write(path: &Path, header: &Header, state: &State) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(path)?);
    let bytes = compose(&mut out, header, state)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(bytes)
}

/// Writes all of a snapshot; the number of its bytes.
fn compose(out: &mut impl Write, header: &Header, state: &State) -> io::Result<u64> {
    let mut out = Hashing { out, sha256: Sha256::new(), bytes: 0 };
    writeln!(out, "{MAGIC} {FORMAT}")?;
    serde_json::to_writer(&mut out, header)?;
    out.write_all(b"\n")?;
    serde_json::to_writer(&mut out, state)?;
    out.write_all(b"\n")?;
    let Hashing { out, sha256, bytes } = out;
    writeln!(out, "{:x}", sha256.finalize())?;
    Ok(bytes + SHA256_HEX_LEN as u64 + 1)
}

/// Counts and hashes what passes through.
struct Hashing<W> {
    out: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.out.write(data)?;
        self.sha256.update(&data[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Stored, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let unreadable = |what: &str, error: serde_json::Error| damaged(&format!("{what}: {error}"));
    let body_len = bytes.len().checked_sub(SHA256_HEX_LEN + 1).ok_or_else(|| damaged("it is too short"))?;
    let (body, checksum) = bytes.split_at(body_len);
    if format!("{:x}\n", Sha256::digest(body)).as_bytes() != checksum {
        return Err(damaged("its checksum is wrong"));
    }
    let mut lines = body.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().ok_or_else(|| damaged("a line is missing"));
    check_magic(path, line()?)?;
    let header: Header = serde_json::from_slice(line()?).map_err(|error| unreadable("header", error))?;
    let state = line()?;
    check_state_format(path, state)?;
    let state: State = serde_json::from_slice(state).map_err(|error| unreadable("state", error))?;
    let meta = SnapshotMeta { last_log_id: Some(header.last), last_membership: header.membership };
    Ok(Stored { meta, state: Arc::new(state), bytes: bytes.len() as u64 })
}

/// The checksum was right, so another number is another version, not damage.
fn check_magic(path: &Path, line: &[u8]) -> Result<(), OpenError> {
    let text = String::from_utf8_lossy(line);
    match text.strip_prefix(MAGIC).and_then(|rest| rest.trim().parse().ok()) {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(OpenError::SnapshotFormat { path: path.to_owned(), found, known: FORMAT }),
        None => {
            Err(OpenError::Damaged { path: path.to_owned(), what: format!("it does not begin with {MAGIC}") })
        }
    }
}

/// Looks at the state's own format before the rest of it, which this program may not understand.
fn check_state_format(path: &Path, state: &[u8]) -> Result<(), OpenError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let known = model::state::FORMAT;
    match serde_json::from_slice(state) {
        Ok(Format { format }) if format == known => Ok(()),
        Ok(Format { format }) => {
            Err(OpenError::SnapshotFormat { path: path.to_owned(), found: format, known })
        }
        Err(error) => Err(OpenError::Damaged { path: path.to_owned(), what: format!("state: {error}") }),
    }
}
