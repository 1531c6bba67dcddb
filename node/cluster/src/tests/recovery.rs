//! A majority lost for good, and the one that is left.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use model::NodeId;

use super::several::{Several, name};
use super::{in_time, numbered, propose_many, refused, until};
use crate::{Config, NoWire, OpenError, Start, order_recovery};

fn alone(several: &Several, node: NodeId) -> Config {
    let dir = several.dirs[&node].path().to_owned();
    Config { node, ..super::config(&dir) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_goes_on_with_all_it_holds() {
    let mut several = Several::new(3).await;
    let index = propose_many(&several.node(1), 0..50).await;
    let survivor = several.node(3);
    until("node 3 has it all", || survivor.state().index >= index).await;
    let written = name(&survivor);
    for node in 1..=3 {
        several.stop(NodeId(node)).await;
    }
    drop(survivor);
    let dir = several.dirs[&NodeId(3)].path().to_owned();
    order_recovery(&dir, NodeId(3)).expect("written down");

    let back = several.open(NodeId(3), Start::Alone).await;
    super::lead(&back).await;
    let state = in_time("is read", back.read()).await.expect("fresh");
    assert!(state.index > index, "what it held, and the recovery behind it");
    assert_eq!(name(&back), written);
    let members: BTreeMap<_, _> = back.members().iter().map(|member| (member.node, member.votes)).collect();
    assert_eq!(members, BTreeMap::from([(NodeId(3), true)]));
    in_time("is written", back.propose(numbered(99))).await.expect("by itself");
    drop(back);

    // It was ordered once: the next start is an ordinary one, and others can join again.
    several.stop(NodeId(3)).await;
    assert!(!dir.join("recover.json").exists());
    let term = |cluster: &crate::Cluster| cluster.leadership().borrow().term;
    let back = several.open(NodeId(3), Start::Alone).await;
    super::lead(&back).await;
    in_time("is read", back.read()).await.expect("fresh");
    assert_eq!(name(&back), "node-99");
    assert!(term(&back) >= 2);
    let late = several.join(NodeId(4)).await;
    let index = propose_many(&back, 100..110).await;
    until("it has caught up", || late.state().index >= index).await;
    assert_eq!(*late.state(), *back.state());
    drop((back, late));
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_never_voted_and_can_go_on_as_well() {
    let mut several = Several::new(1).await;
    let second = several.join(NodeId(2)).await;
    let index = propose_many(&several.node(1), 0..20).await;
    until("node 2 has it all", || second.state().index >= index).await;
    let written = name(&second);
    drop(second);
    several.stop(NodeId(1)).await;
    // What nobody ordered does not happen, however often it starts.
    several.stop(NodeId(2)).await;
    let waiting = several.open(NodeId(2), Start::Alone).await;
    assert!(in_time("is refused", waiting.read()).await.is_err());
    drop(waiting);
    several.stop(NodeId(2)).await;
    order_recovery(several.dirs[&NodeId(2)].path(), NodeId(2)).expect("written down");
    let back = several.open(NodeId(2), Start::Alone).await;
    super::lead(&back).await;
    in_time("is read", back.read()).await.expect("fresh");
    assert_eq!(name(&back), written);
    drop(back);
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_amid_it_makes_it_happen_again() {
    let mut several = Several::new(3).await;
    propose_many(&several.node(1), 0..5).await;
    for node in 1..=3 {
        several.stop(NodeId(node)).await;
    }
    let dir = several.dirs[&NodeId(1)].path().to_owned();
    order_recovery(&dir, NodeId(1)).expect("written down");
    let left = fs::read(dir.join("recover.json")).expect("it is there");
    let back = several.open(NodeId(1), Start::Alone).await;
    super::lead(&back).await;
    drop(back);
    several.stop(NodeId(1)).await;
    fs::write(dir.join("recover.json"), left).expect("as if it had not been removed");
    let back = several.open(NodeId(1), Start::Alone).await;
    super::lead(&back).await;
    in_time("is written", back.propose(numbered(7))).await.expect("by itself");
    assert_eq!(back.members().len(), 1);
    drop(back);
    several.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_damaged_or_of_another_node_stops_the_start() {
    let several = Several::new(1).await;
    several.stop(NodeId(1)).await;
    let config = alone(&several, NodeId(1));
    order_recovery(&config.dir, NodeId(2)).expect("written down");
    assert!(matches!(refused(config.clone()).await, OpenError::OtherNode { .. }));
    for text in ["{\"format\":1,", "{\"format\":2,\"node\":1}", "{\"format\":9,\"new\":true}"] {
        fs::write(config.dir.join("recover.json"), text).expect("a file");
        let error = refused(config.clone()).await;
        assert!(matches!(error, OpenError::Damaged { .. }), "{text}: {error}");
    }
    fs::remove_file(config.dir.join("recover.json")).expect("it is there");
    let back = crate::Cluster::open(config, Arc::new(NoWire)).await.expect("opens");
    super::lead(&back).await;
    assert_eq!(back.members().len(), 1);
    back.shutdown().await;
}
