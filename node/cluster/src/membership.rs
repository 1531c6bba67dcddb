//! Who takes part in the log: who votes, who only follows, and where each is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use model::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{AsyncRuntime, ChangeMembers, Instant, RaftMetrics};
use tokio::time::Instant as Moment;

use crate::clock::{deadline, elapsed_ms};
use crate::cluster::{Cluster, Part};
use crate::error::MembershipError;
use crate::types::{LogId, Peer, RaftNodeId, StoredMembership, Tc};

/// How long a member is not taken for lost that has just left the log.
const BEGIN_ANEW: Duration = Duration::from_secs(15);

/// When members without the log were heard last, in one term.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    term: u64,
    heard: BTreeMap<NodeId, Moment>,
}

impl Pulses {
    /// Those of `term`; what was heard in another is forgotten.
    fn of(&mut self, term: u64) -> &mut BTreeMap<NodeId, Moment> {
        if self.term != term {
            *self = Self { term, heard: BTreeMap::new() };
        }
        &mut self.heard
    }
}

/// One member as the newest configuration known here names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: NodeId,
    pub addresses: Vec<SocketAddr>,
    /// Counts for majorities. Others have every entry as well, but are not waited for.
    pub votes: bool,
}

/// How far behind one follower is, as its leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Last entry known to be durable there; `None` if nothing is known.
    pub matched: Option<u64>,
    /// Milliseconds since its last answer was asked for; `None` before its first.
    pub silent_ms: Option<u64>,
}

impl Cluster {
    /// By id. Empty before the first configuration is known.
    pub fn members(&self) -> Vec<Member> {
        match &self.inner().part {
            Part::Server(server) => members(&server.raft.metrics().borrow_watched()),
            Part::Worker(worker) => worker.members.borrow().clone(),
        }
    }

    /// Of every other member, if this node leads; else empty.
    pub fn progress(&self) -> BTreeMap<NodeId, Progress> {
        match &self.inner().part {
            Part::Server(server) => progress(&server.raft.metrics().borrow_watched(), self.node()),
            Part::Worker(_) => BTreeMap::new(),
        }
    }

    /// Milliseconds since each other member was last heard of, if this node leads; else empty. Those that hold the log
    /// are heard by their answers, others by their pulses; `None` before the first.
    pub fn silence(&self) -> BTreeMap<NodeId, Option<u64>> {
        let leadership = *self.inner().leadership.borrow();
        if !leadership.is_self {
            return BTreeMap::new();
        }
        let mut silence: BTreeMap<_, _> =
            self.progress().into_iter().map(|(node, progress)| (node, progress.silent_ms)).collect();
        for (node, at) in self.inner().pulses().of(leadership.term) {
            silence.entry(*node).or_insert(Some(elapsed_ms(*at)));
        }
        silence
    }

    /// A member without the log is there.
    pub(crate) fn pulsed(&self, node: NodeId) {
        let term = self.inner().leadership.borrow().term;
        self.inner().pulses().of(term).insert(node, deadline(Duration::ZERO));
    }

    /// Lets `node` follow the log, or makes new addresses of it known. Returns when the change is committed, not when
    /// the node has caught up. This node must lead.
    pub async fn add_follower(
        &self,
        node: NodeId,
        addresses: Vec<SocketAddr>,
    ) -> Result<(), MembershipError> {
        self.change(follows(&self.members(), node, addresses)).await
    }

    /// Makes exactly these members vote; who voted before follows on. All must be members. This node must lead.
    pub async fn set_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        self.change(self::voters(voters)).await
    }

    /// Forgets a member that does not vote. This node must lead.
    pub async fn remove_follower(&self, node: NodeId) -> Result<(), MembershipError> {
        // It has to notice that it holds the log no more, and to begin anew without it.
        let term = self.inner().leadership.borrow().term;
        self.inner().pulses().of(term).insert(node, deadline(BEGIN_ANEW));
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node.0]))).await
    }

    /// Asks `node`, a voter, to lead from now on. Resolves once somebody else than this node does, whoever it is;
    /// cancel it by a time limit. From the call on this node accepts no writes until it is known who leads.
    pub async fn hand_over(&self, node: NodeId) -> Result<(), MembershipError> {
        let mut leadership = self.leadership();
        let raft = self.raft().ok_or(MembershipError::NoLeader)?;
        raft.trigger().transfer_leader(node.0).await.map_err(|fatal| failed(&fatal))?;
        let gone = leadership.wait_for(|now| now.leader.is_some() && !now.is_self).await;
        gone.map(|_| ()).map_err(|error| failed(&error))
    }

    async fn change(&self, change: ChangeMembers<RaftNodeId, Peer>) -> Result<(), MembershipError> {
        let raft = self.raft().ok_or(MembershipError::NoLeader)?;
        changed(raft.change_membership(change, true).await)
    }
}

/// What openraft's answer means to whoever changes the members.
pub(crate) fn changed<R: AsyncRuntime, T>(
    answer: Result<T, RaftError<Tc<R>, ClientWriteError<Tc<R>>>>,
) -> Result<(), MembershipError> {
    match answer {
        Ok(_) => Ok(()),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(MembershipError::NoLeader),
        Err(RaftError::APIError(error)) => Err(failed(&error)),
        Err(RaftError::Fatal(fatal)) => Err(failed(&fatal)),
    }
}

/// Among `members`, `node` follows from now on, or is reached elsewhere.
pub(crate) fn follows(
    members: &[Member],
    node: NodeId,
    addresses: Vec<SocketAddr>,
) -> ChangeMembers<RaftNodeId, Peer> {
    let peer = BTreeMap::from([(node.0, Peer { addresses })]);
    let is_known = members.iter().any(|member| member.node == node);
    if is_known { ChangeMembers::SetNodes(peer) } else { ChangeMembers::AddNodes(peer) }
}

/// Exactly these vote.
pub(crate) fn voters(nodes: BTreeSet<NodeId>) -> ChangeMembers<RaftNodeId, Peer> {
    ChangeMembers::ReplaceAllVoters(nodes.into_iter().map(|node| node.0).collect())
}

pub(crate) fn members<R: AsyncRuntime>(metrics: &RaftMetrics<Tc<R>>) -> Vec<Member> {
    members_of(&metrics.membership_config)
}

pub(crate) fn members_of(configuration: &StoredMembership) -> Vec<Member> {
    let voters: BTreeSet<u64> = configuration.voter_ids().collect();
    let member = |(&id, peer): (&u64, &Peer)| Member {
        node: NodeId(id),
        addresses: peer.addresses.clone(),
        votes: voters.contains(&id),
    };
    configuration.nodes().map(member).collect()
}

pub(crate) fn progress<R: AsyncRuntime>(
    metrics: &RaftMetrics<Tc<R>>,
    own: NodeId,
) -> BTreeMap<NodeId, Progress> {
    let Some(replication) = &metrics.replication else {
        return BTreeMap::new();
    };
    let silent = |id: &u64| {
        let answered = metrics.heartbeat.as_ref()?.get(id)?.as_ref()?;
        u64::try_from(answered.elapsed().as_millis()).ok()
    };
    let others = replication.iter().filter(|(id, _)| **id != own.0);
    let progress = |(id, matched): (&u64, &Option<LogId>)| {
        let matched = matched.as_ref().map(|log_id| log_id.index);
        (NodeId(*id), Progress { matched, silent_ms: silent(id) })
    };
    others.map(progress).collect()
}

fn failed(error: &dyn std::fmt::Display) -> MembershipError {
    MembershipError::Failed(error.to_string())
}
