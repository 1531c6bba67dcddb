//! Which members are lost, as their leader sees it on its own clock: pure.
//!
//! A loss is written into the state; how long it lasts by the clock of whoever leads is not, because clocks differ. So
//! a new leader waits the whole time once more before it says that a lease is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lease::FENCE_WAIT_MS;
use crate::state::{App, LEASES_FROM};
use crate::{NodeId, State, Timestamp};

/// Between two looks at who answers.
pub const LOOK_MS: u64 = 250;
/// A member that has not answered for this long, at two looks in a row, is lost. A leader that was frozen itself finds
/// everybody silent at its first look, and nobody at its second.
pub const SILENCE_MS: u64 = 1_500;

/// What one leadership saw of the members so far. The next one begins anew: what a deposed leader saw is of no use.
#[derive(Debug, Default)]
pub struct Watched {
    looks: u64,
    /// Who was silent at the last look.
    suspects: BTreeSet<NodeId>,
    losses: BTreeMap<NodeId, Loss>,
}

impl Watched {
    /// One look, every [`LOOK_MS`]: members whose standing has to change, and whether they are lost. `silence` has those
    /// that follow the log, with the milliseconds since their last answer; `None` before their first.
    pub fn changes(
        &mut self,
        state: &State,
        own: NodeId,
        silence: &BTreeMap<NodeId, Option<u64>>,
    ) -> Vec<(NodeId, bool)> {
        self.looks += 1;
        let led_ms = self.looks * LOOK_MS;
        let mut changes = Vec::new();
        for (node, member) in &state.members {
            // Who never came up has nothing to lose.
            if *node == own || !state.nodes.contains_key(node) {
                continue;
            }
            let silent_ms = silence.get(node).copied().flatten().unwrap_or(led_ms);
            let is_silent = silent_ms > SILENCE_MS;
            let was_suspect =
                if is_silent { !self.suspects.insert(*node) } else { self.suspects.remove(node) };
            match member.lost_since {
                None if is_silent && was_suspect => changes.push((*node, true)),
                Some(_) if !is_silent && silence.contains_key(node) => changes.push((*node, false)),
                _ => {}
            }
        }
        if state.members.get(&own).is_some_and(|member| member.lost_since.is_some()) {
            changes.push((own, false));
        }
        changes
    }

    /// Takes note of who is lost now, by the clock of this node (milliseconds).
    pub fn see(&mut self, state: &State, now: u64) {
        let lost = |node: &NodeId| state.members.get(node).and_then(|member| member.lost_since);
        self.losses.retain(|node, loss| lost(node) == Some(loss.since));
        for node in state.members.keys() {
            if let Some(since) = lost(node) {
                self.losses.entry(*node).or_insert(Loss { since, seen: now, hooked: false });
            }
        }
    }

    /// Those of the lost for which exclusive tasks wait and whose lease is over; with since when they are lost.
    pub fn over(&self, state: &State, now: u64) -> Vec<(NodeId, Timestamp)> {
        let is_over = |loss: &Loss| now.saturating_sub(loss.seen) >= FENCE_WAIT_MS;
        let over = self.losses.iter().filter(|(node, loss)| is_over(loss) && waits(state, **node));
        over.map(|(node, loss)| (*node, loss.since)).collect()
    }

    /// Those for which the fence hook is to be asked: once for each loss.
    pub fn unasked(&mut self, state: &State) -> Vec<(NodeId, Timestamp)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::app::AppSpec;
    use crate::settings::SettingsChange;
    use crate::testing::{self, Lab};

    fn silence(of: &[(u64, u64)]) -> BTreeMap<NodeId, Option<u64>> {
        of.iter().map(|&(node, ms)| (NodeId(node), Some(ms))).collect()
    }

    fn state() -> State {
        lab().state
    }

    fn lab() -> Lab {
        let mut lab = Lab::new();
        lab.must(Command::RaiseFeatureLevel { level: crate::command::FEATURE_LEVEL });
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
        let silent = silence(&[(2, 9_000), (3, 9_000)]);
        assert_eq!(watched.changes(&state, NodeId(1), &silent), []);
        assert_eq!(watched.changes(&state, NodeId(1), &silent), [(NodeId(2), true)]);
        let mut watched = Watched::default();
        assert_eq!(watched.changes(&state, NodeId(1), &silent), []);
        assert_eq!(
            watched.changes(&state, NodeId(1), &silence(&[(2, 10)])),
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
        assert_eq!(watched.changes(&state, NodeId(1), &silence(&[(2, 9_000)])), []);
        assert_eq!(watched.changes(&state, NodeId(1), &silence(&[(2, 60)])), [(NodeId(2), false)]);
    }
}
