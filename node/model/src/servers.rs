//! Which members keep the log's majority: pure, from what the leader knows of them. Nobody configures a quorum.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::{NodeId, State};

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

/// The next step, as `leader` has to take it, whose log ends with the entry `last`.
pub fn next_change(leader: NodeId, state: &State, log: &[Participant], last: u64) -> Option<Change> {
    for (node, member) in &state.members {
        let (node, peers) = (*node, member.peers());
        if log.iter().all(|known| known.node != node || known.addresses != peers) {
            return Some(Change::Follow { node, peers });
        }
    }
    if !state.members.contains_key(&leader) {
        return Some(Change::Leave);
    }
    let is_member = |known: &&Participant| state.members.contains_key(&known.node);
    let servers: Vec<Server> = log.iter().filter(is_member).map(|known| server(known, state, last)).collect();
    let votes: BTreeSet<NodeId> = log.iter().filter(|known| known.votes).map(|known| known.node).collect();
    let wanted = voters(leader, &servers);
    if wanted != votes {
        return Some(Change::Vote(wanted));
    }
    log.iter().find(|known| !is_member(known)).map(|gone| Change::Forget(gone.node))
}

fn server(known: &Participant, state: &State, last: u64) -> Server {
    let lost_since = state.members.get(&known.node).and_then(|member| member.lost_since);
    Server {
        node: known.node,
        votes: known.votes,
        caught_up: known.matched.is_some_and(|matched| matched + LAG_MAX >= last),
        given_up: lost_since.is_some_and(|since| state.now.ms_since(since) > GIVE_UP_MS),
    }
}

/// One member as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    pub node: NodeId,
    pub votes: bool,
    /// Has all of the log but the newest moments.
    pub caught_up: bool,
    /// Away for so long that another may take its vote.
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

/// Who should vote. `leader`, who asks, always does. A voter loses its vote only to a member that is there and has
/// caught up, or when there are fewer members than votes; the number changes only to the next odd one.
pub fn voters(leader: NodeId, servers: &[Server]) -> BTreeSet<NodeId> {
    let now: BTreeSet<NodeId> = servers.iter().filter(|s| s.votes).map(|s| s.node).collect();
    let wanted = voters_wanted(servers.len());
    let mut keep: Vec<&Server> = servers.iter().filter(|s| s.votes && s.node != leader).collect();
    // Who is there first: those behind may lose their vote.
    keep.sort_by_key(|server| (server.given_up, server.node));
    let mut fresh: Vec<&Server> =
        servers.iter().filter(|s| !s.votes && s.caught_up && !s.given_up && s.node != leader).collect();
    fresh.sort_by_key(|server| server.node);

    let lost = keep.iter().filter(|server| server.given_up).count();
    let healthy = keep.len() - lost;
    let room = (wanted - 1).saturating_sub(healthy);
    let (fresh, lost) = (fresh.into_iter().take(room), keep.split_off(healthy));
    let mut chosen: Vec<NodeId> = keep.iter().take(wanted - 1).map(|server| server.node).collect();
    chosen.extend(fresh.map(|server| server.node));
    // What nobody can replace stays: a majority that counts it is safe, one without it may not be.
    chosen.extend(lost.iter().map(|server| server.node).take((wanted - 1).saturating_sub(chosen.len())));
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

    fn server(node: u64, flags: &str) -> Server {
        let has = |flag| flags.contains(flag);
        Server { node: NodeId(node), votes: has('v'), caught_up: has('c'), given_up: has('g') }
    }

    #[track_caller]
    fn check(servers: &[&str], expected: &[u64]) {
        let servers: Vec<Server> = (1..).zip(servers).map(|(node, flags)| server(node, flags)).collect();
        let expected: BTreeSet<NodeId> = expected.iter().copied().map(NodeId).collect();
        assert_eq!(voters(NodeId(1), &servers), expected);
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

    proptest! {
        #[test]
        fn the_leader_votes_and_healthy_voters_are_never_swapped(
            flags in proptest::collection::vec(("v?", "c?", "g?"), 1..9),
        ) {
            let servers: Vec<Server> = (1..)
                .zip(&flags)
                .map(|(node, (v, c, g))| server(node, &format!("{v}{c}{g}")))
                .map(|s| if s.node == NodeId(1) { server(1, "vc") } else { s })
                .collect();
            let next = voters(NodeId(1), &servers);
            prop_assert!(next.contains(&NodeId(1)));
            let now = servers.iter().filter(|s| s.votes).count();
            prop_assert!(next.len() <= voters_wanted(servers.len()).max(now));
            let lost = |s: &&Server| s.votes && !next.contains(&s.node);
            if next.len() == voters_wanted(servers.len()) && servers.iter().filter(|s| s.votes && !s.given_up).count() <= next.len() {
                prop_assert!(servers.iter().filter(lost).all(|s| s.given_up || now > next.len()));
            }
            for node in &next {
                let server = servers.iter().find(|s| s.node == *node).expect("a member");
                prop_assert!(server.votes || server.caught_up && !server.given_up);
            }
            prop_assert_eq!(next.clone(), voters(NodeId(1), &servers), "the same question has the same answer");
        }
    }
}
