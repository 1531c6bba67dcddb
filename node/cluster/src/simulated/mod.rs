//! Consensus under a simulated clock: the same machine, messages and settings on a disk in memory (feature
//! `simulation`). For the crate `simulation` alone, which brings the network between the servers and what goes wrong.
//!
//! [`openraft-rt-sim`](https://docs.rs/openraft-rt-sim) runs everything in one thread and jumps from timer to timer: the
//! same seed gives the same run.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use model::{Applied, Envelope, NodeId, State};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::ReadPolicy;
use openraft::{ChangeMembers, SnapshotPolicy};
use tokio::sync::watch;

pub use disk::Disk;
pub use openraft::{AsyncRuntime, Instant};
/// One thread, and a clock that stands still while anybody works.
pub use openraft_rt_sim::SimRuntime as Runtime;

use crate::answer::{consent, speaks_for_another};
use crate::clock::ClusterClock;
use crate::config::{Config, Start, Timers};
use crate::error::{MembershipError, OpenError, ProposeError, ReadError};
use crate::machine::Machine;
use crate::membership::{self, Member, Progress};
use crate::message::{self, Answer, Ask};
use crate::network::Network;
use crate::notices::Notices;
use crate::observer::Leadership;
use crate::propose::answered;
use crate::read::confirmed;
use crate::types::{Logged, Members, Peer, Tc};
use crate::wire::Wire;
use disk::Snapshots;

/// Few, so that followers that were away need one.
const SNAPSHOT_EVERY: u64 = 60;
const KEEP_BEHIND_SNAPSHOT: u64 = 20;

/// One life of one server's program, from its start to its crash. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    raft: openraft::Raft<Tc<Runtime>, Machine<Snapshots>>,
    node: NodeId,
    state: watch::Receiver<Arc<State>>,
    disk: Disk,
}

impl Server {
    /// Goes on with what is on `disk`; an empty one becomes a cluster of one if `first`, else waits for a leader.
    pub async fn start(
        node: NodeId,
        disk: Disk,
        wire: Arc<dyn Wire>,
        first: bool,
    ) -> Result<Self, OpenError> {
        let failed = |error: &dyn std::fmt::Display| OpenError::Raft(error.to_string());
        let config = Config {
            dir: Default::default(),
            node,
            start: Start::Alone,
            timers: Timers::default(),
            contacts: Vec::new(),
            reserve_bytes: 0,
        };
        let raft_config = openraft::Config {
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
            max_in_snapshot_log_to_keep: KEEP_BEHIND_SNAPSHOT,
            replication_lag_threshold: 2 * SNAPSHOT_EVERY,
            ..config.raft()
        };
        let raft_config = Arc::new(raft_config.validate().map_err(|error| failed(&error))?);
        let (log, keep, stored) = disk.open();
        // What it shows does not matter: whoever simulates stamps the commands.
        let machine = Machine::new(stored, keep, Arc::new(ClusterClock::new()));
        let state = machine.watch();
        // Nobody says that it waits for a commit: every notice is held for its moment.
        let network = Network::new(wire, Notices::default());
        let raft = openraft::Raft::new(node.0, raft_config, network, log, machine)
            .await
            .map_err(|error| failed(&error))?;
        if first && !raft.is_initialized().await.map_err(|error| failed(&error))? {
            let alone = Members::from([(node.0, Peer::default())]);
            raft.initialize(alone).await.map_err(|error| failed(&error))?;
        }
        Ok(Self { raft, node, state, disk })
    }

    /// Ends this life at once. What it was writing is on the disk if `finishes`.
    pub async fn crash(self, finishes: bool) {
        self.disk.crash(finishes);
        // An error says that it noticed its dead disk first.
        let _ = self.raft.shutdown().await;
    }

    /// The latest state applied here.
    pub fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    pub fn leadership(&self) -> Leadership {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.running_state.is_err() {
            return Leadership { term: metrics.current_term, ..Leadership::default() };
        }
        let leader = metrics.current_leader.map(NodeId);
        Leadership { leader, term: metrics.current_term, is_self: leader == Some(self.node) }
    }

    pub fn members(&self) -> Vec<Member> {
        membership::members(&self.raft.metrics().borrow_watched())
    }

    /// Of every other member, if this node leads; else empty.
    pub fn progress(&self) -> BTreeMap<NodeId, Progress> {
        membership::progress(&self.raft.metrics().borrow_watched(), self.node)
    }

    /// Index of the last entry of the log.
    pub fn last(&self) -> u64 {
        self.raft.metrics().borrow_watched().last_log_index.unwrap_or(0)
    }

    /// Why it works no more, if so.
    pub fn failure(&self) -> Option<String> {
        self.raft.metrics().borrow_watched().running_state.as_ref().err().map(ToString::to_string)
    }

    /// Replicates a command, if this node leads.
    pub async fn propose(&self, envelope: Envelope) -> Result<Applied, ProposeError> {
        answered(self.raft.client_write(Logged(Arc::new(envelope))).await)
    }

    /// The index that a read begun now must see, if this node leads.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        confirmed(self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await)?;
        Ok(self.state().index)
    }

    pub async fn follow(&self, node: NodeId, addresses: Vec<SocketAddr>) -> Result<(), MembershipError> {
        self.change(membership::follows(&self.members(), node, addresses)).await
    }

    pub async fn set_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        self.change(membership::voters(voters)).await
    }

    pub async fn forget(&self, node: NodeId) -> Result<(), MembershipError> {
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node.0]))).await
    }

    async fn change(&self, change: ChangeMembers<u64, Peer>) -> Result<(), MembershipError> {
        membership::changed(self.raft.change_membership(change, true).await)
    }

    /// What consensus here answers to a question from `from`.
    pub async fn answer(&self, from: NodeId, question: &[u8]) -> Bytes {
        let answer = match message::decode::<Ask<Runtime>>(question) {
            Ok((ask, _)) if speaks_for_another(from, &ask).is_some() => {
                Answer::Refused("speaks for another".to_owned())
            }
            Ok((ask, payload)) => consent(&self.raft, from, ask, payload).await,
            Err(error) => Answer::Refused(error.to_string()),
        };
        message::encode(&answer, &[]).unwrap_or_default()
    }
}
