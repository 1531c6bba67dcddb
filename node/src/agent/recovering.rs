//! Going on alone when the majority is lost for good: what it would cost, and doing it by starting anew.

use std::sync::Arc;

use cluster::{Cluster, ReadError, order_recovery};
use console::{Gone, Prospects, RecoverError, Recovery, Unavailable};
use model::membership::Member;
use model::{NodeId, State, Timestamp};

use super::backend::NodeBackend;
use super::roster;

/// An error while there is nothing to recover from. Takes as long as a majority may take to answer.
pub async fn prospects(backend: &NodeBackend) -> Result<Prospects, RecoverError> {
    let cluster = &backend.cluster;
    if cluster.state().members.len() < 2 {
        return Err(RecoverError::Alone);
    }
    if !cluster.holds_log() {
        return Err(RecoverError::NoLog);
    }
    match cluster.read().await {
        Ok(_) => return Err(RecoverError::MajorityAnswers),
        Err(ReadError::NoLeader | ReadError::NoQuorum | ReadError::Behind) => {}
        Err(ReadError::Failed(why)) => return Err(RecoverError::Unavailable(Unavailable::Failed(why))),
    }
    let state = cluster.state();
    let gone = state.members.iter().filter(|(node, _)| **node != cluster.node());
    Ok(Prospects {
        node: state.node_name(cluster.node()),
        last_change: state.index,
        last_change_at: state.now,
        last_contact: last_contact(cluster),
        gone: gone.map(|(node, member)| loss(&state, *node, member)).collect(),
    })
}

/// Returns once it is written down; the agent ends then, and its next start carries it out.
pub async fn recover(backend: &NodeBackend, wish: Recovery) -> Result<(), RecoverError> {
    let _one_at_a_time = backend.joining.lock.lock().await;
    let prospects = prospects(backend).await?;
    if wish.confirm.trim() != prospects.node {
        return Err(RecoverError::NotConfirmed { name: prospects.node });
    }
    tracing::warn!(actor = ?wish.actor, client = wish.origin.client_ip, ?prospects, "the majority is given up");
    let (dir, node) = (backend.joining.state_dir.clone(), backend.cluster.node());
    let ordered = tokio::task::spawn_blocking(move || order_recovery(&dir, node)).await;
    let ordered = ordered.map_err(std::io::Error::other).flatten();
    ordered.map_err(|error| RecoverError::Unavailable(Unavailable::Failed(error.to_string())))?;
    backend.joining.joined.cancel();
    Ok(())
}

fn loss(state: &State, node: NodeId, member: &Arc<Member>) -> Gone {
    Gone {
        id: node,
        name: state.node_name(node),
        addresses: member.addresses.clone(),
        tasks: roster::tasks_on(state, node),
    }
}

/// A leader asks others, a follower is asked by them.
fn last_contact(cluster: &Cluster) -> Option<Timestamp> {
    let silent_ms = cluster.progress().values().filter_map(|progress| progress.silent_ms).min();
    let answered = silent_ms.map(|ms| Timestamp(cluster.now().0.saturating_sub(ms)));
    answered.max(cluster.last_heard())
}
