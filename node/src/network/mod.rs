//! The network of tasks that do not share the node's: one bridge with a subnet of the node's own, an address a task,
//! and host ports that lead to them.
//!
//! [`rules`], [`subnet`] and [`addresses`] decide and are pure; [`bridge`], [`nat`] and [`attach`] act. Level-triggered:
//! what must be follows from the cluster's state and from which tasks hold an address, and that follows from the
//! bundles that lie here. Nothing is made before the first task asks for it.

mod addresses;
pub mod attach;
pub mod attachment;
mod bridge;
mod conntrack;
mod nat;
mod rules;
pub mod subnet;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use model::{NodeId, State, TaskId};
use rtnetlink::Handle;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Paths;
use crate::init::boot::modules;
use crate::oci::meta::Meta;
use addresses::Addresses;
use attachment::{Attachment, link_of};
use rules::Rules;
use subnet::Subnet;

pub const BRIDGE: &str = "meseta0";
/// Wait after rules that could not be applied.
const RETRY: Duration = Duration::from_secs(1);
/// Of what is shown to people.
const FAULT_CHARS_MAX: usize = 200;
/// What the kernel needs for all this; where it has them built in, or loads them by itself, nothing happens.
const MODULES: [&str; 9] = [
    "bridge",
    "veth",
    "nf_tables",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_fib_inet",
    "nft_ct",
    "nft_meta_bridge",
];

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("netlink")]
    Netlink(#[from] rtnetlink::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the setting {path} cannot be written")]
    Setting {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{program} does not run")]
    Program {
        program: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the packet filter refuses its rules: {0}")]
    Filter(String),
    #[error("the bridge {BRIDGE} is gone")]
    NoBridge,
    #[error("every subnet for tasks collides with a network of this node; choose one with --bridge-subnet")]
    NoSubnet,
    #[error(transparent)]
    Exhausted(#[from] addresses::Exhausted),
}

/// Who holds which address, of which subnet.
#[derive(Debug, Clone, Default)]
struct Table {
    /// `None` until the bridge is there.
    subnet: Option<Subnet>,
    addresses: Addresses,
}

/// What the packet filter says.
#[derive(Debug, Default)]
struct Applied {
    rules: Option<Rules>,
    /// Why newer rules are not in force; empty if there are none.
    fault: String,
}

#[derive(Debug, Clone)]
pub struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: NodeId,
    wanted: Option<Subnet>,
    handle: Handle,
    table: watch::Sender<Table>,
    applied: watch::Sender<Applied>,
    /// Held while the bridge is made.
    making: Mutex<()>,
    /// Held while rules change; true once they are gone for good.
    closed: Mutex<bool>,
}

impl Network {
    /// Finds what an agent before this one left; changes nothing.
    pub async fn open(paths: &Paths, node: NodeId, wanted: Option<Subnet>) -> Result<Self, NetworkError> {
        let handle = bridge::connect()?;
        let subnet = bridge::present(&handle).await?;
        let addresses = Addresses::restore(attachments(paths), subnet);
        let table = Table { subnet, addresses };
        Ok(Self(Arc::new(Inner {
            node,
            wanted,
            handle,
            table: watch::Sender::new(table),
            applied: watch::Sender::new(Applied::default()),
            making: Mutex::new(()),
            closed: Mutex::new(false),
        })))
    }

    /// An address for `task` on a bridge that is ready; the same one if it is asked for again.
    pub async fn attach(&self, task: &TaskId) -> Result<Attachment, NetworkError> {
        let _one_at_a_time = self.0.making.lock().await;
        let in_use = !self.0.table.borrow().addresses.is_empty();
        if !in_use {
            modules::load_by_name(&MODULES);
        }
        let subnet = bridge::ensure(&self.0.handle, self.0.wanted, in_use).await?;
        if self.0.wanted.is_some_and(|wanted| wanted != subnet) {
            tracing::warn!(%subnet, "tasks run on the bridge: it keeps its subnet until they are gone");
        }
        let mut given = Err(addresses::Exhausted(0));
        self.0.table.send_modify(|table| {
            table.subnet = Some(subnet);
            given = table.addresses.give(task, subnet);
        });
        Ok(Attachment::new(BRIDGE, given?, &subnet))
    }

    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Whether this is an address for tasks of this node.
    pub fn is_on_bridge(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address.to_canonical() else { return false };
        self.0.table.borrow().subnet.is_some_and(|subnet| subnet.task_number(address).is_some())
    }

    /// The address of a task that has one of its own.
    pub fn address_of(&self, task: &TaskId) -> Option<Ipv4Addr> {
        self.0.table.borrow().addresses.of(task)
    }

    /// True once the host ports of `task` lead to it; always true for tasks on the node's own network.
    pub fn is_open(&self, task: &TaskId) -> bool {
        let applied = self.0.applied.borrow();
        let is_in = |address| applied.rules.as_ref().is_some_and(|rules| rules.senders.contains(&address));
        self.address_of(task).is_none_or(is_in)
    }

    /// Why host ports do not lead where they should; empty if they do.
    pub fn fault(&self) -> String {
        self.0.applied.borrow().fault.clone()
    }

    /// Wakes when rules came into force, or could not.
    pub fn openings(&self) -> watch::Receiver<impl Sized + use<>> {
        self.0.applied.subscribe()
    }

    /// Takes back the addresses of all tasks but those.
    pub fn retain(&self, keep: impl Fn(&TaskId) -> bool) {
        self.0.table.send_if_modified(|table| table.addresses.retain(keep));
    }

    /// Keeps the packet filter at what `states` and the addresses say. `states` must have caught up with the log: an
    /// older one would close the ports of living tasks.
    pub async fn run(self, mut states: watch::Receiver<Arc<State>>, shutdown: CancellationToken) {
        let mut tables = self.0.table.subscribe();
        let mut reason = "start";
        loop {
            let state = states.borrow_and_update().clone();
            let table = tables.borrow_and_update().clone();
            let mut failed = false;
            if let Some(subnet) = table.subnet {
                let rules = Rules::of(&state, self.0.node, &table.addresses, subnet);
                let fault = match self.apply(rules, reason).await {
                    Ok(()) => String::new(),
                    Err(error) => chain(&error).chars().take(FAULT_CHARS_MAX).collect(),
                };
                failed = !fault.is_empty();
                self.0.applied.send_if_modified(|applied| {
                    std::mem::replace(&mut applied.fault, fault.clone()) != fault
                });
                if failed {
                    tracing::warn!(fault, "the host ports of tasks were not set");
                }
            }
            // Cancel safety: all are mere wake-ups.
            reason = tokio::select! {
                changed = states.changed() => match changed {
                    Ok(()) => "state changed",
                    Err(_) => return,
                },
                changed = tables.changed() => match changed {
                    Ok(()) => "addresses changed",
                    Err(_) => return,
                },
                () = tokio::time::sleep(RETRY), if failed => "retry",
                () = shutdown.cancelled() => return,
            };
        }
    }

    /// Does nothing if they are in force.
    async fn apply(&self, rules: Rules, reason: &'static str) -> Result<(), NetworkError> {
        if self.0.applied.borrow().rules.as_ref() == Some(&rules) {
            return Ok(());
        }
        let closed = self.0.closed.lock().await;
        if *closed {
            return Ok(());
        }
        nat::apply(&rules).await?;
        tracing::info!(
            reason,
            tasks = rules.senders.len(),
            ports = rules.mappings.len(),
            "host ports of tasks"
        );
        let moved = rules.moved_udp(self.0.applied.borrow().rules.as_ref());
        if !moved.is_empty() {
            let forgotten = tokio::task::spawn_blocking(move || conntrack::forget_udp(&moved)).await;
            if let Ok(Err(error)) = forgotten {
                tracing::warn!(%error, "datagrams of old clients may go astray for a while");
            }
        }
        let links: BTreeSet<String> = rules.senders.iter().copied().map(link_of).collect();
        self.0.applied.send_modify(|applied| applied.rules = Some(rules));
        bridge::remove_links_but(&self.0.handle, |name| links.contains(name)).await
    }

    /// Removes links, bridge and rules: the node goes down, and off the image its machine stays.
    pub async fn close(&self) -> Result<(), NetworkError> {
        if self.0.table.borrow().subnet.is_none() {
            return Ok(());
        }
        let mut closed = self.0.closed.lock().await;
        // The loop may be about to apply what the last states said.
        *closed = true;
        nat::remove().await?;
        // They are found by their bridge.
        bridge::remove_links_but(&self.0.handle, |_| false).await?;
        bridge::remove_bridge(&self.0.handle).await
    }
}

/// What the bundles that lie here say of their tasks' addresses. One that cannot be read belongs to no running task.
fn attachments(paths: &Paths) -> Vec<(TaskId, Ipv4Addr)> {
    let Ok(entries) = std::fs::read_dir(paths.bundles()) else { return Vec::new() };
    let metas = entries.flatten().filter_map(|entry| Meta::read(&entry.path()).ok());
    metas.filter_map(|meta| Some((meta.task, meta.network?.address))).collect()
}

/// The error with everything beneath it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |e| e.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
