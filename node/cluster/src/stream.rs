//! What a server tells members without the log: who leads, and what was committed since they last asked.
//!
//! A question is held until there is something new, or for a moment, so that whoever asks notices a server that is gone
//! and this one costs nothing while nothing happens. What is told comes out of the log; who is too far behind for that
//! gets a snapshot first, as a server would.

use std::io;
use std::time::Duration;

use model::NodeId;
use openraft::Instant;
use openraft::async_runtime::WatchReceiver;
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use crate::clock::deadline;
use crate::cluster::{Cluster, Server};
use crate::message::Answer;
use crate::observer::Leadership;
use crate::snapshot;
use crate::types::{Entry, TokioRuntime};

/// How long a question is held. A leader must hear of its members more often than it takes them for lost.
pub const HOLD: Duration = Duration::from_millis(500);
/// Who has heard of no majority for so long may know less than others: several heartbeats, and the longest election.
pub const OUT_OF_TOUCH_MS: u64 = 3_000;

/// Where a member without the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Index of the last entry it has applied.
    pub applied: Option<u64>,
    pub leader: Option<NodeId>,
    pub term: u64,
}

/// What is new since then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct News {
    pub leader: Option<NodeId>,
    pub term: u64,
    /// Milliseconds since a majority is known to have stood behind a leader; `None` if that was never heard.
    pub silent_ms: Option<u64>,
    /// A snapshot follows, and no entries.
    pub snapshot: bool,
    pub entries: Vec<Entry>,
}

/// Who holds the log, by the last configuration that is known to be committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// Index of its entry; `None` while there is none.
    pub index: Option<u64>,
    pub nodes: Vec<NodeId>,
}

pub fn holders(server: &Server) -> Holders {
    let metrics = server.raft.metrics();
    let metrics = metrics.borrow_watched();
    let committed = &metrics.committed_membership_config;
    let nodes = committed.nodes().map(|(id, _)| NodeId(*id)).collect();
    Holders { index: committed.log_id().as_ref().map(|id| id.index), nodes }
}

impl Cluster {
    /// The answer to who has `seen` this, and the snapshot that follows it.
    pub(crate) async fn news(
        &self,
        server: &Server,
        seen: Seen,
    ) -> io::Result<(Answer<TokioRuntime>, Vec<u8>)> {
        let end = deadline(HOLD);
        let (mut applied, mut leadership) = (server.applied.clone(), self.leadership());
        let (last, Leadership { leader, term, .. }) = loop {
            let (last, now) = (*applied.borrow_and_update(), *leadership.borrow_and_update());
            if last > seen.applied || (now.leader, now.term) != (seen.leader, seen.term) {
                break (last, now);
            }
            let changed = async {
                tokio::select! { it = applied.changed() => it, it = leadership.changed() => it }
            };
            // An error means that consensus ended, which what follows tells.
            if timeout_at(end, changed).await.is_ok_and(|changed| changed.is_ok()) {
                continue;
            }
            break (last, now);
        };
        self.check_running().map_err(io::Error::other)?;
        let (entries, bytes) = since(server, seen.applied, last).await?;
        let silent_ms = self.silent_ms();
        let news = News { leader, term, silent_ms, snapshot: !bytes.is_empty(), entries };
        Ok((Answer::News(Box::new(news)), bytes))
    }

    /// Milliseconds since a majority is known to have stood behind a leader; `None` if that was not heard since this node
    /// was opened.
    pub fn silent_ms(&self) -> Option<u64> {
        match self.raft() {
            Some(raft) if self.leadership().borrow().is_self => {
                let metrics = raft.metrics();
                let metrics = metrics.borrow_watched();
                if metrics.membership_config.voter_ids().eq([self.node().0]) {
                    return Some(0);
                }
                let acknowledged = metrics.last_quorum_acked?;
                u64::try_from(acknowledged.elapsed().as_millis()).ok()
            }
            _ => self.last_heard().map(|at| self.now().ms_since(at)),
        }
    }
}

/// The entries after `seen` up to `last`, or, where the log begins later, a snapshot.
async fn since(server: &Server, seen: Option<u64>, last: Option<u64>) -> io::Result<(Vec<Entry>, Vec<u8>)> {
    let (from, end) = (seen.map_or(0, |index| index + 1), last.map_or(0, |index| index + 1));
    if from >= end {
        return Ok((Vec::new(), Vec::new()));
    }
    let entries = server.log.some::<TokioRuntime>(from, end).await?;
    if entries.first().is_some_and(|entry| entry.log_id.index == from) {
        return Ok((entries, Vec::new()));
    }
    let snapshot = server.raft.get_snapshot().await.map_err(io::Error::other)?;
    let snapshot = snapshot
        .ok_or_else(|| io::Error::other(format!("entry {from} is gone, and there is no snapshot")))?;
    let bytes = tokio::task::spawn_blocking(move || snapshot::to_bytes(&snapshot.meta, &snapshot.snapshot));
    Ok((Vec::new(), bytes.await??))
}
