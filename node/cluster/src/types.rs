//! openraft's type family, written out once. Nothing outside this crate sees any of it.
//!
//! `Tc` is generic over the runtime so that the same store, machine and network also run under a simulated one;
//! the data types do not depend on it, hence the plain aliases below.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;

use model::{Applied, Envelope};
use openraft::impls::{BoxedErrorSource, InlineBatch, OneshotResponder, leader_id_std};
use openraft::{AsyncRuntime, OptionalSend, RaftTypeConfig};
use serde::{Deserialize, Serialize};

pub type RaftNodeId = u64;
pub type LeaderId = leader_id_std::LeaderId<u64, RaftNodeId>;
pub type CommittedLeaderId = <LeaderId as openraft::vote::RaftLeaderId>::Committed;
pub type LogId = openraft::LogId<CommittedLeaderId>;
pub type Vote = openraft::impls::Vote<LeaderId>;
pub type Payload = openraft::EntryPayload<Logged, RaftNodeId, Peer>;
pub type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub type StoredMembership = openraft::StoredMembership<CommittedLeaderId, RaftNodeId, Peer>;
pub type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, RaftNodeId, Peer>;
/// Snapshots travel inside the process as the state itself; files and wires encode it at their edge.
pub type Snapshot = openraft::Snapshot<CommittedLeaderId, RaftNodeId, Peer, Arc<model::State>>;
pub type Members = BTreeMap<RaftNodeId, Peer>;

/// The application's part of a log entry. Shared, because an entry lives in the tail, on its way to disk and in
/// `apply` at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Logged(pub Arc<Envelope>);

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command at {}", self.0.at)
    }
}

/// What applying an entry answers; `None` for entries that are openraft's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answer(pub Option<Applied>);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(applied) => write!(f, "applied at {}", applied.index),
            None => f.write_str("nothing to answer"),
        }
    }
}

/// What raft must know of a member to reach it: its peer addresses, best first. Empty in a cluster of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
}

/// The type configuration, by runtime. Derives would demand the same traits of `R`, so they are written by hand.
pub struct Tc<R>(PhantomData<fn() -> R>);

impl<R> fmt::Debug for Tc<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tc")
    }
}
impl<R> Clone for Tc<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Tc<R> {}
impl<R> Default for Tc<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<R> PartialEq for Tc<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for Tc<R> {}
impl<R> PartialOrd for Tc<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Tc<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<R: AsyncRuntime> RaftTypeConfig for Tc<R> {
    type D = Logged;
    type R = Answer;
    type NodeId = RaftNodeId;
    type Node = Peer;
    type Term = u64;
    /// One leader per term, as in the Raft paper: a term alone names a leadership, which fencing relies on.
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

// Named through openraft, so that there is one version to pin.
#[allow(deprecated)]
pub use openraft::impls::TokioRuntime;
