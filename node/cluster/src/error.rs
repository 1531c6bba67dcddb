//! What can go wrong, by who has to act on it.

use std::io;
use std::path::PathBuf;

use model::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

use crate::codec::CodecError;

/// Why a state folder cannot be opened. None of these heals by trying again, except `InUse`.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("cannot {what} {path}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {what} {path}")]
    Database { what: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("{path} has schema {found}, this program knows {known}: a newer version wrote it")]
    Schema { path: PathBuf, found: String, known: u32 },
    #[error("{path} belongs to node {found}, this is node {expected}")]
    OtherNode { path: PathBuf, found: NodeId, expected: NodeId },
    #[error("{path} belongs to cluster {expected}, but the snapshots beside it to cluster {found}")]
    OtherCluster { path: PathBuf, found: ClusterId, expected: ClusterId },
    #[error("{path} holds the log of {found}, this node is to join cluster {wanted}")]
    Foreign { path: PathBuf, found: String, wanted: ClusterId },
    #[error("{path}: the value of `{key}` cannot be read")]
    Meta { path: PathBuf, key: &'static str, source: serde_json::Error },
    #[error(transparent)]
    Entry(#[from] CodecError),
    #[error("{path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path} was written in state format {found}, this program knows {known}: a newer version wrote it"
    )]
    SnapshotFormat { path: PathBuf, found: u32, known: u32 },
    #[error("{path} is missing, but there are snapshots: this node's votes are lost, it must join anew")]
    LogMissing { path: PathBuf },
    #[error("the consensus engine did not start: {0}")]
    Raft(String),
}

/// Why a proposal has no answer. Everything but `TimedOut` and `Unknown` means that it was not applied and never
/// will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposeError {
    #[error("no server leads the cluster now, or it cannot be reached from here")]
    NoLeader,
    #[error("{free} bytes are free for the cluster's log, and {reserve} must stay in reserve")]
    NoSpace { free: u64, reserve: u64 },
    #[error("the command is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("no answer in time; whether the command was applied is unknown")]
    TimedOut,
    #[error("whether the command was applied is unknown: {0}")]
    Unknown(String),
    #[error("the cluster's log failed: {0}")]
    Failed(String),
}

/// Why a fresh read is not to be had now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadError {
    #[error("no server leads the cluster now, or it cannot be reached from here")]
    NoLeader,
    #[error("this node has not caught up with the leader in time")]
    Behind,
    #[error("no majority of servers answered in time")]
    NoQuorum,
    #[error("the cluster's log failed: {0}")]
    Failed(String),
}

/// Why the members did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    #[error("this node does not lead")]
    NoLeader,
    #[error("the members did not change: {0}")]
    Failed(String),
}

/// Storage or consensus died and stays dead in this process. The agent must exit; tasks go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cluster's log failed: {reason}")]
pub struct Failure {
    pub reason: String,
}
