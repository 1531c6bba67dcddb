//! Tests of the whole crate on real files, and what they share.

mod cluster;
mod crash;
mod full_disk;
mod log_store;
mod recovery;
mod several;
mod snapshots;
mod story;
mod suite;
mod workers;
mod written;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use model::auth::Actor;
use model::node::{Node, Resources};
use model::{Command, NodeId, Origin, Timestamp};

use crate::{Cluster, Config, Failure, NoWire, OpenError, Proposal, Start, Timers};

const NODE: NodeId = NodeId(7);
/// Nothing tested here takes this long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(dir: &Path) -> Config {
    Config {
        dir: dir.to_owned(),
        node: NODE,
        start: Start::Alone,
        timers: Timers::default(),
        contacts: Vec::new(),
        reserve_bytes: 0,
    }
}

async fn open(dir: &Path) -> Cluster {
    let cluster = Cluster::open(config(dir), Arc::new(NoWire)).await.expect("opens");
    lead(&cluster).await;
    cluster
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not in {PATIENCE:?}"))
}

/// Waits until this node leads.
async fn lead(cluster: &Cluster) {
    let mut leadership = cluster.leadership();
    in_time("leads", leadership.wait_for(|leadership| leadership.is_self)).await.expect("runs");
}

/// Waits until `condition` holds, looking again and again: for what has no event.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    in_time(what, wait).await;
}

/// A command whose trace is found in the log (`/n` as its origin) and in the state (the node's name).
fn numbered(n: u64) -> Proposal {
    let node = Node {
        id: NODE,
        name: format!("node-{n}"),
        addresses: vec!["192.0.2.1".parse().expect("an address")],
        resources: Resources { cpu_milli: 2_000, mem_mib: 512, disk_mib: 1_024 },
        host_ports: (31_000, 32_000),
        attributes: BTreeMap::from([("rack".to_owned(), n.to_string())]),
        feature_level: model::command::FEATURE_LEVEL,
        product_version: "0.0.0".to_owned(),
        joined_at: Timestamp(0),
        boot_id: "boot".to_owned(),
    };
    Proposal {
        actor: Actor::System,
        origin: Origin { client_ip: String::new(), uri: format!("/{n}") },
        request_id: None,
        expected_version: None,
        command: Command::RegisterNode { node },
    }
}

/// Proposes the numbers of `range`, up to 128 at once. Returns the highest index.
async fn propose_many(cluster: &Cluster, range: std::ops::Range<u64>) -> u64 {
    let answers = stream::iter(range).map(|n| cluster.propose(numbered(n))).buffer_unordered(128);
    answers.fold(0, async |highest, answer| highest.max(answer.expect("applied").index)).await
}

async fn failure(cluster: &Cluster) -> Failure {
    in_time("fails", cluster.failed()).await
}

async fn refused(config: Config) -> OpenError {
    match Cluster::open(config, Arc::new(NoWire)).await {
        Ok(_) => panic!("the folder was opened"),
        Err(error) => error,
    }
}
