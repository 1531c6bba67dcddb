//! How a server learns that it holds the log no more: nobody tells it anything from then on.
//!
//! Whoever was away while another took its place, or joins a cluster that has servers enough, hears of no leader. It then
//! asks the others. Silence has no event, so it looks every second while it follows somebody.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{NodeId, Timestamp};
use openraft::async_runtime::WatchReceiver;
use tokio::time::{sleep, timeout};

use crate::cluster::{Assignment, Cluster, Server};
use crate::message::{Answer, Ask, decode, encode};
use crate::stream::{Holders, OUT_OF_TOUCH_MS};
use crate::types::TokioRuntime;
use crate::wire::{Lane, Target};
use crate::worker::targets;

const LOOK: Duration = Duration::from_secs(1);
/// For a snapshot of the state.
const WRITING: Duration = Duration::from_secs(5);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Resolves when another server says, of a configuration as new as any known here, that this one is not in it.
    pub(crate) async fn notice_absence(self, contacts: Vec<Target>) {
        let Some(server) = self.server() else { return };
        let begun = self.now();
        loop {
            sleep(LOOK).await;
            let leads = self.leadership().borrow().is_self;
            if leads || self.now().ms_since(self.heard().max(begun)) < OUT_OF_TOUCH_MS {
                continue;
            }
            for target in targets(self.node(), &self.members(), &self.state(), &contacts).all {
                let Some(holders) = self.holders_by(&target).await else { continue };
                if is_absent(self.node(), known(server), &holders) {
                    tracing::info!(by = %target.node, "this node holds the log no more");
                    write_down(server).await;
                    self.inner().reassign(Assignment::Worker);
                    return;
                }
            }
        }
    }

    fn heard(&self) -> Timestamp {
        Timestamp(self.inner().heard.load(Ordering::Relaxed))
    }

    async fn holders_by(&self, target: &Target) -> Option<Holders> {
        let question = encode(&Ask::<TokioRuntime>::Holders, &[]).ok()?;
        let bytes =
            timeout(PATIENCE, self.inner().wire.ask(target, Lane::Command, question)).await.ok()?.ok()?;
        match decode::<Answer<TokioRuntime>>(&bytes).ok()?.0 {
            Answer::Holders(holders) => Some(holders),
            _ => None,
        }
    }
}

/// What this node knows now, so that it need not begin with nothing. Names and traffic go by it at its next start.
async fn write_down(server: &Server) {
    let applied = *server.applied.borrow();
    let mut metrics = server.raft.metrics();
    let written = async {
        server.raft.trigger().snapshot().await.ok()?;
        while metrics.borrow_and_update().snapshot.map(|id| id.index) < applied {
            metrics.changed().await.ok()?;
        }
        Some(())
    };
    if timeout(WRITING, written).await.ok().flatten().is_none() {
        tracing::warn!("the state was not written down; the next start begins with an older one");
    }
}

/// Index of the newest configuration known here.
fn known(server: &Server) -> Option<u64> {
    let metrics = server.raft.metrics();
    let metrics = metrics.borrow_watched();
    metrics.membership_config.log_id().as_ref().map(|id| id.index)
}

/// An older configuration says nothing: this node may have come in since.
fn is_absent(own: NodeId, known: Option<u64>, holders: &Holders) -> bool {
    holders.index.is_some() && holders.index >= known && !holders.nodes.contains(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_configuration_as_new_as_ones_own_says_that_one_is_absent() {
        let holders =
            |index, nodes: &[u64]| Holders { index, nodes: nodes.iter().copied().map(NodeId).collect() };
        let own = NodeId(4);
        assert!(is_absent(own, None, &holders(Some(3), &[1, 2, 3])));
        assert!(is_absent(own, Some(3), &holders(Some(9), &[1, 2, 3])));
        assert!(!is_absent(own, Some(3), &holders(Some(9), &[1, 4])));
        assert!(!is_absent(own, Some(10), &holders(Some(9), &[1, 2, 3])));
        assert!(!is_absent(own, None, &holders(None, &[])));
    }
}
