//! The leader's care for the cluster itself: who belongs to it takes part in the log, who does not answer is lost.
//!
//! Every server runs it; only the leader's does anything. What the state wants changes with the state; silence and
//! catching up have no event, so a leader that has others looks four times a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::{Cluster, Member, Progress, Proposal};
use model::losses::{LOOK_MS, SILENCE_MS, Watched};
use model::membership::Applicant;
use model::servers::{self, Change, Participant};
use model::{Command, NodeId, State};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fence_hook;
use super::machine::Machine;
use crate::init::clock;
use crate::peers::authority;

/// Wait after a change that did not go through.
const RETRY: Duration = Duration::from_millis(250);

/// This node as the others are to reach it.
pub struct Own {
    pub fingerprint: String,
    pub port: u16,
}

pub async fn run(cluster: Cluster, machine: Arc<Machine>, own: Own, shutdown: CancellationToken) {
    let mut states = cluster.watch();
    let mut leadership = cluster.leadership();
    let mut care = Care::default();
    loop {
        let leads = leadership.borrow_and_update().is_self;
        let state = states.borrow_and_update().clone();
        if leads {
            if let Err(error) = keep(&cluster, &machine, &own, &state, &mut care).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the cluster's members are not as they should be"
                );
                tokio::time::sleep(RETRY).await;
            }
        } else {
            care = Care::default();
        }
        let has_others = leads && state.members.len() > 1;
        tokio::select! {
            changed = states.changed(), if leads => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)), if has_others => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// What a leadership keeps between two looks.
#[derive(Default)]
struct Care {
    watched: Watched,
    /// What the fence hook is asked now.
    hooks: JoinSet<Command>,
}

/// One look, one step at most of each kind: the next look does the rest.
async fn keep(
    cluster: &Cluster,
    machine: &Machine,
    own: &Own,
    state: &State,
    care: &mut Care,
) -> anyhow::Result<()> {
    if let Some(command) = groundwork(machine, own, state)? {
        return propose(cluster, command).await;
    }
    if state.members.is_empty() {
        return Ok(());
    }
    let silence = cluster.silence();
    let watched = &mut care.watched;
    for (node, lost) in watched.changes(state, machine.node, &silence) {
        tracing::warn!(%node, lost, silent_ms = ?silence.get(&node).copied().flatten(), "a member's answers");
        propose(cluster, Command::SetLost { node, lost }).await?;
    }
    watched.see(state, clock::now());
    for (node, lost_since) in watched.unasked(state) {
        let (url, question) =
            (state.settings.fence_hook.clone(), fence_hook::question(state, node, lost_since));
        care.hooks.spawn(fence_hook::ask(url, question, node, lost_since));
    }
    while let Some(answered) = care.hooks.try_join_next() {
        let command = answered.context("asking the fence hook")?;
        tracing::warn!(?command, "the fence hook");
        propose(cluster, command).await?;
    }
    for (node, lost_since) in watched.over(state, clock::now()) {
        tracing::warn!(%node, "nothing exclusive runs there any more: its lease is over");
        propose(cluster, Command::Fence { node, lost_since }).await?;
    }
    follow(cluster, machine.node, state, &cluster.progress()).await
}

/// What the cluster needs before it can take in anybody.
fn groundwork(machine: &Machine, own: &Own, state: &State) -> anyhow::Result<Option<Command>> {
    let supported = state.nodes.values().map(|node| node.feature_level).min().unwrap_or(0);
    if supported > state.feature_level {
        return Ok(Some(Command::RaiseFeatureLevel { level: supported }));
    }
    let is_due = state.is_claimed() && state.authority.is_none() && state.nodes.contains_key(&machine.node);
    if !is_due {
        return Ok(None);
    }
    let authority = authority::create().context("the cluster's certificate authority")?;
    let first = Applicant {
        node: machine.node,
        fingerprint: own.fingerprint.clone(),
        addresses: machine.addresses(),
        port: own.port,
    };
    let founds = Command::Found { authority, first };
    Ok((founds.feature_level() <= state.feature_level).then_some(founds))
}

/// Makes the members of the log those that are to hold it.
async fn follow(
    cluster: &Cluster,
    own: NodeId,
    state: &State,
    progress: &BTreeMap<NodeId, Progress>,
) -> anyhow::Result<()> {
    let known = cluster.members();
    let participant = |known: &Member| Participant {
        node: known.node,
        addresses: known.addresses.clone(),
        votes: known.votes,
        matched: progress.get(&known.node).and_then(|progress| progress.matched),
    };
    let log: Vec<Participant> = known.iter().map(participant).collect();
    let last = cluster.last_log().unwrap_or(0);
    let Some(change) = servers::next_change(own, state, &log, last, cluster.now()) else { return Ok(()) };
    tracing::info!(?change, "who takes part in the log changes");
    match change {
        Change::Follow { node, peers } => Ok(cluster.add_follower(node, peers).await?),
        Change::Leave => leave(cluster, &known, progress).await,
        Change::Vote(voters) => Ok(cluster.set_voters(voters).await?),
        Change::Forget(node) => Ok(cluster.remove_follower(node).await?),
    }
}

/// A leader that is to hold the log no more hands over, and the next one removes it from the log.
async fn leave(
    cluster: &Cluster,
    known: &[Member],
    progress: &BTreeMap<NodeId, Progress>,
) -> anyhow::Result<()> {
    match successor(cluster.node(), known, progress) {
        Some(next) => {
            tracing::info!(%next, "this node is to hold the log no more and hands over");
            Ok(cluster.hand_over(next).await?)
        }
        None => anyhow::bail!("this node is to hold the log no more, and no other voter has caught up"),
    }
}

/// The voter that has most of the log.
pub fn successor(own: NodeId, known: &[Member], progress: &BTreeMap<NodeId, Progress>) -> Option<NodeId> {
    let others = known.iter().filter(|known| known.votes && known.node != own).map(|known| known.node);
    let alive = |node: &NodeId| {
        progress
            .get(node)
            .is_some_and(|p| p.matched.is_some() && p.silent_ms.is_some_and(|ms| ms < SILENCE_MS))
    };
    others.filter(alive).max_by_key(|node| progress.get(node).and_then(|progress| progress.matched))
}

/// As the leader this node is now, or not at all: what a deposed leader saw is of no use to the next.
async fn propose(cluster: &Cluster, command: Command) -> anyhow::Result<()> {
    let proposal = Proposal::of_system(command);
    cluster.propose_leading(proposal).await?.result?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(silent: &[(u64, u64)]) -> BTreeMap<NodeId, Progress> {
        let one = |&(node, ms)| (NodeId(node), Progress { matched: Some(9), silent_ms: Some(ms) });
        silent.iter().map(one).collect()
    }

    #[test]
    fn the_successor_is_a_voter_that_answers_and_has_most() {
        let member = |node, votes| Member { node: NodeId(node), addresses: Vec::new(), votes };
        let known = [member(1, true), member(2, true), member(3, true), member(4, false)];
        let mut progress = progress(&[(2, 10), (3, 10), (4, 10)]);
        progress.insert(NodeId(3), Progress { matched: Some(12), silent_ms: Some(20) });
        assert_eq!(successor(NodeId(1), &known, &progress), Some(NodeId(3)));
        progress.insert(NodeId(3), Progress { matched: Some(12), silent_ms: Some(9_000) });
        assert_eq!(successor(NodeId(1), &known, &progress), Some(NodeId(2)));
        assert_eq!(successor(NodeId(1), &known[..1], &progress), None);
    }
}
