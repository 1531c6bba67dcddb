//! `raft.db`: every statement that touches it, and nothing that knows raft's rules.
//!
//! One connection writes (the writer thread's), one reads ([`Reader`]). WAL with synchronous=FULL: a commit that
//! returned survives a power cut. SQLite's own checkpointing is off, because it would run inside some unlucky commit;
//! the writer thread decides when.

use std::path::{Path, PathBuf};

use model::{ClusterId, NodeId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::config::Start;
use crate::error::OpenError;
use crate::types::{Entry, LogId, Vote};

/// Version of the tables below. A folder with another version is refused.
pub const SCHEMA: u32 = 1;

const PRAGMAS: &str = "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA foreign_keys=ON;";
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log (idx INTEGER PRIMARY KEY, e BLOB NOT NULL) STRICT;";
const GET_META: &str = "SELECT value FROM meta WHERE key=?1";
const SET_META: &str =
    "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value=excluded.value";
const APPEND: &str = "INSERT INTO log (idx, e) VALUES (?1, ?2)";
const TRUNCATE: &str = "DELETE FROM log WHERE idx >= ?1";
/// Bounded on purpose: one statement over all purged rows took 1.5 s for 100,000 of them and deposed the leader.
const DELETE_SOME: &str =
    "DELETE FROM log WHERE idx IN (SELECT idx FROM log WHERE idx < ?1 ORDER BY idx LIMIT ?2)";
const SPAN: &str = "SELECT min(idx), max(idx), count(*) FROM log WHERE idx > ?1";
const OLDEST: &str = "SELECT min(idx) FROM log";
const READ: &str = "SELECT idx, e FROM log WHERE idx >= ?1 AND idx < ?2 ORDER BY idx";
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Rows of one bounded delete.
pub const DELETE_ROWS: u64 = 256;

/// One step of the write stream. Indices are raft's.
#[derive(Debug)]
pub enum Change {
    Append(Vec<(u64, Vec<u8>)>),
    Vote(Vote),
    /// Forget everything from this index on.
    TruncateFrom(u64),
    /// Everything up to this entry is in a snapshot. Rows go later, in small bites.
    Purged(LogId),
    /// The log turned out to be this cluster's.
    Cluster(ClusterId),
}

/// What the file says when it is opened.
#[derive(Debug, Default)]
pub struct Loaded {
    pub cluster: Option<ClusterId>,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
}

#[derive(Debug)]
pub struct Db {
    conn: Connection,
}

/// The cluster that the log at `path`, which exists, belongs to.
pub fn cluster_of(path: &Path) -> Result<Option<ClusterId>, OpenError> {
    let conn = Connection::open(path).map_err(|source| OpenError::Database {
        what: "open",
        path: path.to_owned(),
        source,
    })?;
    get(&conn, path, "cluster")
}

impl Db {
    /// Opens or creates the file for `node`. A fresh file of a node that joins is its cluster's from the first byte.
    pub fn open(path: &Path, node: NodeId, start: Start) -> Result<Self, OpenError> {
        let failed = |what| move |source| OpenError::Database { what, path: path.to_owned(), source };
        let conn = Connection::open(path).map_err(failed("open"))?;
        // The answer names the mode; a file system without shared memory would answer `delete`.
        let mode: String = conn
            .query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))
            .map_err(failed("switch to write-ahead logging"))?;
        if mode != "wal" {
            return Err(damaged(path, format!("journal mode is `{mode}`, expected `wal`")));
        }
        conn.execute_batch(PRAGMAS).map_err(failed("configure"))?;
        conn.execute_batch(CREATE).map_err(failed("create tables in"))?;
        let db = Self { conn };
        db.check_owner(path, node, start)?;
        Ok(db)
    }

    /// Refuses a file of another schema or node; signs a fresh one.
    fn check_owner(&self, path: &Path, node: NodeId, start: Start) -> Result<(), OpenError> {
        match get::<u32>(&self.conn, path, "schema")? {
            Some(SCHEMA) => {}
            Some(found) => {
                return Err(OpenError::Schema {
                    path: path.to_owned(),
                    found: found.to_string(),
                    known: SCHEMA,
                });
            }
            None => self.sign(path, node, start)?,
        }
        match get::<NodeId>(&self.conn, path, "node")? {
            Some(found) if found == node => Ok(()),
            Some(found) => Err(OpenError::OtherNode { path: path.to_owned(), found, expected: node }),
            None => Err(damaged(path, "it has a schema but no owner".to_owned())),
        }
    }

    fn sign(&self, path: &Path, node: NodeId, start: Start) -> Result<(), OpenError> {
        let sign = || -> rusqlite::Result<()> {
            let tx = self.conn.unchecked_transaction()?;
            set(&tx, "schema", &SCHEMA)?;
            set(&tx, "node", &node)?;
            if let Start::Join(cluster) = start {
                set(&tx, "cluster", &cluster)?;
            }
            tx.commit()
        };
        sign().map_err(|source| OpenError::Database { what: "sign", path: path.to_owned(), source })
    }

    /// Reads votes and marks, and checks that the log has no gap.
    ///
    /// `snapshot` is the newest good snapshot's last entry. If it lies before the purge mark, a newer one was damaged;
    /// the mark moves back to it, as far as the rows are still there.
    pub fn load(&self, path: &Path, snapshot: Option<LogId>) -> Result<Loaded, OpenError> {
        let failed = |source| OpenError::Database { what: "read", path: path.to_owned(), source };
        let mut purged: Option<LogId> = get(&self.conn, path, "purged")?;
        if purged > snapshot {
            tracing::warn!(?purged, ?snapshot, "the newest snapshot is gone; going on from the one before");
            purged = snapshot;
        }
        let mark = purged.map_or(-1, |id| to_sql(id.index));
        let (min, max, count): (Option<i64>, Option<i64>, i64) = self
            .conn
            .query_row(SPAN, [mark], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(failed)?;
        let last = match (min, max) {
            (Some(min), Some(max)) if min == mark + 1 && count == max - min + 1 => {
                Some(self.entry(path, max)?.log_id)
            }
            (None, None) => purged,
            _ => {
                let what =
                    format!("entries {min:?} to {max:?} are {count}, and {} should be the first", mark + 1);
                return Err(damaged(path, what));
            }
        };
        let cluster = get(&self.conn, path, "cluster")?;
        let vote = get(&self.conn, path, "vote")?;
        Ok(Loaded { cluster, vote, committed: get(&self.conn, path, "committed")?, purged, last })
    }

    fn entry(&self, path: &Path, index: i64) -> Result<Entry, OpenError> {
        let bytes: Vec<u8> = self
            .conn
            .query_row("SELECT e FROM log WHERE idx = ?1", [index], |row| row.get(0))
            .map_err(|source| OpenError::Database { what: "read", path: path.to_owned(), source })?;
        Ok(codec::decode(from_sql(index), &bytes)?)
    }

    /// Does all of `changes` in one transaction, with one fsync. `committed` and a bite of the rows below
    /// `deletable` ride along for free. Returns how many rows were deleted.
    pub fn commit<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
        committed: Option<LogId>,
        deletable: Option<u64>,
    ) -> rusqlite::Result<u64> {
        let tx = self.conn.transaction()?;
        for change in changes {
            write(&tx, change)?;
        }
        if let Some(committed) = committed {
            set(&tx, "committed", &committed)?;
        }
        let deleted = match deletable {
            Some(index) => {
                tx.prepare_cached(DELETE_SOME)?.execute(params![to_sql(index), to_sql(DELETE_ROWS)])?
            }
            None => 0,
        };
        tx.commit()?;
        Ok(deleted as u64)
    }

    /// The oldest row, purged ones included.
    pub fn oldest(&self) -> rusqlite::Result<Option<u64>> {
        let oldest: Option<i64> = self.conn.query_row(OLDEST, [], |row| row.get(0))?;
        Ok(oldest.map(from_sql))
    }

    /// Moves the write-ahead log into the database file as far as readers allow. True if all of it went.
    pub fn checkpoint(&self) -> rusqlite::Result<bool> {
        self.conn.query_row(CHECKPOINT, [], |row| {
            let (busy, log, done): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(busy == 0 && log == done)
        })
    }
}

fn write(tx: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Append(rows) => {
            let mut append = tx.prepare_cached(APPEND)?;
            for (index, bytes) in rows {
                append.execute(params![to_sql(*index), bytes])?;
            }
        }
        Change::Vote(vote) => set(tx, "vote", vote)?,
        Change::TruncateFrom(index) => {
            tx.prepare_cached(TRUNCATE)?.execute([to_sql(*index)])?;
        }
        Change::Purged(mark) => set(tx, "purged", mark)?,
        Change::Cluster(id) => set(tx, "cluster", id)?,
    }
    Ok(())
}

/// The second connection: entries that have left the tail in memory.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|source| OpenError::Database {
            what: "open for reading",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { conn })
    }

    /// The entries of `from..to` that exist, in order, ending early after the entry that reaches `bytes_max`.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize) -> std::io::Result<Vec<Entry>> {
        let other = std::io::Error::other;
        let mut statement = self.conn.prepare_cached(READ).map_err(other)?;
        let mut rows = statement.query(params![to_sql(from), to_sql(to)]).map_err(other)?;
        let (mut entries, mut bytes_read) = (Vec::new(), 0);
        while bytes_read < bytes_max
            && let Some(row) = rows.next().map_err(other)?
        {
            let index = from_sql(row.get(0).map_err(other)?);
            let bytes = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(other)?;
            bytes_read += bytes.len();
            entries.push(codec::decode(index, bytes).map_err(std::io::Error::other)?);
        }
        Ok(entries)
    }
}

fn get<T: DeserializeOwned>(
    conn: &Connection,
    path: &Path,
    key: &'static str,
) -> Result<Option<T>, OpenError> {
    let text: Option<String> = conn
        .query_row(GET_META, [key], |row| row.get(0))
        .optional()
        .map_err(|source| OpenError::Database { what: "read", path: path.to_owned(), source })?;
    let parse = |text: String| serde_json::from_str(&text);
    text.map(parse).transpose().map_err(|source| OpenError::Meta { path: path.to_owned(), key, source })
}

fn set(conn: &Connection, key: &'static str, value: &impl Serialize) -> rusqlite::Result<()> {
    let text = serde_json::to_string(value).expect("votes, log ids and numbers are always JSON");
    conn.prepare_cached(SET_META)?.execute(params![key, text])?;
    Ok(())
}

fn damaged(path: &Path, what: String) -> OpenError {
    OpenError::Damaged { path: PathBuf::from(path), what }
}

// SQLite's integers are signed. Raft counts entries one by one from 0 and will not reach 2^63.
fn to_sql(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn from_sql(index: i64) -> u64 {
    u64::try_from(index).unwrap_or(0)
}
