//! Consensus speaking to the other servers: openraft's calls as questions on a [`Wire`].
//!
//! `pre_vote` and `transfer_leader` must be carried: openraft's own defaults answer "granted" without asking, and
//! "unreachable".

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::{Either, select};
use model::{NodeId, State};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, OptionalSend};

use crate::message::{Answer, Ask, decode, encode};
use crate::notices::{self, Awaited, Notices};
use crate::snapshot;
use crate::types::{Peer, RaftNodeId, Snapshot, Tc, Vote};
use crate::wire::{Lane, Target, Wire, WireError};

/// A snapshot of the largest state over a slow line; consensus goes on meanwhile.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
/// What one question about the log may take. openraft's own limit is one heartbeat, which one slow fsync of the
/// follower exceeds: the entries would then be sent again, to be written again.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes a link for each member.
pub struct Network<R> {
    wire: Arc<dyn Wire>,
    notices: Notices,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Network<R> {
    pub fn new(wire: Arc<dyn Wire>, notices: Notices) -> Self {
        Self { wire, notices, runtime: PhantomData }
    }

    fn link(&self, node: RaftNodeId, peer: &Peer, lane: Lane) -> Link<R> {
        let target = Target { node: NodeId(node), addresses: peer.addresses.clone() };
        let awaited = self.notices.of(node);
        Link { wire: self.wire.clone(), target, lane, awaited, runtime: PhantomData }
    }
}

impl<R: AsyncRuntime> RaftNetworkFactory<Tc<R>> for Network<R> {
    type Network = Link<R>;

    async fn new_client(&mut self, target: RaftNodeId, peer: &Peer) -> Link<R> {
        self.link(target, peer, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: RaftNodeId, peer: &Peer) -> Link<R> {
        self.link(target, peer, Lane::Pulse)
    }

    async fn new_snapshot_client(&mut self, target: RaftNodeId, peer: &Peer) -> Link<R> {
        self.link(target, peer, Lane::Snapshot)
    }
}

/// The way to one member by one lane.
pub struct Link<R> {
    wire: Arc<dyn Wire>,
    target: Target,
    lane: Lane,
    awaited: Awaited,
    runtime: PhantomData<fn() -> R>,
}

/// What became of one request of a stream.
type Appended<R> = Result<StreamAppendResult<Tc<R>>, RPCError<Tc<R>>>;

/// Why a call failed, in the words that every kind of openraft's errors has.
enum Failed<R: AsyncRuntime> {
    Unreachable(Unreachable<Tc<R>>),
    Network(NetworkError<Tc<R>>),
}

impl<R: AsyncRuntime> From<Failed<R>> for RPCError<Tc<R>> {
    fn from(failed: Failed<R>) -> Self {
        match failed {
            Failed::Unreachable(error) => error.into(),
            Failed::Network(error) => error.into(),
        }
    }
}

impl<R: AsyncRuntime> From<Failed<R>> for StreamingError<Tc<R>> {
    fn from(failed: Failed<R>) -> Self {
        match failed {
            Failed::Unreachable(error) => error.into(),
            Failed::Network(error) => error.into(),
        }
    }
}

impl<R: AsyncRuntime> Link<R> {
    async fn ask(
        &self,
        lane: Lane,
        ask: &Ask<R>,
        payload: &[u8],
        limit: Duration,
    ) -> Result<Answer<R>, Failed<R>> {
        let question = encode(ask, payload).map_err(|error| self.broken(&error))?;
        match self.within(limit, self.wire.ask(&self.target, lane, question)).await? {
            Ok(bytes) => Ok(decode(&bytes).map_err(|error| self.broken(&error))?.0),
            Err(error @ WireError::Unreachable(_)) => Err(self.unreachable(&error)),
            Err(error @ WireError::Broken(_)) => Err(self.broken(&error)),
        }
    }

    /// A member that accepts connections and never answers counts as unreachable, so that openraft backs off.
    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = T> + Send,
    ) -> Result<T, Failed<R>> {
        match R::timeout(limit, answer).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.unreachable(&format!("no answer within {limit:?}"))),
        }
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> Failed<R> {
        Failed::Unreachable(Unreachable::from_string(format!("node {}: {error}", self.target.node)))
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Failed<R> {
        Failed::Network(NetworkError::from_string(format!("node {}: {error}", self.target.node)))
    }

    /// The answer was to another question, or a refusal.
    fn odd(&self, answer: Answer<R>) -> Failed<R> {
        match answer {
            Answer::Refused(reason) => self.unreachable(&format!("refused: {reason}")),
            _ => self.broken(&"it answered another question"),
        }
    }
}

impl<R: AsyncRuntime> RaftNetworkV2<Tc<R>> for Link<R> {
    type SnapshotData = Arc<State>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Tc<R>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Tc<R>>, RPCError<Tc<R>>> {
        let limit = if request.entries.is_empty() { option.soft_ttl() } else { LOG_TIMEOUT };
        match self.ask(self.lane, &Ask::Append(request), &[], limit).await? {
            Answer::Append(answer) => Ok(answer),
            other => Err(self.odd(other).into()),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended<R>>, RPCError<Tc<R>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Tc<R>>> + OptionalSend + Unpin + 'static,
    {
        let requests = notices::gathered::<R>(requests, self.awaited.clone());
        stream_append_sequential(self, requests, option)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Tc<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Tc<R>>, RPCError<Tc<R>>> {
        match self.ask(Lane::Pulse, &Ask::Vote(request), &[], option.soft_ttl()).await? {
            Answer::Vote(answer) => Ok(answer),
            other => Err(self.odd(other).into()),
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Tc<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Tc<R>>, RPCError<Tc<R>>> {
        match self.ask(Lane::Pulse, &Ask::PreVote(request), &[], option.soft_ttl()).await? {
            Answer::Vote(answer) => Ok(answer),
            other => Err(self.odd(other).into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Tc<R>>, StreamingError<Tc<R>>> {
        let bytes: Bytes = snapshot::to_bytes(&snapshot.meta, &snapshot.snapshot)
            .map_err(|error| self.broken(&error))?
            .into();
        let ask = Ask::Install { vote };
        let sent = self.ask(Lane::Snapshot, &ask, &bytes, SNAPSHOT_TIMEOUT);
        match select(Box::pin(sent), Box::pin(cancel)).await {
            Either::Left((answer, _)) => match answer? {
                Answer::Install(answer) => Ok(answer),
                other => Err(self.odd(other).into()),
            },
            Either::Right((closed, _)) => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Tc<R>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Tc<R>>, RPCError<Tc<R>>> {
        match self.ask(Lane::Pulse, &Ask::TakeOver(request), &[], option.soft_ttl()).await? {
            Answer::TakeOver(answer) => Ok(answer),
            other => Err(self.odd(other).into()),
        }
    }
}
