//! What the machine's own screen says of the agent: told to init, which owns the screen.

use std::net::IpAddr;
use std::sync::Arc;

use cluster::Cluster;
use model::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::addresses::AddressEvents;
use super::claim::Claim;
use super::init_link::InitLink;
use super::machine::Machine;
use crate::dns::Listening;
use crate::init::protocol::ToInit;

/// What the lines are made of.
pub struct Sources {
    pub cluster: Cluster,
    pub init: InitLink,
    pub dns: watch::Receiver<Listening>,
}

/// Tells init the lines whenever they change.
pub async fn run(sources: Sources, machine: Arc<Machine>, claim: Arc<Claim>, shutdown: CancellationToken) {
    let Sources { cluster, init, mut dns } = sources;
    let mut states = cluster.watch();
    let mut world = init.world();
    let mut addresses = AddressEvents::open("the screen shows addresses as they were at start");
    // Not asked for at each state: the kernel takes longer to answer than the rest of a round.
    let mut url = url(&machine);
    let mut told = Vec::new();
    loop {
        let connected = world.borrow_and_update().connected;
        let mut lines = lines(&states.borrow_and_update(), url.as_deref(), claim.code());
        let fault = dns.borrow_and_update().fault.clone();
        if !fault.is_empty() {
            lines.push(("warning".to_owned(), fault));
        }
        if !connected {
            told.clear();
        } else if lines != told {
            init.send(ToInit::Status { lines: lines.clone(), error: String::new() }).await;
            told = lines;
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            changed = world.changed() => if changed.is_err() { return },
            // The server may be gone for good; the rest goes on.
            Ok(()) = dns.changed() => {}
            () = addresses.changed() => url = self::url(&machine),
            () = shutdown.cancelled() => return,
        }
    }
}

fn lines(state: &State, url: Option<&str>, code: &str) -> Vec<(String, String)> {
    let mut lines: Vec<_> = url.map(|url| ("URL".to_owned(), url.to_owned())).into_iter().collect();
    if state.is_claimed() {
        let (apps, nodes) = (state.apps.len(), state.nodes.len());
        lines.push(("state".to_owned(), format!("cluster of {nodes}, {apps} apps")));
    } else {
        lines.push(("claim code".to_owned(), code.to_owned()));
        lines.push(("state".to_owned(), "unclaimed: open the URL and enter the claim code".to_owned()));
    }
    lines
}

/// `None` while the machine has no address that others could reach.
fn url(machine: &Machine) -> Option<String> {
    if let Some(url) = &machine.public_url {
        return Some(url.clone());
    }
    let host = match machine.addresses()[0] {
        address if address.is_loopback() => return None,
        IpAddr::V6(v6) => format!("[{v6}]"),
        v4 => v4.to_string(),
    };
    Some(format!("http://{host}:{}", machine.http_port))
}
