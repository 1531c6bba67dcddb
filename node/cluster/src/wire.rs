//! How a question reaches another server: the seam between consensus and whatever carries its bytes.
//!
//! The node brings a [`Wire`] of mutual TLS, the tests one that can be cut. Bytes are opaque to it: what they say is
//! `message`'s matter, who may say it is checked by [`Cluster::answer`](crate::Cluster::answer) against the name that the
//! wire has proved.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use model::NodeId;

/// Whom to ask, and where it listens for its peers, best address first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub node: NodeId,
    pub addresses: Vec<SocketAddr>,
}

/// What kind of question it is. Each lane has a connection of its own, so that a long one holds up no other: a
/// heartbeat behind a snapshot would cost the leader its office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Heartbeats and votes.
    Pulse,
    /// Entries of the log.
    Log,
    Snapshot,
    /// Proposals and reads handed on to the leader.
    Command,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The question was not sent: the other cannot have acted on it.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, at least in part; whether it was acted on is unknown.
    #[error("gave no answer: {0}")]
    Broken(String),
}

/// Carries one question and its answer. Dropping the future gives up the answer, not what the other does.
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    async fn ask(&self, to: &Target, lane: Lane, question: Bytes) -> Result<Bytes, WireError>;
}

/// Leads nowhere: for a cluster of one.
#[derive(Debug, Clone, Copy)]
pub struct NoWire;

#[async_trait]
impl Wire for NoWire {
    async fn ask(&self, _to: &Target, _lane: Lane, _question: Bytes) -> Result<Bytes, WireError> {
        Err(WireError::Unreachable("this node has no connection to others".to_owned()))
    }
}
