//! Several members, on a wire that can be cut: writes and reads from any of them, the loss of a leader, snapshots,
//! members that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::auth::Actor;
use model::command::Reject;
use model::ids::RequestId;
use model::settings::SettingsChange;
use model::{ClusterId, Command, NodeId};
use tempfile::TempDir;

use crate::message::{Ask, encode};
use crate::types::{TokioRuntime, Vote};
use openraft::raft::VoteRequest;

use super::{in_time, numbered, propose_many, until};
use crate::{
    Cluster, Config, Lane, OpenError, Proposal, ProposeError, ReadError, Start, Target, Timers, Wire,
    WireError,
};

pub(super) const CLUSTER: ClusterId = ClusterId(0x5eed);

/// All nodes' doors, and the ways that are cut.
#[derive(Default)]
struct Field {
    doors: BTreeMap<NodeId, Cluster>,
    /// From whom to whom nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Whose answers get lost on the way back.
    deaf: BTreeSet<NodeId>,
    asked: BTreeMap<(NodeId, Lane), usize>,
}

#[derive(Clone, Default)]
pub(super) struct Net(Arc<Mutex<Field>>);

/// One node's end of the net.
struct End {
    net: Net,
    node: NodeId,
}

#[async_trait]
impl Wire for End {
    async fn ask(&self, to: &Target, lane: Lane, question: Bytes) -> Result<Bytes, WireError> {
        let unreachable = || WireError::Unreachable("cut".to_owned());
        let door = self.net.with(|field| {
            *field.asked.entry((to.node, lane)).or_default() += 1;
            let open = !field.cut.contains(&(self.node, to.node));
            open.then(|| field.doors.get(&to.node).cloned()).flatten()
        });
        let answer = door.ok_or_else(unreachable)?.answer(self.node, &question).await;
        let lost = self.net.with(|field| {
            field.deaf.contains(&self.node) && lane == Lane::Command
                || field.cut.contains(&(to.node, self.node))
        });
        if lost { Err(WireError::Broken("the answer got lost".to_owned())) } else { Ok(answer) }
    }
}

impl Net {
    fn with<T>(&self, look: impl FnOnce(&mut Field) -> T) -> T {
        look(&mut self.0.lock().expect("nothing panics while it holds this lock"))
    }

    /// Nothing passes between `node` and the others, either way.
    pub(super) fn isolate(&self, node: NodeId) {
        self.with(|field| {
            let others: Vec<NodeId> = field.doors.keys().copied().filter(|&other| other != node).collect();
            field.cut.extend(others.iter().flat_map(|&other| [(node, other), (other, node)]));
        });
    }

    pub(super) fn heal(&self) {
        self.with(|field| field.cut.clear());
    }
}

/// Nodes with ids 1, 2, …; all on one net.
pub(super) struct Several {
    pub(super) net: Net,
    pub(super) dirs: BTreeMap<NodeId, TempDir>,
}

fn timers() -> Timers {
    // A busy machine must not depose anybody.
    Timers { election_min: 300, election_max: 600, heartbeat: 60 }
}

/// Whom a node may ask that knows nobody yet. This net finds them by their ids.
fn contacts() -> Vec<Target> {
    let addresses = vec!["192.0.2.1:7300".parse().expect("an address")];
    (1..=3).map(|id| Target { node: NodeId(id), addresses: addresses.clone() }).collect()
}

impl Several {
    /// A cluster of one that voters 2 to `count` have joined.
    pub(super) async fn new(count: u64) -> Self {
        let mut several = Self { net: Net::default(), dirs: BTreeMap::new() };
        let first = several.open(NodeId(1), Start::Alone).await;
        super::lead(&first).await;
        // Members change one after the other, the first configuration included.
        in_time("is read", first.read()).await.expect("alone");
        for id in 2..=count {
            several.join(NodeId(id)).await;
        }
        let voters = (1..=count).map(NodeId).collect();
        in_time("votes", first.set_voters(voters)).await.expect("they vote");
        several
    }

    pub(super) async fn open(&mut self, node: NodeId, start: Start) -> Cluster {
        let dir = self.dirs.entry(node).or_insert_with(|| tempfile::tempdir().expect("a folder"));
        let config =
            Config { node, start, contacts: contacts(), timers: timers(), ..super::config(dir.path()) };
        let end = End { net: self.net.clone(), node };
        let cluster = Cluster::open(config, Arc::new(end)).await.expect("opens");
        self.net.with(|field| field.doors.insert(node, cluster.clone()));
        cluster
    }

    pub(super) async fn join(&mut self, node: NodeId) -> Cluster {
        let cluster = self.open(node, Start::Join(CLUSTER)).await;
        let address = format!("192.0.2.{}:7300", node.0).parse().expect("an address");
        in_time("is added", self.leader().await.add_follower(node, vec![address])).await.expect("follows");
        cluster
    }

    /// As after a SIGKILL, as far as the others can tell.
    pub(super) async fn stop(&self, node: NodeId) {
        let cluster = self.net.with(|field| field.doors.remove(&node)).expect("it runs");
        cluster.shutdown().await;
    }

    pub(super) fn node(&self, id: u64) -> Cluster {
        self.net.with(|field| field.doors[&NodeId(id)].clone())
    }

    fn all(&self) -> Vec<Cluster> {
        self.net.with(|field| field.doors.values().cloned().collect())
    }

    /// The node that says it leads, in the newest term.
    pub(super) async fn leader(&self) -> Cluster {
        let newest = || {
            let leads = |cluster: &Cluster| cluster.leadership().borrow().is_self;
            let term = |cluster: &Cluster| cluster.leadership().borrow().term;
            self.all().into_iter().filter(leads).max_by_key(term)
        };
        until("somebody leads", || newest().is_some()).await;
        newest().expect("somebody leads")
    }

    async fn follower(&self) -> Cluster {
        let leader = self.leader().await.node();
        self.all().into_iter().find(|cluster| cluster.node() != leader).expect("more than one")
    }

    pub(super) async fn shutdown(self) {
        for cluster in self.all() {
            cluster.shutdown().await;
        }
    }
}

/// The last name that a command of [`numbered`] gave.
pub(super) fn name(cluster: &Cluster) -> String {
    cluster.state().nodes.values().next().map(|node| node.name.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_member_writes_and_reads() {
    let several = Several::new(3).await;
    for id in 1..=3 {
        let writer = several.node(id);
        let applied = in_time("is written", writer.propose(numbered(id))).await.expect("applied");
        assert!(writer.state().index >= applied.index, "what was acknowledged here is seen here");
        for reader in several.all() {
            let state = in_time("is read", reader.read()).await.expect("fresh");
            assert!(
                state.index >= applied.index,
                "node {} read {} before {}",
                reader.node(),
                state.index,
                applied.index
            );
        }
    }
    let members = several.node(3).members();
    assert_eq!(members.iter().filter(|member| member.votes).count(), 3);
    assert_eq!(members[1].addresses, ["192.0.2.2:7300".parse().unwrap()]);
    several.shutdown().await;
}

/// A member of an older build could not read the entry, nor get any that comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_not_every_member_understands_does_not_get_into_the_log() {
    let several = Several::new(3).await;
    let command = |level| Proposal { command: Command::RaiseFeatureLevel { level }, ..numbered(0) };
    let change = SettingsChange { fence_hook: Some(String::new()), ..SettingsChange::default() };
    let newer = Proposal { command: Command::ChangeSettings { change }, ..numbered(0) };
    let (leader, follower) = (several.leader().await, several.follower().await);
    let before = in_time("is written", leader.propose(numbered(1))).await.expect("applied").index;
    for asked in [&leader, &follower] {
        let answer = in_time("is answered", asked.propose(newer.clone())).await.expect("an answer");
        assert_eq!(answer.result, Err(Reject::FeatureLevel { needed: 4, level: 1 }));
    }
    let raised = in_time("is raised", leader.propose(command(4))).await.expect("applied");
    assert_eq!((raised.index, raised.result.is_ok()), (before + 1, true), "nothing came between");
    let answer = in_time("is answered", follower.propose(newer)).await.expect("an answer");
    assert_eq!(answer.result, Err(Reject::NotClaimed), "it is understood");
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_leader_is_replaced_and_catches_up() {
    let mut several = Several::new(3).await;
    let last = propose_many(&several.follower().await, 0..50).await;
    let lost = several.leader().await.node();
    several.stop(lost).await;

    // Whoever is asked waits for the next leader.
    let asked = several.all().remove(0);
    let applied = in_time("is written", asked.propose(numbered(50))).await.expect("by the two that are left");
    assert!(applied.index > last);
    assert_ne!(several.leader().await.node(), lost);

    let back = several.open(lost, Start::Alone).await;
    assert!(in_time("is read", back.read()).await.expect("fresh").index >= applied.index);
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_acknowledges_and_reads_nothing() {
    let several = Several::new(3).await;
    let cut = several.leader().await;
    let before = propose_many(&cut, 0..10).await;
    several.net.isolate(cut.node());

    let refused = in_time("is refused", cut.read()).await;
    assert!(matches!(refused, Err(ReadError::NoQuorum | ReadError::NoLeader)), "{refused:?}");
    let other = several.follower_of(&cut);
    let (written, lost) =
        tokio::join!(other.propose(numbered(11)), in_time("is given up", cut.propose(numbered(10))),);
    assert!(written.expect("by the majority").index > before);
    assert!(
        matches!(lost, Err(ProposeError::NoLeader | ProposeError::TimedOut | ProposeError::Unknown(_))),
        "{lost:?}"
    );

    several.net.heal();
    in_time("is read", cut.read()).await.expect("a follower now");
    until("the majority's word counts", || name(&cut) == "node-11").await;
    several.shutdown().await;
}

impl Several {
    /// Somebody on the other side of the cut.
    fn follower_of(&self, cut: &Cluster) -> Cluster {
        self.all().into_iter().find(|cluster| cluster.node() != cut.node()).expect("more than one")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_unknown_and_safe_to_ask_again_by_its_id() {
    let several = Several::new(3).await;
    let follower = several.follower().await;
    several.net.with(|field| field.deaf.insert(follower.node()));
    let outside = |n| Proposal { actor: Actor::Claimant, ..numbered(n) };
    let answer = in_time("is answered", follower.propose(outside(1))).await;
    assert!(matches!(answer, Err(ProposeError::Unknown(_))), "{answer:?}");

    let again = Proposal { request_id: Some(RequestId(7)), ..outside(2) };
    let leader = several.leader().await;
    let first = in_time("is applied", leader.propose(again.clone())).await.expect("applied");
    several.net.with(|field| field.deaf.clear());
    assert_eq!(in_time("is answered", follower.propose(again)).await, Ok(first), "once, and the same answer");
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_late_gets_a_snapshot_and_then_the_log() {
    let mut several = Several::new(1).await;
    let first = several.node(1);
    propose_many(&first, 0..200).await;
    let raft = first.raft().unwrap();
    raft.trigger().snapshot().await.unwrap();
    until("the snapshot is there", || first.metrics().snapshot.is_some()).await;
    let mark = first.metrics().snapshot.unwrap();
    raft.trigger().purge_log(mark).await.unwrap();
    until("the log is compacted", || first.metrics().purged == Some(mark)).await;

    let late = several.join(NodeId(2)).await;
    let index = propose_many(&first, 200..210).await;
    until("it has caught up", || late.state().index >= index).await;
    assert_eq!(late.state().index, first.state().index);
    assert_eq!(*late.state(), *first.state());
    let asked = several.net.with(|field| field.asked.get(&(NodeId(2), Lane::Snapshot)).copied());
    assert!(asked.is_some(), "by a snapshot");
    let progress = first.progress();
    until("it is known to have it", || first.progress()[&NodeId(2)].matched >= Some(index)).await;
    assert!(progress[&NodeId(2)].silent_ms.is_some());
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over_and_members_leave() {
    let several = Several::new(3).await;
    let first = several.node(1);
    let index = propose_many(&first, 0..5).await;
    until("node 2 has it all", || first.progress()[&NodeId(2)].matched >= Some(index)).await;
    in_time("is handed over", first.hand_over(NodeId(2))).await.expect("somebody else leads");
    let leader = several.leader().await;
    in_time("is written", leader.propose(numbered(5))).await.expect("applied");

    let keep: BTreeSet<NodeId> = (1..=3).map(NodeId).filter(|&node| node != first.node()).collect();
    in_time("stops voting", leader.set_voters(keep)).await.expect("two vote");
    in_time("leaves", leader.remove_follower(first.node())).await.expect("it is gone");
    until("two are left", || leader.members().len() == 2).await;
    in_time("is written", leader.propose(numbered(6))).await.expect("applied");
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_another_and_no_log_serves_two_clusters() {
    let mut several = Several::new(2).await;
    let (one, two) = (several.node(1), several.node(2));
    let vote = VoteRequest::new(Vote::new(9, 1), None);
    let forged = encode(&Ask::<TokioRuntime>::Vote(vote), &[]).unwrap();
    let answer = one.answer(NodeId(2), &forged).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("may not speak for"), "{answer}");
    let answer = one.answer(NodeId(2), b"{\"f\":1,\"is\":7}").await;
    assert!(String::from_utf8_lossy(&answer).contains("cannot be understood"));
    drop((one, two));

    several.stop(NodeId(2)).await;
    let dir = several.dirs[&NodeId(2)].path().to_owned();
    let end = Arc::new(End { net: several.net.clone(), node: NodeId(2) });
    let other = Start::Join(ClusterId(1));
    let config = Config { node: NodeId(2), start: other, timers: timers(), ..super::config(&dir) };
    let error = Cluster::open(config.clone(), end.clone()).await.err().expect("refused");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    let home = several.open(NodeId(2), Start::Join(CLUSTER)).await;
    in_time("is read", home.read()).await.expect("at home");
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_writes_wait_and_say_so() {
    let several = Several::new(3).await;
    let left = several.node(1);
    several.stop(NodeId(2)).await;
    several.stop(NodeId(3)).await;
    let start = tokio::time::Instant::now();
    let answer = in_time("is answered", left.propose(numbered(1))).await;
    assert!(answer.is_err(), "{answer:?}");
    assert!(start.elapsed() >= Duration::from_secs(1), "a leader may have come back meanwhile");
    assert!(in_time("is refused", left.read()).await.is_err());
    several.shutdown().await;
}
