//! The node's DNS server: answers the zone to everybody, forwards other names for the node, its tasks and listed
//! networks, refuses them to all others.
//!
//! [`directory`] holds the zone and follows each state. UDP is served by threads of its own ([`udp`]), so that a flood
//! of questions takes no turn from the cluster's log; TCP and forwarding, which wait, are tasks of the runtime. What
//! is answered is decided in [`respond`], a function of bytes and zone. Messages are read and written here ([`wire`])
//! and not by a library: an answer is then made without an allocation per record, and no bytes can reach code that
//! has ever panicked.

mod directory;
mod forward;
mod limiter;
mod listen;
mod networks;
mod respond;
mod socket;
pub mod task_file;
mod tcp;
mod udp;
mod upstreams;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use cluster::Cluster;
use console::DnsStatus;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::directory::Directory;
use self::forward::Forwarder;
use self::limiter::Limiter;
use self::networks::Network;
use self::upstreams::Upstreams;
use crate::network::Network as TaskNetwork;

// Flattened into the agent's `Args`, whose group would bear the same name.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Where DNS is answered, by UDP and TCP
    #[arg(long = "dns", default_value = "[::]:53", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the HTTP API of Mesos-DNS is answered
    #[arg(long, default_value = "[::]:8123", value_name = "ADDRESS")]
    pub dns_http: SocketAddr,
    /// Server that other names are asked from, instead of those of resolv.conf; may be given several times
    #[arg(long = "dns-upstream", value_name = "ADDRESS", value_parser = upstreams::parse)]
    upstreams: Vec<SocketAddr>,
    /// Network whose questions for other names are forwarded too, beside those of the node and its tasks; may be
    /// given several times
    #[arg(long = "dns-allow", value_name = "NETWORK")]
    allow: Vec<Network>,
}

/// Whether the port is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listening {
    pub address: Option<SocketAddr>,
    /// Why it is not; empty while nobody knows yet.
    pub fault: String,
}

/// What every question may need.
struct Server {
    directory: Directory,
    forwarder: Forwarder,
    limiter: Limiter,
    tasks: TaskNetwork,
    allow: Vec<Network>,
}

impl Server {
    /// Whether foreign names are asked for this one: the node itself, its tasks (which share the node's addresses or
    /// have their own on its bridge), and listed networks.
    fn is_ours(&self, asker: IpAddr, own: &[IpAddr]) -> bool {
        asker.is_loopback()
            || own.contains(&asker)
            || self.tasks.is_on_bridge(asker)
            || self.allow.iter().any(|network| network.contains(asker))
    }
}

/// The running server; cheap to clone.
#[derive(Clone)]
pub struct Dns {
    server: Arc<Server>,
    listening: watch::Receiver<Listening>,
}

impl Dns {
    /// Never fails: what stands in the way of a port is told by [`Dns::listening`] and tried again.
    pub fn start(
        args: &Args,
        run: &Path,
        cluster: &Cluster,
        network: &TaskNetwork,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let upstreams = Upstreams::new(args.upstreams.clone(), run, args.listen.port());
        let server = Arc::new(Server {
            directory: Directory::new(cluster.clone(), network.node()),
            forwarder: Forwarder::new(upstreams),
            limiter: Limiter::default(),
            tasks: network.clone(),
            allow: args.allow.clone(),
        });
        let (told, listening) = watch::channel(Listening::default());
        let follower = server.clone();
        let (until, leadership) = (shutdown.clone(), cluster.leadership());
        let states = cluster.watch();
        tasks.spawn(async move { follower.directory.follow(states, leadership, until).await });
        let marker = task_file::marker(run);
        tasks.spawn(listen::run(server.clone(), args.listen, marker, told, shutdown.clone()));
        Self { server, listening }
    }

    pub fn listening(&self) -> watch::Receiver<Listening> {
        self.listening.clone()
    }

    /// For the console: with a zone that is not behind this node's state.
    pub fn status(&self) -> DnsStatus {
        let listening = self.listening.borrow().clone();
        let zone = self.server.directory.refresh();
        let upstreams = self.server.forwarder.upstreams(zone.own_addresses());
        DnsStatus {
            address: listening.address.map(|address| address.to_string()).unwrap_or_default(),
            fault: listening.fault,
            upstreams: upstreams.iter().map(ToString::to_string).collect(),
            networks: self.server.allow.iter().map(ToString::to_string).collect(),
            zone,
        }
    }
}
