//! The other end of the wire: what another server asks of this one.

use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use model::NodeId;
use openraft::AsyncRuntime;

use crate::cluster::{Assignment, Cluster, Part};
use crate::machine::{Keep, Machine};
use crate::message::{Answer, Ask, decode, encode};
use crate::snapshot;
use crate::stream;
use crate::types::{Snapshot, Tc, TokioRuntime};

impl Cluster {
    /// Answers a question of `from`, a member whose name the wire has proved. What cannot be understood, or is said in
    /// another's name, is refused with the reason; the answer is bytes for the same wire.
    pub async fn answer(&self, from: NodeId, question: &[u8]) -> Bytes {
        let (answer, payload) = match decode::<Ask<TokioRuntime>>(question) {
            Ok((ask, payload)) => match speaks_for_another(from, &ask) {
                Some(other) => refused(&format!("node {from} may not speak for node {other}")),
                None => self.act(from, ask, payload).await,
            },
            Err(error) => refused(&error),
        };
        encode(&answer, &payload).unwrap_or_else(|error| {
            tracing::error!(%error, %from, "an answer cannot be encoded");
            Bytes::new()
        })
    }

    /// The answer, and what follows its line.
    async fn act(
        &self,
        from: NodeId,
        ask: Ask<TokioRuntime>,
        payload: &[u8],
    ) -> (Answer<TokioRuntime>, Vec<u8>) {
        let inner = self.inner();
        let plain = |answer| (answer, Vec::new());
        match (ask, &inner.part) {
            (Ask::Propose(proposal), part) => {
                let applied = self.propose_here(*proposal).await;
                await_commit(part, from, applied.as_ref().ok().map(|applied| applied.index));
                plain(Answer::Propose(applied))
            }
            (Ask::Read, part) => {
                let index = self.read_index().await;
                await_commit(part, from, index.as_ref().ok().copied());
                plain(Answer::Read(index))
            }
            (Ask::Pulse, _) => {
                self.pulsed(from);
                plain(Answer::Pulse)
            }
            (Ask::Follow(seen), Part::Server(server)) => {
                self.news(server, seen).await.unwrap_or_else(|error| refused(&error))
            }
            (Ask::Holders, Part::Server(server)) => plain(Answer::Holders(stream::holders(server))),
            (Ask::Append(_) | Ask::Install { .. }, Part::Worker(_)) => {
                inner.reassign(Assignment::Server);
                refused(&"this node begins a log first")
            }
            (_, Part::Worker(_)) => refused(&"this node holds no log"),
            (ask, Part::Server(server)) => {
                if matches!(ask, Ask::Append(_)) {
                    inner.heard.store(self.now().0, Ordering::Relaxed);
                }
                plain(consent(&server.raft, from, ask, payload).await)
            }
        }
    }
}

/// Whoever is told an index waits for it, and must not be kept waiting.
fn await_commit(part: &Part, from: NodeId, index: Option<u64>) {
    if let (Part::Server(server), Some(index)) = (part, index) {
        server.notices.await_commit(from, index);
    }
}

fn refused(reason: &dyn std::fmt::Display) -> (Answer<TokioRuntime>, Vec<u8>) {
    (Answer::Refused(reason.to_string()), Vec::new())
}

/// What consensus answers to consensus, on any runtime.
pub(crate) async fn consent<R: AsyncRuntime, K: Keep>(
    raft: &openraft::Raft<Tc<R>, Machine<K>>,
    from: NodeId,
    ask: Ask<R>,
    payload: &[u8],
) -> Answer<R> {
    let refused = |error: &dyn std::fmt::Display| Answer::Refused(error.to_string());
    match ask {
        Ask::Append(request) => {
            raft.append_entries(request).await.map_or_else(|error| refused(&error), Answer::Append)
        }
        Ask::Vote(request) => raft.vote(request).await.map_or_else(|error| refused(&error), Answer::Vote),
        Ask::PreVote(request) => {
            raft.pre_vote(request).await.map_or_else(|error| refused(&error), Answer::Vote)
        }
        Ask::TakeOver(request) => {
            raft.handle_transfer_leader(request).await.map_or_else(|error| refused(&error), Answer::TakeOver)
        }
        Ask::Install { vote } => {
            match snapshot::from_bytes(Path::new(&format!("snapshot of {from}")), payload) {
                Ok((meta, snapshot)) => raft
                    .install_full_snapshot(vote, Snapshot { meta, snapshot })
                    .await
                    .map_or_else(|error| refused(&error), Answer::Install),
                Err(error) => refused(&error),
            }
        }
        Ask::Propose(_) | Ask::Read | Ask::Follow(_) | Ask::Pulse | Ask::Holders => {
            Answer::Refused("is no question of consensus".to_owned())
        }
    }
}

/// Votes and entries carry who gives them: it must be the one at the other end.
pub(crate) fn speaks_for_another<R: AsyncRuntime>(from: NodeId, ask: &Ask<R>) -> Option<NodeId> {
    let vote = match ask {
        Ask::Append(request) => &request.vote,
        Ask::Vote(request) | Ask::PreVote(request) => &request.vote,
        Ask::TakeOver(request) => request.from_leader(),
        Ask::Install { vote } => vote,
        Ask::Propose(_) | Ask::Read | Ask::Follow(_) | Ask::Pulse | Ask::Holders => return None,
    };
    let named = NodeId(vote.leader_id.voted_for);
    (named != from).then_some(named)
}
