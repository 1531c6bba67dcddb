//! Members without the log: told by those that have it, through losses, cuts and snapshots, and how one becomes the other.

use std::collections::BTreeSet;
use std::fs;

use model::{ClusterId, NodeId};
use openraft::async_runtime::WatchReceiver;

use super::several::{CLUSTER, Several, name};
use super::snapshots::claim;
use super::{in_time, numbered, propose_many, until};
use crate::{Assignment, Cluster, Start};

const WORKER: NodeId = NodeId(9);

async fn worker(several: &mut Several) -> Cluster {
    several.open(WORKER, Start::Work(CLUSTER)).await
}

async fn agrees(several: &Several, worker: &Cluster) {
    let written = several.leader().await.read().await.expect("a fresh state");
    until("the worker knows as much", || worker.state().index >= written.index).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_knows_writes_and_reads_what_the_servers_do() {
    let mut several = Several::new(3).await;
    in_time("is written", several.node(1).propose(numbered(1))).await.expect("applied");
    let worker = worker(&mut several).await;
    assert!(!worker.holds_log());
    agrees(&several, &worker).await;
    assert_eq!(name(&worker), name(&several.node(1)));
    let applied = in_time("is written", worker.propose(numbered(2))).await.expect("applied");
    assert!(worker.state().index >= applied.index, "what was acknowledged here is seen here");
    for id in 1..=3 {
        let applied =
            in_time("is written", several.node(id).propose(numbered(2 + id))).await.expect("applied");
        let state = in_time("is read", worker.read()).await.expect("fresh");
        assert!(state.index >= applied.index);
    }
    assert_eq!(worker.members(), several.node(1).members());
    assert!(!several.dirs[&WORKER].path().join("raft.db").exists());
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_whichever_server_is_lost_and_is_heard_by_the_next_leader() {
    let mut several = Several::new(3).await;
    let worker = worker(&mut several).await;
    agrees(&several, &worker).await;
    let leader = several.leader().await;
    let hears = |leader: Cluster| {
        move || leader.silence().get(&WORKER).is_some_and(|ms| ms.is_some_and(|ms| ms < 1_000))
    };
    until("the leader hears it", hears(leader.clone())).await;
    several.stop(leader.node()).await;
    let next = several.leader().await;
    in_time("is written", worker.propose(numbered(7))).await.expect("applied");
    until("the next leader hears it", hears(next.clone())).await;

    // A server without a majority may know less than others.
    several.net.isolate(next.node());
    assert!(in_time("is refused", next.read()).await.is_err(), "it has no majority");
    several.net.heal();
    agrees(&several, &worker).await;
    several.stop(WORKER).await;
    until("it is silent", || next.silence().get(&WORKER).is_none_or(|ms| ms.is_some_and(|ms| ms > 1_500)))
        .await;
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_far_behind_gets_a_snapshot_and_knows_it_again_alone() {
    let mut several = Several::new(1).await;
    let one = several.node(1);
    one.propose(claim(CLUSTER)).await.unwrap().result.expect("it is claimed");
    propose_many(&one, 0..200).await;
    let raft = one.raft().unwrap().clone();
    let last = one.metrics().applied.expect("applied");
    in_time("is asked", raft.trigger().snapshot()).await.expect("a snapshot");
    until("there is one", || one.metrics().snapshot >= Some(last)).await;
    in_time("is asked", raft.trigger().purge_log(last)).await.expect("a purge");
    until("the log begins later", || one.metrics().purged == Some(last)).await;
    let worker = worker(&mut several).await;
    agrees(&several, &worker).await;
    assert_eq!(name(&worker), name(&one));
    let kept = several.dirs[&WORKER].path().join("kept");
    let is_kept = || {
        fs::read_dir(&kept)
            .is_ok_and(|files| files.flatten().any(|f| f.path().extension().is_some_and(|e| e == "snap")))
    };
    until("it is written down", is_kept).await;
    several.stop(WORKER).await;

    several.net.isolate(WORKER);
    let alone = several.open(WORKER, Start::Work(CLUSTER)).await;
    several.net.isolate(WORKER);
    assert!(alone.state().index >= last, "it knows what it knew");
    several.stop(WORKER).await;
    let elsewhere = several.open(WORKER, Start::Work(ClusterId(1))).await;
    assert_eq!(elsewhere.state().index, 0, "what another cluster was is nothing to it");
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_needed_no_more_becomes_a_worker_and_a_worker_a_server() {
    let mut several = Several::new(3).await;
    several.leader().await.propose(claim(CLUSTER)).await.unwrap().result.expect("it is claimed");
    let (one, three) = (several.leader().await, NodeId(3));
    let others: BTreeSet<NodeId> = [one.node()].into();
    in_time("votes", one.set_voters(others)).await.expect("one votes");
    let leaves = several.node(3);
    in_time("leaves", one.remove_follower(three)).await.expect("it holds the log no more");
    assert!(one.silence().get(&three).is_none_or(|ms| *ms == Some(0)), "it is given time");
    assert_eq!(in_time("is noticed", leaves.assigned()).await, Assignment::Worker);
    assert!(leaves.holds_log(), "until it is opened anew");
    drop(leaves);
    several.stop(three).await;
    let worker = several.open(three, Start::Work(CLUSTER)).await;
    assert!(worker.state().index > 0, "it knows what it knew");
    let applied = in_time("is written", worker.propose(numbered(5))).await.expect("applied");
    let dir = several.dirs[&three].path().to_owned();
    assert!(!dir.join("raft.db").exists());

    // Nobody waits for a learner, so this returns at once, long before it follows.
    in_time("is added", one.add_follower(three, vec!["192.0.2.3:7300".parse().unwrap()]))
        .await
        .expect("added");
    assert_eq!(in_time("is called", worker.assigned()).await, Assignment::Server);
    drop(worker);
    several.stop(three).await;
    let server = several.open(three, Start::Join(CLUSTER)).await;
    assert!(server.state().index > 0, "it knows what it knew");
    until("it has the log", || server.metrics().applied >= Some(applied.index)).await;
    assert!(!dir.join("kept").exists());
    let metrics = one.raft().unwrap().metrics();
    assert!(metrics.borrow_watched().membership_config.nodes().any(|(id, _)| *id == 3));
    several.shutdown().await;
}
