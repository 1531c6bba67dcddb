//! Which members hold the log and which of those vote: pure, from what the leader knows of them. Nobody configures a
//! quorum. A member that holds the log is a server, all others are workers.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::{NodeId, State, Timestamp};

/// The feature level from which on a member may be without the log.
pub const WORKERS_FROM: u32 = 6;
/// An attribute with the value `false` keeps a node from holding the log: one that comes and goes, or whose disk is slow.
pub const SERVER_ATTRIBUTE: &str = "MESETA_SERVER";
/// Servers are spread over the values of this attribute.
const ZONE_ATTRIBUTE: &str = "zone";
/// Servers that do not vote but can take over a vote at once.
const SPARES: usize = 1;

/// A lost voter keeps its vote for this long, if it comes back meanwhile.
const GIVE_UP_MS: u64 = 60_000;
/// Entries that a member may lack and still be trusted with a vote: a moment's writes.
const LAG_MAX: u64 = 200;

/// One that takes part in the log, as the newest configuration names it and its leader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    pub node: NodeId,
    pub addresses: Vec<SocketAddr>,
    pub votes: bool,
    /// Last entry known to be durable there.
    pub matched: Option<u64>,
}

/// What brings those that take part in the log a step closer to the members of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It follows the log from now on, or is reached elsewhere.
    Follow { node: NodeId, peers: Vec<SocketAddr> },
    /// The leader itself is no member any more: another has to lead.
    Leave,
    /// Exactly these vote.
    Vote(BTreeSet<NodeId>),
    /// It follows the log no more.
    Forget(NodeId),
}

/// The next step, as `leader` has to take it `now`, by the cluster's time, whose log ends with the entry `last`.
pub fn next_change(
    leader: NodeId,
    state: &State,
    log: &[Participant],
    last: u64,
    now: Timestamp,
) -> Option<Change> {
    let is_given_up = |node: NodeId| is_given_up(state, node, now);
    let holders = holders(state, log, &is_given_up);
    for node in &holders {
        let (node, peers) = (*node, state.members.get(node)?.peers());
        if log.iter().all(|known| known.node != node || known.addresses != peers) {
            return Some(Change::Follow { node, peers });
        }
    }
    let is_holder = |known: &&Participant| holders.contains(&known.node);
    let is_member = |known: &&Participant| state.members.contains_key(&known.node);
    let others_vote = || log.iter().any(|other| other.votes && other.node != leader && is_holder(&other));
    if !state.members.contains_key(&leader) || !holders.contains(&leader) && others_vote() {
        return Some(Change::Leave);
    }
    let stays = |known: &&Participant| is_member(known) && (known.votes || is_holder(known));
    let server = |known: &Participant| Server {
        node: known.node,
        zone: zone(state, known.node),
        votes: known.votes,
        caught_up: known.matched.is_some_and(|matched| matched + LAG_MAX >= last),
        given_up: is_given_up(known.node) || !holders.contains(&known.node),
    };
    let servers: Vec<Server<'_>> = log.iter().filter(stays).map(server).collect();
    let votes: BTreeSet<NodeId> = log.iter().filter(|known| known.votes).map(|known| known.node).collect();
    let wanted = voters(leader, voters_wanted(log.iter().filter(is_holder).count()), &servers);
    if wanted != votes {
        return Some(Change::Vote(wanted));
    }
    let is_done = |known: &&Participant| !is_holder(known) && !known.votes;
    log.iter().find(is_done).map(|gone| Change::Forget(gone.node))
}

/// Who is to hold the log: those that vote and a spare. Who holds it keeps it, unless it is away for so long that
/// another takes its place.
fn holders(state: &State, log: &[Participant], is_given_up: &dyn Fn(NodeId) -> bool) -> BTreeSet<NodeId> {
    if state.feature_level < WORKERS_FROM {
        return state.members.keys().copied().collect();
    }
    let mut candidates: Vec<NodeId> =
        state.members.keys().copied().filter(|node| may_hold(state, *node)).collect();
    let wanted = (voters_wanted(candidates.len()) + SPARES).min(candidates.len());
    let standing = |node: &NodeId| log.iter().find(|known| known.node == *node).map(|known| known.votes);
    let mut chosen = BTreeSet::new();
    while chosen.len() < wanted {
        let crowd = |node: &NodeId| crowd(zone(state, *node), chosen.iter().map(|node| zone(state, *node)));
        // `None`, for those without the log, comes last.
        let key = |node: &NodeId| (is_given_up(*node), Reverse(standing(node)), crowd(node), *node);
        let Some(best) = candidates.iter().copied().min_by_key(key) else { break };
        candidates.retain(|node| *node != best);
        chosen.insert(best);
    }
    chosen
}

fn may_hold(state: &State, node: NodeId) -> bool {
    attribute(state, node, SERVER_ATTRIBUTE) != Some("false")
}

fn zone(state: &State, node: NodeId) -> Option<&str> {
    attribute(state, node, ZONE_ATTRIBUTE)
}

fn attribute<'a>(state: &'a State, node: NodeId, key: &str) -> Option<&'a str> {
    state.nodes.get(&node)?.attributes.get(key).map(String::as_str)
}

/// How many of those in `zones` share `zone`. Nodes of no zone share none.
fn crowd<'a>(zone: Option<&str>, zones: impl Iterator<Item = Option<&'a str>>) -> usize {
    zones.filter(|other| zone.is_some() && *other == zone).count()
}

fn is_given_up(state: &State, node: NodeId, now: Timestamp) -> bool {
    let lost_since = state.members.get(&node).and_then(|member| member.lost_since);
    lost_since.is_some_and(|since| now.ms_since(since) > GIVE_UP_MS)
}

/// One member as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server<'a> {
    pub node: NodeId,
    pub zone: Option<&'a str>,
    pub votes: bool,
    /// Has all of the log but the newest moments.
    pub caught_up: bool,
    /// Away for so long that another may take its vote, or not wanted among the servers.
    pub given_up: bool,
}

/// How many of `members` vote: 1, 3 or 5. Two voters would survive no more losses than one, and be lost twice as often.
pub fn voters_wanted(members: usize) -> usize {
    match members {
        0..=2 => 1,
        3..=4 => 3,
        _ => 5,
    }
}

/// Which `wanted` of the servers should vote. `leader`, who asks, always does. A voter loses its vote only to a server
/// that is there and has caught up, or when there are fewer servers than votes; the number changes only to the next odd one.
pub fn voters(leader: NodeId, wanted: usize, servers: &[Server<'_>]) -> BTreeSet<NodeId> {
    let now: BTreeSet<NodeId> = servers.iter().filter(|s| s.votes).map(|s| s.node).collect();
    let zone = |node: NodeId| servers.iter().find(|s| s.node == node).and_then(|s| s.zone);
    let mut keep: Vec<&Server<'_>> = servers.iter().filter(|s| s.votes && s.node != leader).collect();
    // Who is there first: those behind may lose their vote.
    keep.sort_by_key(|server| (server.given_up, server.node));
    let healthy = keep.iter().filter(|server| !server.given_up).count();
    let lost = keep.split_off(healthy);
    let others = wanted.saturating_sub(1);
    let mut chosen: Vec<NodeId> = keep.iter().take(others).map(|server| server.node).collect();
    let mut fresh: Vec<&Server<'_>> =
        servers.iter().filter(|s| !s.votes && s.caught_up && !s.given_up && s.node != leader).collect();
    while chosen.len() < others {
        let voting = || chosen.iter().copied().chain([leader]).map(zone);
        let Some(best) = fresh.iter().copied().min_by_key(|s| (crowd(s.zone, voting()), s.node)) else {
            break;
        };
        fresh.retain(|server| server.node != best.node);
        chosen.push(best.node);
    }
    // What nobody can replace stays: a majority that counts it is safe, one without it may not be.
    chosen.extend(lost.iter().map(|server| server.node).take(others.saturating_sub(chosen.len())));
    let next: BTreeSet<NodeId> = chosen.into_iter().chain([leader]).collect();
    if next.len().is_multiple_of(2) && next.len() > now.len() { now } else { next }
}

/// How many servers may fail at once without the cluster standing still.
pub fn losses_survived(voters: usize) -> usize {
    voters.saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Command;
    use crate::command::FEATURE_LEVEL;
    use crate::membership::NodeChange;
    use crate::testing::{self, Lab};

    fn server(node: u64, flags: &str) -> Server<'static> {
        let has = |flag| flags.contains(flag);
        let zone = ["a", "b"].into_iter().find(|zone| flags.contains(&zone.to_uppercase()));
        Server { node: NodeId(node), zone, votes: has('v'), caught_up: has('c'), given_up: has('g') }
    }

    #[track_caller]
    fn check(servers: &[&str], expected: &[u64]) {
        let servers: Vec<Server<'_>> = (1..).zip(servers).map(|(node, flags)| server(node, flags)).collect();
        let expected: BTreeSet<NodeId> = expected.iter().copied().map(NodeId).collect();
        assert_eq!(voters(NodeId(1), voters_wanted(servers.len()), &servers), expected);
    }

    #[test]
    fn one_three_or_five_vote() {
        check(&["vc"], &[1]);
        check(&["vc", "c"], &[1]);
        check(&["vc", "c", "c"], &[1, 2, 3]);
        check(&["vc", "vc", "vc", "c"], &[1, 2, 3]);
        check(&["vc", "vc", "vc", "c", "c"], &[1, 2, 3, 4, 5]);
        check(&["vc", "vc", "vc", "vc", "vc", "c"], &[1, 2, 3, 4, 5]);
    }

    #[test]
    fn nobody_votes_before_the_number_is_odd_again() {
        check(&["vc", "c", ""], &[1]);
        check(&["vc", "vc", "vc", "c", ""], &[1, 2, 3]);
    }

    #[test]
    fn a_lost_voter_is_replaced_only_by_who_can_take_its_place() {
        check(&["vc", "vc", "vg", "c"], &[1, 2, 4]);
        check(&["vc", "vc", "vg", ""], &[1, 2, 3]);
        check(&["vc", "vc", "vg", "cg"], &[1, 2, 3]);
        check(&["vc", "vg", "vg", "c", "c"], &[1, 4, 5, 2, 3]);
    }

    #[test]
    fn fewer_members_have_fewer_votes() {
        check(&["vc", "vc"], &[1]);
        check(&["vc", "vc", "vc", "vg"], &[1, 2, 3]);
    }

    /// A cluster of these members, of which node 1 leads, with what was done so far about who holds the log.
    struct Played {
        lab: Lab,
        leader: NodeId,
        log: Vec<Participant>,
    }

    impl Played {
        fn of(members: u64) -> Self {
            let mut lab = Lab::new();
            lab.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL });
            lab.must(testing::found());
            let token = testing::join_token("t", 'a', 100, lab.now.plus_ms(1_000));
            lab.must(Command::PutJoinToken { token: token.clone() });
            for node in 2..=members {
                let (applicant, secret_sha256) = (testing::applicant(node), token.secret_sha256.clone());
                lab.must(Command::AdmitNode { applicant, secret_sha256 });
                lab.must(Command::RegisterNode { node: testing::node(node) });
            }
            let peers = lab.state.members[&NodeId(1)].peers();
            let first = Participant { node: NodeId(1), addresses: peers, votes: true, matched: Some(9) };
            Self { lab, leader: NodeId(1), log: vec![first] }
        }

        /// Does what is to be done until nothing is, and says who votes and who holds the log without voting.
        #[track_caller]
        fn settle(&mut self) -> (Vec<u64>, Vec<u64>) {
            for _ in 0..50 {
                let Some(change) = next_change(self.leader, &self.lab.state, &self.log, 9, self.lab.now)
                else {
                    let ids = |votes| {
                        let mut ids: Vec<u64> =
                            self.log.iter().filter(|p| p.votes == votes).map(|p| p.node.0).collect();
                        ids.sort_unstable();
                        ids
                    };
                    return (ids(true), ids(false));
                };
                match change {
                    Change::Follow { node, peers } => {
                        let matched = (!self.is_lost(node)).then_some(9);
                        self.log.push(Participant { node, addresses: peers, votes: false, matched });
                    }
                    Change::Leave => {
                        let next = self
                            .log
                            .iter()
                            .find(|p| p.votes && p.node != self.leader && !self.is_lost(p.node));
                        self.leader = next.expect("another votes").node;
                    }
                    Change::Vote(voters) => {
                        self.log.iter_mut().for_each(|p| p.votes = voters.contains(&p.node));
                    }
                    Change::Forget(node) => self.log.retain(|p| p.node != node),
                }
            }
            panic!("it does not settle");
        }

        fn is_lost(&self, node: NodeId) -> bool {
            self.lab.state.members[&node].lost_since.is_some()
        }

        fn attribute(&mut self, node: u64, key: &str, value: &str) {
            let attributes = [(key.to_owned(), Some(value.to_owned()))].into();
            let change = NodeChange { attributes, ..NodeChange::default() };
            self.lab.must(Command::ChangeNode { node: NodeId(node), change });
        }
    }

    #[test]
    fn who_is_not_needed_holds_no_log() {
        assert_eq!(Played::of(2).settle(), (vec![1], vec![2]), "a second copy");
        assert_eq!(Played::of(4).settle(), (vec![1, 2, 3], vec![4]));
        assert_eq!(Played::of(9).settle(), (vec![1, 2, 3, 4, 5], vec![6]));
    }

    #[test]
    fn a_worker_takes_the_place_of_a_server_that_stays_away_and_keeps_it() {
        let mut played = Played::of(8);
        played.settle();
        played.lab.must(Command::SetLost { node: NodeId(3), lost: true });
        assert_eq!(played.settle(), (vec![1, 2, 3, 4, 5], vec![6]), "for a while it may come back");
        played.lab.wait(GIVE_UP_MS + 1);
        assert_eq!(played.settle(), (vec![1, 2, 4, 5, 6], vec![7]));
        played.lab.must(Command::SetLost { node: NodeId(3), lost: false });
        assert_eq!(played.settle(), (vec![1, 2, 4, 5, 6], vec![7]), "who is back takes nothing away");
    }

    #[test]
    fn a_node_that_must_not_hold_the_log_gives_it_up_even_if_it_leads() {
        let mut played = Played::of(4);
        played.settle();
        played.attribute(4, SERVER_ATTRIBUTE, "false");
        assert_eq!(played.settle(), (vec![1, 2, 3], vec![]));
        played.attribute(4, SERVER_ATTRIBUTE, "true");
        assert_eq!(played.settle(), (vec![1, 2, 3], vec![4]));
        played.attribute(1, SERVER_ATTRIBUTE, "false");
        let settled = played.settle();
        assert_ne!(played.leader, NodeId(1));
        assert_eq!(settled, (vec![2, 3, 4], vec![]));
    }

    #[test]
    fn servers_are_spread_over_zones() {
        let mut played = Played::of(9);
        for node in 1..=9 {
            played.attribute(node, ZONE_ATTRIBUTE, if node <= 6 { "a" } else { "b" });
        }
        assert_eq!(played.settle(), (vec![1, 2, 3, 7, 8], vec![9]));
        check(&["vcA", "vcA", "vgA", "cA", "cB"], &[1, 2, 4, 5, 3]);
        check(&["vcA", "cA", "cB", "c"], &[1, 3, 4]);
    }

    #[test]
    fn everybody_holds_the_log_while_a_member_knows_no_workers() {
        let mut played = Played::of(8);
        played.lab.state.feature_level = WORKERS_FROM - 1;
        assert_eq!(played.settle(), (vec![1, 2, 3, 4, 5], vec![6, 7, 8]));
    }

    proptest! {
        #[test]
        fn the_leader_votes_and_healthy_voters_are_never_swapped(
            flags in proptest::collection::vec(("v?", "c?", "g?"), 1..9),
        ) {
            let servers: Vec<Server<'_>> = (1..)
                .zip(&flags)
                .map(|(node, (v, c, g))| server(node, &format!("{v}{c}{g}")))
                .map(|s| if s.node == NodeId(1) { server(1, "vc") } else { s })
                .collect();
            let wanted = voters_wanted(servers.len());
            let next = voters(NodeId(1), wanted, &servers);
            prop_assert!(next.contains(&NodeId(1)));
            let now = servers.iter().filter(|s| s.votes).count();
            prop_assert!(next.len() <= wanted.max(now));
            let lost = |s: &&Server<'_>| s.votes && !next.contains(&s.node);
            if next.len() == wanted && servers.iter().filter(|s| s.votes && !s.given_up).count() <= next.len() {
                prop_assert!(servers.iter().filter(lost).all(|s| s.given_up || now > next.len()));
            }
            for node in &next {
                let server = servers.iter().find(|s| s.node == *node).expect("a member");
                prop_assert!(server.votes || server.caught_up && !server.given_up);
            }
            prop_assert_eq!(next.clone(), voters(NodeId(1), wanted, &servers), "the same question has the same answer");
        }
    }
}
