//! Watches the consensus engine from outside: who leads, whether it still lives, to which cluster the log belongs, and
//! whether its timers are needed.

use std::sync::Arc;

use model::{NodeId, State};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use tokio::sync::watch;

use crate::error::Failure;
use crate::log_store::LogStore;
use crate::machine::Machine;
use crate::types::{Tc, TokioRuntime};

pub type Types = Tc<TokioRuntime>;
pub type Raft = openraft::Raft<Types, Machine>;

/// Who leads, as far as this node knows. One term has at most one leader, so `term` orders leaderships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    pub leader: Option<NodeId>,
    pub term: u64,
    pub is_self: bool,
}

/// One task; `shutdown` aborts it, else it ends with the engine.
pub struct Observer {
    pub raft: Raft,
    pub node: NodeId,
    pub leadership: watch::Sender<Leadership>,
    pub failure: watch::Sender<Option<Failure>>,
}

impl Observer {
    pub async fn run(self, store: LogStore, state: watch::Receiver<Arc<State>>) {
        futures::future::join(self.observe(), sign(store, state)).await;
    }

    /// Turns openraft's metrics into leadership and failure. After a failure its metrics still name the old leader,
    /// even this node; here nobody leads then.
    async fn observe(self) {
        let mut metrics = self.raft.metrics();
        loop {
            let (now, members, running) = {
                let metrics = metrics.borrow_and_update();
                let (leader, term) = (metrics.current_leader.map(NodeId), metrics.current_term);
                let now = Leadership { leader, term, is_self: leader == Some(self.node) };
                (now, metrics.membership_config.nodes().count(), metrics.running_state.clone())
            };
            if let Err(fatal) = running {
                return self.report(&fatal, now.term);
            }
            // Who leads a cluster of one has nobody to send heartbeats to and nobody to be deposed by: its ticker, some
            // 50 wake-ups a second, rests until another member is added.
            self.raft.runtime_config().tick(!(now.is_self && members == 1));
            self.leadership.send_if_modified(|before| std::mem::replace(before, now) != now);
            if metrics.changed().await.is_err() {
                return self.report(&Fatal::Stopped, now.term);
            }
        }
    }

    /// The first reason stays: what follows a failed disk is only its echo.
    fn report(&self, fatal: &Fatal<Types>, term: u64) {
        self.leadership.send_replace(Leadership { leader: None, term, is_self: false });
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| Failure { reason: fatal.to_string() });
            first
        });
    }
}

/// Writes the cluster's id beside the log once there is one, so that a snapshot of another cluster is recognised.
async fn sign(store: LogStore, mut state: watch::Receiver<Arc<State>>) {
    let Ok(cluster) = state.wait_for(|state| state.cluster.is_some()).await.map(|state| state.cluster) else {
        return;
    };
    if let Some(cluster) = cluster
        && let Err(error) = store.sign(cluster).await
    {
        tracing::error!(%error, "the cluster's id was not written to raft.db");
    }
}
