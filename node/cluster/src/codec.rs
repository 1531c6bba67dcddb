//! How a log entry lies in `raft.db`: JSON `{"f":<format>,"entry":…}`, readable without this program.
//!
//! An entry that this program does not understand is an error that stops the node: skipping it would make this node's
//! state differ from its peers' for ever.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::types::Entry;

/// Format of stored entries. An entry of another format was written by another version of this program.
pub const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    f: u32,
    entry: &'a Entry,
}

#[derive(Deserialize)]
struct Read<'a> {
    f: u32,
    #[serde(borrow)]
    entry: &'a RawValue,
}

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("log entry {index} has format {found}, this program knows {FORMAT}: a newer version wrote it")]
    Format { index: u64, found: u32 },
    #[error("log entry {index} cannot be decoded: it is damaged or a newer version wrote it")]
    Undecodable { index: u64, source: serde_json::Error },
    #[error("log entry {index} says that it is entry {found}")]
    Misplaced { index: u64, found: u64 },
}

/// The bytes of an entry as they are stored.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Written { f: FORMAT, entry })
}

/// The entry stored under `index`.
pub fn decode(index: u64, bytes: &[u8]) -> Result<Entry, CodecError> {
    let undecodable = |source| CodecError::Undecodable { index, source };
    let read: Read<'_> = serde_json::from_slice(bytes).map_err(undecodable)?;
    if read.f != FORMAT {
        return Err(CodecError::Format { index, found: read.f });
    }
    let entry: Entry = serde_json::from_str(read.entry.get()).map_err(undecodable)?;
    match entry.log_id.index {
        found if found == index => Ok(entry),
        found => Err(CodecError::Misplaced { index, found }),
    }
}
