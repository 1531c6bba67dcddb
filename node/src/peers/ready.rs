//! Connections to the servers that vote, made before an election needs them: a handshake then is time without a leader.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Lane, Target};
use futures::future::join_all;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::wire::TlsWire;

/// What a new leader needs at once, and whoever hands a write on to it.
const LANES: [Lane; 3] = [Lane::Pulse, Lane::Log, Lane::Command];
/// Between two looks: who votes changes rarely, and a server that was away is reached again by then.
const LOOK: Duration = Duration::from_secs(2);

/// A node that does not vote itself only hands on.
pub async fn run(cluster: Cluster, wire: Arc<TlsWire>, shutdown: CancellationToken) {
    let mut leadership = cluster.leadership();
    loop {
        let own = cluster.node();
        let members = cluster.members();
        let votes = members.iter().any(|member| member.node == own && member.votes);
        let lanes = if votes { &LANES[..] } else { &LANES[2..] };
        let others = members.into_iter().filter(|member| member.votes && member.node != own);
        let targets: Vec<Target> =
            others.map(|other| Target { node: other.node, addresses: other.addresses }).collect();
        let ways = targets.iter().flat_map(|target| lanes.iter().map(move |lane| (target, *lane)));
        // Who cannot be reached now is tried again at the next look.
        let made = join_all(ways.map(|(target, lane)| wire.prepare(target, lane)));
        tokio::select! {
            _ = made => {}
            () = shutdown.cancelled() => return,
        }
        tokio::select! {
            changed = timeout(LOOK, leadership.changed()) => if let Ok(Err(_)) = changed { return },
            () = shutdown.cancelled() => return,
        }
    }
}
