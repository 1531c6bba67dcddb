//! Traffic into the cluster: HAProxy, configured by the state and told of every task over its runtime socket.
//!
//! What is offered, and what separates a running HAProxy from it, are pure functions of `model::balancer`; here are
//! the effects. [`role`] becomes HAProxy, supervised by init like every other role. [`apply`] wakes with the state,
//! compares it with what HAProxy says of itself, and gives orders, or checks and loads a new configuration. [`live`]
//! asks for figures when somebody looks. [`claim_page`] leads port 80 to the claim page while the node is nobody's.

mod apply;
mod bound;
mod claim_page;
mod cli;
mod files;
mod live;
mod report;
pub mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cluster::Cluster;
use console::{BalancerChange, BalancerStatus};
use futures::stream::{self, BoxStream, StreamExt};
use model::balancer::{Bind, Seats, Settings};
use model::{AppId, NodeId, TaskId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Paths;
use files::Files;

/// Where the balancer of this node listens.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// Address on which the balancer listens for everybody
    #[arg(long, default_value = "::", value_name = "IP")]
    balancer_bind: IpAddr,
    /// Port of virtual hosts without TLS
    #[arg(long, default_value_t = 80, value_name = "PORT")]
    balancer_http: u16,
    /// Port of virtual hosts with TLS
    #[arg(long, default_value_t = 443, value_name = "PORT")]
    balancer_https: u16,
    /// Port that routes by the header X-Marathon-App-Id
    #[arg(long, default_value_t = 9091, value_name = "PORT")]
    balancer_app_id: u16,
}

/// Ports of a node that are spoken for whether something listens there now or not.
const RESERVED: [(u16, &str); 6] = [
    (53, "DNS"),
    (5050, "the Mesos API"),
    (5051, "the Mesos API"),
    (7300, "the other nodes"),
    (8123, "the DNS API"),
    (9090, "the balancer's statistics"),
];

impl Flags {
    fn bind(&self) -> Bind {
        match self.balancer_bind {
            IpAddr::V6(ip) if ip.is_unspecified() && has_ipv6() => Bind::All,
            ip if ip.is_unspecified() => Bind::AllV4,
            ip => Bind::Only(ip),
        }
    }

    /// `console`: ports that the agent itself listens on.
    fn settings(&self, files: &Files, console: [u16; 2], host_ports: (u16, u16)) -> Settings {
        let reserved = RESERVED.map(|(port, who)| (port, who.to_owned()));
        let console = console.map(|port| (port, "the console".to_owned()));
        Settings {
            bind: self.bind(),
            http: Some(self.balancer_http),
            https: Some(self.balancer_https),
            app_id: Some(self.balancer_app_id),
            taken: reserved.into_iter().chain(console).collect(),
            host_ports,
            socket: files.socket().display().to_string(),
            certificate: files.certificate().display().to_string(),
            jail: files.jail(),
        }
    }
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// What the balancer's loop knows: what it applied last, and what stands in its way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// HAProxy answers.
    pub runs: bool,
    /// Why not all is as it should be; empty if it is.
    pub error: String,
    pub change: Option<BalancerChange>,
    pub reloads: u64,
    pub faults: BTreeMap<AppId, Vec<String>>,
    pub apps: BTreeMap<String, AppId>,
    pub seats: Seats,
    pub configuration: String,
}

/// Tasks that may still get or answer requests: whoever stops tasks waits until they have left this set.
pub type Serving = Arc<BTreeSet<TaskId>>;

/// The balancer's loop, for others in this process.
#[derive(Debug, Clone)]
pub struct Handle {
    files: Files,
    known: watch::Receiver<Arc<Known>>,
    serving: watch::Receiver<Serving>,
}

impl Handle {
    pub fn serving(&self) -> watch::Receiver<Serving> {
        self.serving.clone()
    }

    /// Sentences about what an app's labels or ports do not get.
    pub fn faults(&self, app: &AppId) -> Vec<String> {
        self.known.borrow().faults.get(app).cloned().unwrap_or_default()
    }

    /// An item whenever what this handle tells is another than before.
    pub fn moves(&self) -> BoxStream<'static, ()> {
        let mut known = self.known.clone();
        known.mark_unchanged();
        let moves = stream::unfold(known, |mut known| async move {
            known.changed().await.ok()?;
            Some(((), known))
        });
        moves.boxed()
    }

    /// Everything the page shows; asks HAProxy for its figures.
    pub async fn status(&self) -> BalancerStatus {
        let known = self.known.borrow().clone();
        live::status(&self.files, &known).await
    }
}

/// What the loops need of the agent.
pub struct Place<'a> {
    pub paths: &'a Paths,
    pub flags: &'a Flags,
    pub node: NodeId,
    pub host_ports: (u16, u16),
    /// Ports of the console, plain and TLS.
    pub console: [u16; 2],
    /// Where the console is found from outside, if not at this node's own address.
    pub public_url: Option<String>,
}

/// Starts the loops.
pub fn start(
    cluster: &Cluster,
    place: Place<'_>,
    loops: &TaskTracker,
    shutdown: &CancellationToken,
) -> Handle {
    let files = Files::new(place.paths);
    let settings = place.flags.settings(&files, place.console, place.host_ports);
    let (known, known_by_others) = watch::channel(Arc::default());
    let (serving, serving_seen) = watch::channel(Serving::default());
    let claim_page = claim_page::ClaimPage {
        address: SocketAddr::new(place.flags.balancer_bind, place.flags.balancer_http),
        console_port: place.console[0],
        public_url: place.public_url,
    };
    loops.spawn(claim_page.run(cluster.clone(), shutdown.clone()));
    let proxy = apply::Proxy::new(cluster.clone(), place.node, files.clone(), settings, known, serving);
    loops.spawn(proxy.run(shutdown.clone()));
    Handle { files, known: known_by_others, serving: serving_seen }
}
