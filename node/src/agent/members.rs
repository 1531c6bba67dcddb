//! The leader's care for the cluster itself: who belongs to it takes part in the log, who does not answer is lost.
//!
//! Every server runs it; only the leader's does anything. What the state wants changes with the state; silence and
//! catching up have no event, so a leader that has others looks four times a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::{Cluster, Member, Progress, Proposal};
use model::lease::FENCE_WAIT_MS;
use model::membership::Applicant;
use model::servers::{self, Server};
use model::state::{App, LEASES_FROM};
use model::{Command, NodeId, State, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fence_hook;
use super::machine::Machine;
use crate::init::clock;
use crate::peers::authority;

/// Between two looks at who answers.
const LOOK: Duration = Duration::from_millis(250);
/// A member that has not answered for this long, at two looks in a row, is lost. A leader that was frozen itself finds
/// everybody silent at its first look, and nobody at its second.
const SILENCE_MS: u64 = 1_500;
/// A lost voter keeps its vote for this long, if it comes back meanwhile.
const GIVE_UP_MS: u64 = 60_000;
/// Entries that a member may lack and still be trusted with a vote: a moment's writes.
const LAG_MAX: u64 = 200;
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
    let mut watched = Watched::default();
    loop {
        let leads = leadership.borrow_and_update().is_self;
        let state = states.borrow_and_update().clone();
        if leads {
            if let Err(error) = keep(&cluster, &machine, &own, &state, &mut watched).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the cluster's members are not as they should be"
                );
                tokio::time::sleep(RETRY).await;
            }
        } else {
            watched = Watched::default();
        }
        let has_others = leads && state.members.len() > 1;
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK), if has_others => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// One look, one step at most of each kind: the next look does the rest.
async fn keep(
    cluster: &Cluster,
    machine: &Machine,
    own: &Own,
    state: &State,
    watched: &mut Watched,
) -> anyhow::Result<()> {
    if let Some(command) = groundwork(machine, own, state)? {
        return propose(cluster, command).await;
    }
    if state.members.is_empty() {
        return Ok(());
    }
    let progress = cluster.progress();
    for (node, lost) in watched.changes(state, machine.node, &progress) {
        tracing::warn!(%node, lost, silent_ms = ?progress.get(&node).and_then(|p| p.silent_ms), "a member's answers");
        propose(cluster, Command::SetLost { node, lost }).await?;
    }
    watched.see(state, clock::now());
    for (node, lost_since) in watched.unasked(state) {
        let (url, question) =
            (state.settings.fence_hook.clone(), fence_hook::question(state, node, lost_since));
        watched.hooks.spawn(fence_hook::ask(url, question, node, lost_since));
    }
    while let Some(answered) = watched.hooks.try_join_next() {
        let command = answered.context("asking the fence hook")?;
        tracing::warn!(?command, "the fence hook");
        propose(cluster, command).await?;
    }
    for (node, lost_since) in watched.over(state, clock::now()) {
        tracing::warn!(%node, "nothing exclusive runs there any more: its lease is over");
        propose(cluster, Command::Fence { node, lost_since }).await?;
    }
    follow(cluster, machine.node, state, &progress).await
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

/// Makes the members of the log those of the state.
async fn follow(
    cluster: &Cluster,
    own: NodeId,
    state: &State,
    progress: &BTreeMap<NodeId, Progress>,
) -> anyhow::Result<()> {
    let known = cluster.members();
    for (node, member) in &state.members {
        let peers = member.peers();
        if known.iter().all(|known| known.node != *node || known.addresses != peers) {
            tracing::info!(%node, ?peers, "follows the log from now on");
            return Ok(cluster.add_follower(*node, peers).await?);
        }
    }
    if !state.members.contains_key(&own) {
        return leave(cluster, &known, progress).await;
    }
    let last = cluster.metrics().last_log.unwrap_or(0);
    let servers: Vec<Server> = known
        .iter()
        .filter(|known| state.members.contains_key(&known.node))
        .map(|known| server(known, state, last, progress))
        .collect();
    let voters: BTreeSet<NodeId> = known.iter().filter(|known| known.votes).map(|known| known.node).collect();
    let wanted = servers::voters(own, &servers);
    if wanted != voters {
        tracing::info!(?wanted, "who votes changes");
        return Ok(cluster.set_voters(wanted).await?);
    }
    if let Some(gone) = known.iter().find(|known| !state.members.contains_key(&known.node)) {
        tracing::info!(node = %gone.node, "follows the log no more");
        cluster.remove_follower(gone.node).await?;
    }
    Ok(())
}

fn server(known: &Member, state: &State, last: u64, progress: &BTreeMap<NodeId, Progress>) -> Server {
    let matched = progress.get(&known.node).and_then(|progress| progress.matched);
    let lost_since = state.members.get(&known.node).and_then(|member| member.lost_since);
    Server {
        node: known.node,
        votes: known.votes,
        caught_up: matched.is_some_and(|matched| matched + LAG_MAX >= last),
        given_up: lost_since.is_some_and(|since| state.now.ms_since(since) > GIVE_UP_MS),
    }
}

/// A leader that was removed hands over, and the next one removes it from the log.
async fn leave(
    cluster: &Cluster,
    known: &[Member],
    progress: &BTreeMap<NodeId, Progress>,
) -> anyhow::Result<()> {
    match successor(cluster.node(), known, progress) {
        Some(next) => {
            tracing::info!(%next, "this node was removed and hands over");
            Ok(cluster.hand_over(next).await?)
        }
        None => anyhow::bail!("this node was removed, and no other voter has caught up"),
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

/// Who was silent at the last look, and since how many looks this node leads.
#[derive(Debug, Default)]
struct Watched {
    looks: u64,
    suspects: BTreeSet<NodeId>,
    losses: BTreeMap<NodeId, Loss>,
    /// What the fence hook is asked now.
    hooks: JoinSet<Command>,
}

impl Watched {
    /// Members whose standing has to change, and whether they are lost.
    fn changes(
        &mut self,
        state: &State,
        own: NodeId,
        progress: &BTreeMap<NodeId, Progress>,
    ) -> Vec<(NodeId, bool)> {
        self.looks += 1;
        let led_ms = self.looks * u64::try_from(LOOK.as_millis()).unwrap_or(u64::MAX);
        let mut changes = Vec::new();
        for (node, member) in &state.members {
            // Who never came up has nothing to lose.
            if *node == own || !state.nodes.contains_key(node) {
                continue;
            }
            let silent_ms = progress.get(node).and_then(|progress| progress.silent_ms).unwrap_or(led_ms);
            let is_silent = silent_ms > SILENCE_MS;
            let was_suspect =
                if is_silent { !self.suspects.insert(*node) } else { self.suspects.remove(node) };
            match member.lost_since {
                None if is_silent && was_suspect => changes.push((*node, true)),
                Some(_) if !is_silent && progress.contains_key(node) => changes.push((*node, false)),
                _ => {}
            }
        }
        if state.members.get(&own).is_some_and(|member| member.lost_since.is_some()) {
            changes.push((own, false));
        }
        changes
    }

    /// Takes note of who is lost now, by the clock of this node (milliseconds).
    fn see(&mut self, state: &State, now: u64) {
        let lost = |node: &NodeId| state.members.get(node).and_then(|member| member.lost_since);
        self.losses.retain(|node, loss| lost(node) == Some(loss.since));
        for node in state.members.keys() {
            if let Some(since) = lost(node) {
                self.losses.entry(*node).or_insert(Loss { since, seen: now, hooked: false });
            }
        }
    }

    /// Those of the lost for which exclusive tasks wait and whose lease is over; with since when they are lost.
    fn over(&self, state: &State, now: u64) -> Vec<(NodeId, Timestamp)> {
        let is_over = |loss: &Loss| now.saturating_sub(loss.seen) >= FENCE_WAIT_MS;
        let over = self.losses.iter().filter(|(node, loss)| is_over(loss) && waits(state, **node));
        over.map(|(node, loss)| (*node, loss.since)).collect()
    }

    /// Those for which the fence hook is to be asked: once for each loss.
    fn unasked(&mut self, state: &State) -> Vec<(NodeId, Timestamp)> {
        if state.settings.fence_hook.is_empty() {
            return Vec::new();
        }
        let mut unasked = Vec::new();
        for (node, loss) in self.losses.iter_mut().filter(|(node, loss)| !loss.hooked && waits(state, **node))
        {
            loss.hooked = true;
            unasked.push((*node, loss.since));
        }
        unasked
    }
}

/// A member that does not answer.
#[derive(Debug)]
struct Loss {
    /// By the cluster's time.
    since: Timestamp,
    /// When this leader saw it, by its own clock.
    seen: u64,
    /// The fence hook was asked.
    hooked: bool,
}

/// True if exclusive tasks wait for `node`, which is lost, to be fenced.
fn waits(state: &State, node: NodeId) -> bool {
    let is_fenced = state.members.get(&node).is_some_and(|member| member.fenced_at.is_some());
    let on_it = |app: &Arc<App>| app.tasks.values().any(|task| task.node == node);
    let can_be_told = state.feature_level >= LEASES_FROM;
    can_be_told && !is_fenced && state.apps.values().any(|app| on_it(app) && app.is_exclusive())
}

/// As the leader this node is now, or not at all: what a deposed leader saw is of no use to the next.
async fn propose(cluster: &Cluster, command: Command) -> anyhow::Result<()> {
    let proposal = Proposal::of_system(command);
    cluster.propose_leading(proposal).await?.result?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::app::AppSpec;
    use model::settings::SettingsChange;
    use model::testing::{self, Lab};

    use super::*;

    fn progress(silent: &[(u64, u64)]) -> BTreeMap<NodeId, Progress> {
        let one = |&(node, ms)| (NodeId(node), Progress { matched: Some(9), silent_ms: Some(ms) });
        silent.iter().map(one).collect()
    }

    fn state() -> State {
        lab().state
    }

    fn lab() -> Lab {
        let mut lab = Lab::new();
        lab.must(Command::RaiseFeatureLevel { level: model::command::FEATURE_LEVEL });
        lab.must(testing::found());
        let token = testing::join_token("t", 'a', 2, lab.now.plus_ms(1_000));
        lab.must(Command::PutJoinToken { token: token.clone() });
        for node in 2..=3 {
            let applicant = testing::applicant(node);
            lab.must(Command::AdmitNode { applicant, secret_sha256: token.secret_sha256.clone() });
        }
        lab.must(Command::RegisterNode { node: testing::node(2) });
        lab
    }

    #[test]
    fn silence_counts_at_the_second_look_and_only_of_who_was_up() {
        let (state, mut watched) = (state(), Watched::default());
        let silent = progress(&[(2, 9_000), (3, 9_000)]);
        assert_eq!(watched.changes(&state, NodeId(1), &silent), []);
        assert_eq!(watched.changes(&state, NodeId(1), &silent), [(NodeId(2), true)]);
        let mut watched = Watched::default();
        assert_eq!(watched.changes(&state, NodeId(1), &silent), []);
        assert_eq!(
            watched.changes(&state, NodeId(1), &progress(&[(2, 10)])),
            [],
            "this node was frozen itself"
        );
        assert_eq!(watched.changes(&state, NodeId(1), &silent), [], "the count begins anew");
    }

    #[test]
    fn a_lost_node_is_fenced_once_its_lease_is_over_and_anew_if_it_was_back() {
        let (mut lab, mut watched) = (lab(), Watched::default());
        let spec = AppSpec { instances: 2, ..testing::spec("/a") };
        let labels = [("MESETA_EXCLUSIVE".to_owned(), "true".to_owned())].into();
        lab.put(AppSpec { labels, ..spec });
        lab.lead();
        let lose = |lab: &mut Lab, lost| lab.must(Command::SetLost { node: NodeId(2), lost });
        lose(&mut lab, true);
        let since = lab.state.members[&NodeId(2)].lost_since.unwrap();
        watched.see(&lab.state, 1_000);
        assert_eq!(watched.over(&lab.state, 999 + FENCE_WAIT_MS), []);
        assert_eq!(watched.over(&lab.state, 1_000 + FENCE_WAIT_MS), [(NodeId(2), since)]);
        let change = SettingsChange { fence_hook: Some("http://a/".into()), ..SettingsChange::default() };
        lab.must(Command::ChangeSettings { change });
        assert_eq!(watched.unasked(&lab.state), [(NodeId(2), since)]);
        assert_eq!(watched.unasked(&lab.state), [], "once for each loss");
        lose(&mut lab, false);
        lab.wait(1);
        lose(&mut lab, true);
        watched.see(&lab.state, 1_000 + FENCE_WAIT_MS);
        assert_eq!(watched.over(&lab.state, 1_000 + FENCE_WAIT_MS), [], "the count begins anew");
    }

    #[test]
    fn who_answers_again_is_back() {
        let mut state = state();
        let mut lost = (*state.members[&NodeId(2)]).clone();
        lost.lost_since = Some(state.now);
        state.members.insert(NodeId(2), Arc::new(lost));
        let mut watched = Watched::default();
        assert_eq!(watched.changes(&state, NodeId(1), &progress(&[(2, 9_000)])), []);
        assert_eq!(watched.changes(&state, NodeId(1), &progress(&[(2, 60)])), [(NodeId(2), false)]);
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
