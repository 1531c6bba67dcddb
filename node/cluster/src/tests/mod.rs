//! Tests of the whole crate on real files, and what they share.

mod cluster;
mod suite;

use std::path::Path;
use std::time::Duration;

use model::auth::Actor;
use model::{Command, NodeId, Origin};

use crate::{Cluster, Config, OpenError, Proposal, Timers};

const NODE: NodeId = NodeId(7);

fn config(dir: &Path) -> Config {
    Config { dir: dir.to_owned(), node: NODE, timers: Timers::default(), reserve_bytes: 0 }
}

async fn open(dir: &Path) -> Cluster {
    let cluster = Cluster::open(config(dir)).await.expect("opens");
    lead(&cluster).await;
    cluster
}

/// Waits until this node leads.
async fn lead(cluster: &Cluster) {
    let mut leadership = cluster.leadership();
    let leads = leadership.wait_for(|leadership| leadership.is_self);
    tokio::time::timeout(Duration::from_secs(20), leads).await.expect("in time").expect("runs");
}

fn proposal() -> Proposal {
    let command = Command::RaiseFeatureLevel { level: model::command::FEATURE_LEVEL };
    Proposal {
        actor: Actor::System,
        origin: Origin::default(),
        request_id: None,
        expected_version: None,
        command,
    }
}

async fn refused(config: Config) -> OpenError {
    match Cluster::open(config).await {
        Ok(_) => panic!("the folder was opened"),
        Err(error) => error,
    }
}
