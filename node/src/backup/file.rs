//! The form of a backup: a line for people and programs, the state as in a snapshot, compressed, and a checksum.
//!
//! `MESETA-BACKUP {"format":1,…}`, a line feed, the payload, and 32 bytes of SHA-256 over all before them. The checksum
//! tells a torn file from a wrong passphrase; what nobody may change, the seal authenticates, the line included.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use model::command::FEATURE_LEVEL;
use model::limits::{BACKUP_FILE_BYTES_MAX, RESTORE_BYTES_MAX};
use model::{ClusterId, State, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::seal::{Lock, Seal};

const MAGIC: &[u8] = b"MESETA-BACKUP ";
/// Format of the file around the state; the state carries its own.
pub const FORMAT: u32 = 1;
const HEADER_BYTES_MAX: usize = 4_096;
const SHA256_BYTES: usize = 32;

/// What can be known of a backup without its passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    pub product_version: String,
    pub cluster: Option<ClusterId>,
    /// The last change that is in it.
    pub index: u64,
    /// Cluster time of that change.
    pub at: Timestamp,
    pub apps: usize,
    pub users: usize,
    pub tokens: usize,
    /// Whether passwords, tokens and secrets are in it.
    pub secrets: bool,
    seal: Option<Seal>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("this is no backup of a Meseta cluster")]
    Foreign,
    #[error("this backup has format {found}; this program knows {FORMAT}: a newer one made it")]
    Newer { found: u32 },
    #[error(
        "this backup is of feature level {found}; this program knows {FEATURE_LEVEL}: a newer one made it"
    )]
    NewerState { found: u32 },
    #[error("this backup is damaged: {0}")]
    Damaged(&'static str),
    #[error("this backup is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("this backup is locked: its passphrase is needed")]
    Locked,
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    #[error("the state in this backup cannot be read: {0}")]
    State(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("the state has {bytes} bytes, more than the {limit} that a node can be restored from")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the backup could not be made: {0}")]
    Failed(String),
}

/// A backup of `state`. Without a lock nothing secret goes in.
pub fn write(state: &State, lock: Option<&Lock>) -> Result<Vec<u8>, WriteError> {
    let secrets = lock.is_some();
    let kept = state.for_backup(secrets);
    let plain = kept.encode_snapshot();
    let within = |bytes: usize, limit| match bytes <= limit {
        true => Ok(()),
        false => Err(WriteError::TooLarge { bytes, limit }),
    };
    within(plain.len(), RESTORE_BYTES_MAX)?;
    let failed = |error: std::io::Error| WriteError::Failed(error.to_string());
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&plain).map_err(failed)?;
    let packed = packed.finish().map_err(failed)?;
    let header = Header {
        format: FORMAT,
        product_version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: kept.cluster,
        index: kept.index,
        at: kept.now,
        apps: kept.apps.len(),
        users: kept.users.len(),
        tokens: kept.tokens.len(),
        secrets,
        seal: lock.map(|lock| lock.seal.clone()),
    };
    let json = serde_json::to_vec(&header).map_err(|error| WriteError::Failed(error.to_string()))?;
    let mut file = [MAGIC, &json, b"\n"].concat();
    let payload = match lock {
        None => packed,
        Some(lock) => lock
            .close(&file, packed)
            .ok_or_else(|| WriteError::Failed("it could not be locked".to_owned()))?,
    };
    file.extend_from_slice(&payload);
    let sum = Sha256::digest(&file);
    file.extend_from_slice(&sum);
    within(file.len(), BACKUP_FILE_BYTES_MAX)?;
    Ok(file)
}

/// What [`write`] made. Whoever wrote the bytes, this ends within bounds.
pub fn read(file: &[u8], passphrase: Option<&str>) -> Result<(Header, State), ReadError> {
    if file.len() > BACKUP_FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { limit: BACKUP_FILE_BYTES_MAX });
    }
    let line = line(file)?;
    let body_end = file.len().checked_sub(SHA256_BYTES).filter(|end| *end >= line.len());
    let (body, sum) = file.split_at(body_end.ok_or(ReadError::Damaged("it breaks off"))?);
    if *Sha256::digest(body) != *sum {
        return Err(ReadError::Damaged("its checksum is wrong, so it broke off or was changed"));
    }
    let header: Header = serde_json::from_slice(&line[MAGIC.len()..])
        .map_err(|_| ReadError::Damaged("its first line cannot be understood"))?;
    let payload = body[line.len()..].to_vec();
    let packed = match (&header.seal, passphrase) {
        (None, _) => payload,
        (Some(_), None) => return Err(ReadError::Locked),
        (Some(seal), Some(passphrase)) => {
            seal.open(passphrase, line, payload).ok_or(ReadError::WrongPassphrase)?
        }
    };
    let state = unpack(&packed)?;
    if state.feature_level > FEATURE_LEVEL {
        return Err(ReadError::NewerState { found: state.feature_level });
    }
    Ok((header, state))
}

/// The first line with its line feed, of a format that this program knows.
fn line(file: &[u8]) -> Result<&[u8], ReadError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    if !file.starts_with(MAGIC) {
        return Err(ReadError::Foreign);
    }
    let end = file.iter().take(HEADER_BYTES_MAX).position(|byte| *byte == b'\n');
    let line = &file[..=end.ok_or(ReadError::Damaged("its first line does not end"))?];
    // The number first: another format may not even have the same fields.
    match serde_json::from_slice(&line[MAGIC.len()..]) {
        Ok(Format { format: FORMAT }) => Ok(line),
        Ok(Format { format: found }) => Err(ReadError::Newer { found }),
        Err(_) => Err(ReadError::Damaged("its first line cannot be understood")),
    }
}

fn unpack(packed: &[u8]) -> Result<State, ReadError> {
    let mut plain = Vec::new();
    let limit = RESTORE_BYTES_MAX;
    let mut bounded = GzDecoder::new(packed).take(limit as u64 + 1);
    bounded.read_to_end(&mut plain).map_err(|_| ReadError::Damaged("it cannot be unpacked"))?;
    if plain.len() > limit {
        return Err(ReadError::TooLarge { limit });
    }
    State::decode_snapshot(&plain).map_err(|error| ReadError::State(error.to_string()))
}
