//! Through the front door: open, propose, read, reopen.

use std::fs;

use model::NodeId;

use super::{NODE, config, lead, open, proposal, refused};
use crate::{Cluster, Config, Leadership, OpenError};

#[tokio::test]
async fn a_pristine_folder_becomes_a_cluster_of_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = open(dir.path()).await;
    let mut watch = cluster.watch();
    watch.borrow_and_update();

    let applied = cluster.propose(proposal()).await.expect("applied");
    assert!(watch.has_changed().expect("runs"), "the state is published before the answer");
    assert_eq!(cluster.state().index, applied.index);
    assert_eq!(cluster.read().await.expect("a fresh read").index, applied.index);
    assert!(cluster.state().now <= cluster.now());

    let metrics = cluster.metrics();
    assert_eq!(metrics.applied, Some(applied.index));
    assert!(metrics.log_bytes > 0 && metrics.free_bytes.is_some());
    let leadership = *cluster.leadership().borrow();
    assert!(
        matches!(leadership, Leadership { leader: Some(NODE), is_self: true, term: 1.. }),
        "{leadership:?}"
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn reopening_restores_the_state_and_leads_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = open(dir.path()).await;
    let mut last = 0;
    for _ in 0..50 {
        last = cluster.propose(proposal()).await.expect("applied").index;
    }
    let before = cluster.state();
    cluster.shutdown().await;

    let cluster = open(dir.path()).await;
    assert_eq!(*cluster.read().await.expect("a fresh read"), *before);
    assert!(cluster.propose(proposal()).await.expect("applied").index > last);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_folder_has_one_user_and_one_owner() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = open(dir.path()).await;
    assert!(matches!(refused(config(dir.path())).await, OpenError::InUse { .. }));
    cluster.shutdown().await;

    let other = Config { node: NodeId(8), ..config(dir.path()) };
    let error = refused(other).await;
    assert!(matches!(error, OpenError::OtherNode { found: NODE, expected: NodeId(8), .. }), "{error}");

    let again = Cluster::open(config(dir.path())).await.expect("its own folder");
    lead(&again).await;
    again.shutdown().await;
}

#[tokio::test]
async fn snapshots_without_a_log_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("snapshots")).expect("a folder");
    fs::write(dir.path().join("snapshots/12-1.snap"), "").expect("a file");
    assert!(matches!(refused(config(dir.path())).await, OpenError::LogMissing { .. }));
}
