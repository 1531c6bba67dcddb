//! The leader's loop: compares what is wanted with what is planned and proposes the difference.
//!
//! Every server runs it; only the leader's does anything. It sleeps until the state, the leadership or a back-off
//! that is over can change its answer.

use std::time::Duration;

use cluster::{Cluster, Proposal, ProposeError};
use model::command::Reject;
use model::ids::IdSource;
use model::{Command, Timestamp, schedule};
use tokio_util::sync::CancellationToken;

/// Wait after a proposal that did not go through: a new leader or free space needs about this long.
const RETRY: Duration = Duration::from_millis(250);

pub async fn run(cluster: Cluster, shutdown: CancellationToken) {
    let mut states = cluster.watch();
    let mut leadership = cluster.leadership();
    let mut reason = "start";
    loop {
        let mut wake_at = None;
        let leads = leadership.borrow_and_update().is_self;
        if leads {
            let state = states.borrow_and_update().clone();
            let seed = rand::random();
            let plan = schedule::plan(&state, cluster.now(), &mut IdSource::new(seed));
            wake_at = plan.wake_at;
            if !plan.actions.is_empty() {
                tracing::info!(reason, index = state.index, actions = plan.actions.len(), "plan");
                let command = Command::ApplyPlan { based_on: state.index, actions: plan.actions };
                if !propose(&cluster, command).await {
                    tokio::time::sleep(RETRY).await;
                    reason = "retry";
                    continue;
                }
            }
        }
        // Cancel safety: `changed` and `sleep` may be dropped at any time, nothing is lost with them.
        reason = tokio::select! {
            changed = states.changed(), if leads => match changed {
                Ok(()) => "state changed",
                Err(_) => return,
            },
            changed = leadership.changed() => match changed {
                Ok(()) => "leadership changed",
                Err(_) => return,
            },
            () = until(&cluster, wake_at) => "a launch delay is over",
            () = shutdown.cancelled() => return,
        };
    }
}

/// True if the next round may follow at once: the plan was applied, or was stale because the state moved on.
async fn propose(cluster: &Cluster, command: Command) -> bool {
    let proposal = Proposal::of_system(command);
    match cluster.propose(proposal).await {
        Ok(applied) => match applied.result {
            Ok(_) => true,
            Err(Reject::StalePlan { what, .. }) => {
                tracing::info!(what, "the plan was stale");
                true
            }
            Err(reject) => {
                tracing::error!(%reject, "the plan was refused");
                false
            }
        },
        Err(ProposeError::NoLeader) => false,
        Err(error) => {
            tracing::warn!(%error, "the plan was not written");
            false
        }
    }
}

async fn until(cluster: &Cluster, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.ms_since(cluster.now()).max(1))).await,
        None => std::future::pending().await,
    }
}
