//! The node's part in the cluster: the replicated log, the leader's loop, this node's reconciliation, the front doors.
//!
//! Started by init and restarted by it for ever; it may end at any moment without a task noticing, because init is
//! the parent of every task and keeps what the agent has not persisted.

mod account;
mod addresses;
mod adopting;
mod backend;
mod backups;
mod claim;
mod fence_hook;
mod health;
mod identity;
pub mod init_link;
mod inspect;
mod joining;
mod leader;
mod lease;
mod logs;
mod machine;
mod members;
mod memory;
mod neighbours;
mod node_loop;
mod rebalance;
mod recovering;
mod register;
mod roster;
mod sandbox;
mod scheduled;
mod screen;
mod shelf;
mod slot;
mod sweep;
mod work;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use cluster::{Assignment, Cluster, Start, Target, Timers};
use model::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Exit;
use crate::api;
use crate::api::listen::{Listeners, Ports};
use crate::config::Paths;
use crate::dns::{self, Dns};
use crate::images::Mirror;
use crate::network::Network;
use crate::network::subnet::Subnet;
use crate::peers::credentials::{Keeper, certified};
use crate::peers::join::{self, Newcomer};
use crate::peers::key::PublicKey;
use crate::peers::membership::{Contact, Membership};
use crate::peers::relay::Relay;
use crate::peers::token::Token;
use crate::peers::wire::TlsWire;
use crate::peers::{self, key, membership};
use crate::proxy;
pub use node_loop::caught_up;

/// The boot phase of a member that knows nothing yet.
const HEARING: &str = "word from the cluster";
/// What a leader that ends waits for its successor: an election would take as long.
const HAND_OVER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Where the console and the API listen without TLS
    #[arg(long, default_value = "[::]:8080", value_name = "ADDRESS")]
    http: SocketAddr,
    /// Where they listen with TLS
    #[arg(long, default_value = "[::]:8443", value_name = "ADDRESS")]
    https: SocketAddr,
    /// Port at which browsers reach that address, if a forwarder stands between
    #[arg(long, value_name = "PORT")]
    https_public: Option<u16>,
    /// Address under which others reach this node and its tasks; the first global address if absent
    #[arg(long, value_name = "IP")]
    advertise: Option<IpAddr>,
    /// CPUs offered to tasks; all of the machine's if absent
    #[arg(long, value_name = "N")]
    cpus: Option<u64>,
    /// MiB of memory offered to tasks; the machine's less a reserve for the node itself if absent
    #[arg(long, value_name = "MIB")]
    mem: Option<u64>,
    /// Space on the STATE file system, in MiB, below which writes are refused before the log fills the disk
    #[arg(long, default_value_t = 32, value_name = "MIB")]
    state_reserve: u64,
    /// A further attribute of this node, for constraints; may be given several times
    #[arg(long = "attr", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Subnet of the bridge on which tasks with mapped ports get their addresses; one that collides with no network
    /// of this node if absent
    #[arg(long, value_name = "SUBNET")]
    bridge_subnet: Option<Subnet>,
    /// Where a registry is asked instead of at itself, e.g. docker.io=http://10.0.0.1:5000; plain HTTP only where it is
    /// written; may be given several times
    #[arg(long = "registry-mirror", value_name = "REGISTRY=URL", value_parser = Mirror::parse)]
    registry_mirrors: Vec<Mirror>,
    /// Seconds for which an image that no task uses is kept, unless space is short
    #[arg(long, default_value_t = 7 * 24 * 60 * 60, value_name = "SECONDS")]
    images_keep: u64,
    #[command(flatten)]
    dns: dns::Args,
    /// Where the console is found from outside, if a forwarder stands before this node
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    #[command(flatten)]
    balancer: proxy::Flags,
    /// Where other nodes of the cluster reach this one
    #[arg(long, default_value = "[::]:7300", value_name = "ADDRESS")]
    peers: SocketAddr,
    /// Announces this node to neighbours while it is unclaimed, and looks for such, by multicast DNS
    #[arg(long)]
    discover: bool,
    /// Joins a cluster at the first start; a token of `meseta ctl join-tokens create`
    #[arg(long, value_name = "TOKEN", value_parser = Token::parse)]
    join: Option<Token>,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

/// The role `agent`.
pub fn run(args: Args) -> Exit {
    memory::keep_small();
    log_to_stderr();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime does not start");
            return Exit::Internal;
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent ends");
            Exit::Failure
        }
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MESETA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
}

/// The agent's life, in order. Ends with an error when the log's storage fails: a process that cannot write must
/// not pretend, and init starts it anew.
async fn serve(args: Args) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let identity = identity::load_or_create(&args.paths.state).context("this node's identity")?;
    let node = identity.node;
    tracing::info!(%node, "the agent starts");

    let init = init_link::connect(args.paths.init_socket(), shutdown.clone());
    let machine = Arc::new(machine::Machine::new(&args, node));
    let world = init.world();
    let (ready, doors) = api::starting::doors(Arc::new(move || world.borrow().phases.clone()));
    init.phase("front doors", false);
    let ports = Ports {
        http: args.http,
        https: args.https,
        https_public: args.https_public.unwrap_or(args.https.port()),
    };
    let listeners = Listeners::bind(&ports, &tls_dir(&args.paths), &machine.addresses())
        .await
        .context("the console and API")?;
    let serving = tokio::spawn(listeners.serve(doors.clone(), shutdown.clone()));
    init.phase("front doors", true);

    let known = membership::load(&args.paths.state)?;
    let certified = known.map(|known| certified(&known.certificate)).transpose()?;
    let certified = certified.as_ref().map(|named| named.fingerprint.as_str());
    let key = key::load_or_create(&args.paths.state, certified).context("this node's key")?;
    let public_key = PublicKey::of(&key);
    let membership = member(&args, &machine, &public_key, &init).await.context("joining a cluster")?;
    init.phase("cluster state", false);
    let own = members::Own { fingerprint: key::fingerprint(&key), port: args.peers.port() };
    let keeper = Keeper::new(args.paths.state.clone(), node, key, membership.clone())
        .context("this node's certificate")?;
    let is_member = membership.is_some();
    let contact = |known: Contact| Target { node: known.node, addresses: known.addresses };
    let config = cluster::Config {
        dir: args.paths.state.clone(),
        node,
        start: membership.as_ref().map_or(Start::Alone, Membership::start),
        contacts: membership.into_iter().flat_map(|known| known.contacts).map(contact).collect(),
        timers: Timers::default(),
        reserve_bytes: args.state_reserve * 1024 * 1024,
    };
    let wire = Arc::new(TlsWire::new(keeper.held()));
    let cluster = Cluster::open(config, wire.clone()).await.context("the cluster's log")?;
    init.phase("cluster state", true);

    let joined = CancellationToken::new();
    let claim = Arc::new(claim::Claim::new(identity.claim_code));
    let loops = tokio_util::task::TaskTracker::new();
    let network =
        Network::open(&args.paths, node, args.bridge_subnet).await.context("the network of tasks")?;
    let dns = Dns::start(&args.dns, &args.paths.run, &cluster, &network, &loops, &shutdown);
    let logs = logs::Logs::new(args.paths.clone(), cluster.watch(), init.world())
        .context("watching the output of tasks")?;
    let place = proxy::Place {
        paths: &args.paths,
        flags: &args.balancer,
        node,
        host_ports: machine::HOST_PORTS,
        console: [args.http.port(), args.https.port()],
        public_url: args.public_url.clone(),
    };
    let balancer = proxy::start(&cluster, place, &loops, &shutdown);
    let (told_preparing, preparing) = watch::channel(Arc::default());
    let neighbours = neighbours::Neighbours::default();
    if args.discover {
        let (states, port) = (cluster.watch(), args.http.port());
        loops.spawn(neighbours.clone().run(states, machine.clone(), port, shutdown.clone()));
    }
    let backend = Arc::new(backend::NodeBackend {
        cluster: cluster.clone(),
        init: init.clone(),
        machine: machine.clone(),
        joining: joining::Joining {
            key: public_key,
            port: args.peers.port(),
            state_dir: args.paths.state.clone(),
            joined: joined.clone(),
            lock: tokio::sync::Mutex::new(()),
        },
        adoptee: adopting::Adoptee::default(),
        neighbours: neighbours.clone(),
        claim: claim.clone(),
        logins: claim::Logins::default(),
        logs,
        sandboxes: sandbox::NodeSandboxes::new(args.paths.clone()),
        inspector: inspect::NodeInspector::new(&args.paths),
        preparing,
        dns: dns.clone(),
        balancer: balancer.clone(),
    });

    if !is_member {
        tokio::spawn(joining::by_settings(backend.clone(), args.paths.join_token(), init.clone()));
    }
    let inner = peers::listen::Inner { cluster: cluster.clone(), doors };
    loops.spawn(peers::listen::run(args.peers, inner, keeper.held(), shutdown.clone()));
    loops.spawn(keeper.run(cluster.clone(), shutdown.clone()));
    loops.spawn(peers::ready::run(cluster.clone(), wire.clone(), shutdown.clone()));
    loops.spawn(members::run(cluster.clone(), machine.clone(), own, shutdown.clone()));
    loops.spawn(leader::run(cluster.clone(), shutdown.clone()));
    loops.spawn(rebalance::run(cluster.clone(), shutdown.clone()));
    let told = screen::Sources { cluster: cluster.clone(), init: init.clone(), dns: dns.listening() };
    loops.spawn(screen::run(told, machine.clone(), claim, shutdown.clone()));
    let names = api::mesos_dns::router(backend.clone());
    loops.spawn(api::listen::serve_at(args.dns.dns_http, names, shutdown.clone()));
    let relay = Arc::new(Relay { cluster: cluster.clone(), wire });
    let router = api::router(backend.clone()).merge(console::router(backend));
    let router = router.layer(axum::middleware::from_fn_with_state(relay, peers::relay::layer));
    if is_member && !cluster.state().is_claimed() {
        // To people it would look like a node that anybody may claim.
        init.phase(HEARING, false);
        tokio::spawn(open_once_told(cluster.watch(), ready, router, init.clone()));
    } else {
        ready.send_replace(Some(router));
    }
    init.phase("console", true);
    tokio::spawn(slot::run(args.paths.clone(), args.http, init.clone(), shutdown.clone()));

    let work = work::Work {
        cluster: cluster.clone(),
        init: init.clone(),
        machine,
        network: network.clone(),
        balancer,
        preparing: told_preparing,
    };
    let work = async {
        match work::begin(work, &args, &loops, &shutdown).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    // The log's failure is the one thing that the agent does not outlive once it works.
    let ended = tokio::select! {
        failure = cluster.failed() => Err(anyhow::anyhow!("the cluster's log failed: {failure}")),
        error = work => Err(error),
        // Init starts it again at once, as a member.
        () = joined.cancelled() => Ok(()),
        assignment = cluster.assigned() => assign(&args.paths.state, assignment),
        () = terminated() => Ok(()),
    };
    hand_over(&cluster).await;
    shutdown.cancel();
    loops.close();
    // Loops end at their next await; a proposal that hangs must not hold up init.
    let _ = tokio::time::timeout(Duration::from_secs(3), async { tokio::join!(loops.wait(), serving) }).await;
    let going_down = init.world().borrow().going_down;
    if going_down && let Err(error) = network.close().await {
        tracing::warn!(error = crate::network::chain(&error), "the bridge was not removed");
    }
    cluster.shutdown().await;
    ended
}

/// What this node is a member of; joins first if it is told to and has begun nothing of its own.
async fn member(
    args: &Args,
    machine: &machine::Machine,
    key: &PublicKey,
    init: &init_link::InitLink,
) -> anyhow::Result<Option<Membership>> {
    let state = &args.paths.state;
    let known = membership::load(state)?;
    if known.is_some() || Cluster::exists(state) {
        return Ok(known);
    }
    let Some(token) = args.join.clone().map_or_else(Token::of_kernel_line, |token| Ok(Some(token)))? else {
        return Ok(None);
    };
    init.phase("joining a cluster", false);
    let port = args.peers.port();
    let newcomer = Newcomer { node: machine.node, key, addresses: &|| machine.addresses(), port };
    let told = |reason: &str| tracing::warn!(reason, "not joined yet");
    let joined = join::join(&token, &newcomer, state, told).await?;
    init.phase("joining a cluster", true);
    Ok(Some(joined))
}

/// Opens the front doors of a member once it has heard what its cluster is.
async fn open_once_told(
    mut states: watch::Receiver<Arc<State>>,
    ready: watch::Sender<Option<Router>>,
    router: Router,
    init: init_link::InitLink,
) {
    if states.wait_for(|state| state.is_claimed()).await.is_ok() {
        ready.send_replace(Some(router));
        init.phase(HEARING, true);
    }
}

/// Writes down what this node is from its next start on, which is at once.
fn assign(state: &Path, assignment: Assignment) -> anyhow::Result<()> {
    let known = membership::load(state).context("this node's membership")?;
    let mut membership = known.context("this node is a member, and nothing says of what")?;
    membership.assign(assignment);
    membership::save(state, &membership).context("this node's membership")?;
    tracing::info!(?assignment, "starting anew");
    Ok(())
}

/// A leader that ends on purpose leaves no gap: another leads before it is gone.
async fn hand_over(cluster: &Cluster) {
    if !cluster.leadership().borrow().is_self {
        return;
    }
    let Some(next) = members::successor(cluster.node(), &cluster.members(), &cluster.progress()) else {
        return;
    };
    match tokio::time::timeout(HAND_OVER, cluster.hand_over(next)).await {
        Ok(Ok(())) => tracing::info!(%next, "handed over"),
        Ok(Err(error)) => tracing::warn!(%error, %next, "not handed over"),
        Err(_) => tracing::warn!(%next, "not handed over in time"),
    }
}

fn tls_dir(paths: &Paths) -> PathBuf {
    paths.state.join("tls")
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be awaited");
            std::future::pending::<()>().await;
        }
    }
}
