//! Connections to the other servers. There are none yet: in a cluster of one nobody is ever called.
//!
//! The mutual-TLS transport takes this file's place together with joining. It must override `pre_vote` and
//! `transfer_leader` as done here: openraft's defaults answer "granted" without asking, and "unreachable".

use std::future::Future;
use std::sync::Arc;

use model::State;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, OptionalSend};

use crate::types::{Peer, RaftNodeId, Snapshot, Tc, Vote};

/// Makes clients that reach nobody.
pub struct Alone;

/// A client for `target`, whom nothing leads to.
pub struct NoRoute {
    target: RaftNodeId,
}

impl<R: AsyncRuntime> RaftNetworkFactory<Tc<R>> for Alone {
    type Network = NoRoute;

    async fn new_client(&mut self, target: RaftNodeId, _peer: &Peer) -> NoRoute {
        NoRoute { target }
    }
}

impl NoRoute {
    fn unreachable<R: AsyncRuntime>(&self) -> Unreachable<Tc<R>> {
        Unreachable::from_string(format!("no route to node {}: this is a cluster of one", self.target))
    }
}

impl<R: AsyncRuntime> RaftNetworkV2<Tc<R>> for NoRoute {
    type SnapshotData = Arc<State>;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Tc<R>>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Tc<R>>, RPCError<Tc<R>>> {
        Err(self.unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Tc<R>>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Tc<R>>, RPCError<Tc<R>>> {
        Err(self.unreachable().into())
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<Tc<R>>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Tc<R>>, RPCError<Tc<R>>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Tc<R>>, StreamingError<Tc<R>>> {
        Err(StreamingError::Unreachable(self.unreachable()))
    }

    async fn transfer_leader(
        &mut self,
        _request: TransferLeaderRequest<Tc<R>>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Tc<R>>, RPCError<Tc<R>>> {
        Err(self.unreachable().into())
    }
}
