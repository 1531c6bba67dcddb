//! Going on alone after the majority is lost for good.
//!
//! Raft has no way to that on purpose: nobody can tell what a majority that does not answer has promised meanwhile. So
//! it is a person's decision, written down beside the log and carried out when the log is opened next: two entries
//! behind all that is there, a configuration in which this node alone votes and a command by which the state forgets
//! the others. Everything this node holds stays, also what it never heard to be committed; what it never got is lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::auth::Actor;
use model::{Command, Envelope, NodeId, Origin, Timestamp};
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::config::Config;
use crate::error::OpenError;
use crate::log_store::db::{Change, Db};
use crate::types::{CommittedLeaderId, Entry, LogId, Logged, Payload, Vote};

const FILE: &str = "recover.json";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Order {
    format: u32,
    node: NodeId,
}

/// Writes down that `node`, whose state folder `dir` is, goes on alone from its next start.
pub fn order(dir: &Path, node: NodeId) -> io::Result<()> {
    let temporary = dir.join(FILE).with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(&Order { format: FORMAT, node })?)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

/// Does what was ordered, if anything was. A power cut amid it makes it happen twice, which is as good as once.
pub fn carry_out(config: &Config, log: &Path, snapshot: Option<LogId>) -> Result<(), OpenError> {
    let path = config.dir.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(OpenError::Io { what: "read", path, source }),
    };
    check(&bytes, config.node, &path)?;
    let mut db = Db::open(log, config.node, config.start)?;
    let loaded = db.load(log, snapshot)?;
    let term_of = |id: &LogId| **id.committed_leader_id();
    let newest =
        loaded.last.as_ref().map_or(0, term_of).max(loaded.vote.map_or(0, |vote| vote.leader_id.term));
    // A term of its own: nobody else can have written these entries.
    let (term, first) = (newest + 1, loaded.last.map_or(0, |last| last.index + 1));
    let entries = entries(config.node, term, first);
    let rows = entries.iter().map(|entry| Ok((entry.log_id.index, codec::encode(entry)?)));
    let rows: Result<_, serde_json::Error> = rows.collect();
    let rows = rows.map_err(|error| OpenError::Raft(error.to_string()))?;
    let changes = [Change::Vote(Vote::new(term, config.node.0)), Change::Append(rows)];
    db.commit(changes.iter(), None, None).map_err(|source| OpenError::Database {
        what: "write",
        path: log.to_owned(),
        source,
    })?;
    tracing::warn!(term, first, "the majority was given up: this node goes on alone, as it was told");
    let forget = fs::remove_file(&path).and_then(|()| File::open(&config.dir)?.sync_all());
    forget.map_err(|source| OpenError::Io { what: "remove", path, source })
}

fn check(bytes: &[u8], node: NodeId, path: &Path) -> Result<(), OpenError> {
    let damaged = |what: String| OpenError::Damaged { path: PathBuf::from(path), what };
    match serde_json::from_slice(bytes) {
        Ok(Order { format: FORMAT, node: found }) if found == node => Ok(()),
        Ok(Order { format: FORMAT, node: expected }) => {
            Err(OpenError::OtherNode { path: path.to_owned(), found: expected, expected: node })
        }
        Ok(Order { format, .. }) => {
            Err(damaged(format!("it has format {format}, this program knows {FORMAT}")))
        }
        Err(error) => Err(damaged(error.to_string())),
    }
}

fn entries(node: NodeId, term: u64, first: u64) -> [Entry; 2] {
    // Where it is reached is made known by the agent later, as for every member.
    let alone = Membership::new_with_defaults(vec![BTreeSet::from([node.0])], []);
    let envelope = Envelope {
        format: model::command::FORMAT,
        request_id: None,
        actor: Actor::System,
        origin: Origin::default(),
        // No later than the entry before it.
        at: Timestamp::default(),
        expected_version: None,
        command: Command::Recover { survivor: node },
    };
    let entry =
        |index, payload: Payload| Entry { log_id: LogId::new(CommittedLeaderId::new(term), index), payload };
    [
        entry(first, EntryPayload::Membership(alone)),
        entry(first + 1, EntryPayload::Normal(Logged(Arc::new(envelope)))),
    ]
}
