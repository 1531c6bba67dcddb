//! Makes this node known to the cluster, at each boot and whenever what it is changes.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Proposal};
use model::Command;
use model::node::Node;
use tokio_util::sync::CancellationToken;

use super::addresses::AddressEvents;
use super::init_link::InitLink;
use super::machine::Machine;

/// Wait after a registration that did not go through.
const RETRY: Duration = Duration::from_millis(250);

pub async fn run(cluster: Cluster, init: InitLink, machine: Arc<Machine>, shutdown: CancellationToken) {
    let mut worlds = init.world();
    let mut addresses = AddressEvents::open("changes of addresses are seen only at the next boot");
    loop {
        let (connected, boot_id) = {
            let world = worlds.borrow_and_update();
            (world.connected, world.boot_id.clone())
        };
        if connected {
            let now = machine.describe(boot_id, cluster.now());
            let state = cluster.state();
            let known = state.nodes.get(&machine.node);
            if known.is_none_or(|known| differs(known, &state.as_known(now.clone()))) {
                tracing::info!(addresses = ?now.addresses, "registering this node");
                if !register(&cluster, now).await {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
        }
        tokio::select! {
            changed = worlds.changed() => if changed.is_err() { return },
            () = addresses.changed() => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn differs(known: &Node, now: &Node) -> bool {
    *known != Node { joined_at: known.joined_at, name: known.name.clone(), ..now.clone() }
}

/// False if the cluster could not take it now.
async fn register(cluster: &Cluster, node: Node) -> bool {
    let proposal = Proposal::of_system(Command::RegisterNode { node });
    match cluster.propose(proposal).await.map(|applied| applied.result) {
        Ok(Ok(_)) => true,
        Ok(Err(reject)) => {
            tracing::error!(%reject, "the cluster refuses this node");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "not registered; trying again");
            false
        }
    }
}
