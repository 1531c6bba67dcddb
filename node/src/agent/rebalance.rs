//! Evens out the load by itself, if the operator wants that: one instance, then a rest, then the next.
//!
//! Every server runs it; only the leader's does anything.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Proposal};
use model::rebalance::{self, Move};
use model::settings::Rebalance;
use model::{Command, State};
use tokio_util::sync::CancellationToken;

/// Between two looks: long enough for a start, a health check and the shift of traffic, and for people to see it.
const REST: Duration = Duration::from_secs(15);

pub async fn run(cluster: Cluster, shutdown: CancellationToken) {
    let mut states = cluster.watch();
    let mut leadership = cluster.leadership();
    loop {
        let leads = leadership.borrow_and_update().is_self;
        if leads && is_wanted(&cluster.state()) {
            tokio::select! {
                () = tokio::time::sleep(REST) => step(&cluster).await,
                () = shutdown.cancelled() => return,
            }
            continue;
        }
        tokio::select! {
            changed = states.wait_for(is_wanted), if leads => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
    }
}

fn is_wanted(state: &Arc<State>) -> bool {
    state.settings.rebalance == Rebalance::Automatic
}

async fn step(cluster: &Cluster) {
    let state = cluster.state();
    if !is_wanted(&state) {
        return;
    }
    // Many plans of the scheduler: not on a thread that answers others.
    let Ok(Some(next)) = tokio::task::spawn_blocking(move || rebalance::next(&state)).await else { return };
    let Move { app, task, from, to, .. } = next;
    tracing::info!(%app, %task, %from, %to, "the load is evened out");
    let proposal = Proposal::of_system(Command::MoveTasks { tasks: vec![task], cancel: false });
    if let Err(error) = cluster.propose_leading(proposal).await {
        tracing::warn!(%error, "an instance was not moved");
    }
}
