//! What the machine beneath this node is and has: read from the kernel, never from the cluster.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use model::NodeId;
use model::command::FEATURE_LEVEL;
use model::node::{Node, Resources};
use model::{State, Timestamp};
use nix::sys::statvfs::statvfs;

use super::Args;

/// Memory kept for the node itself: program, kernel, page cache of the root.
const NODE_RESERVE_MIB: u64 = 160;

/// First and last host port that tasks are given.
pub const HOST_PORTS: (u16, u16) = (31_000, 32_000);

#[derive(Debug)]
pub struct Machine {
    pub node: NodeId,
    advertise: Option<IpAddr>,
    cpu_milli: u64,
    mem_mib: u64,
    data_dir: PathBuf,
    attributes: BTreeMap<String, String>,
    state_dir: PathBuf,
    pub host_file: PathBuf,
    pub public_url: Option<String>,
    pub http_port: u16,
}

/// Sizes of a file system in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Space {
    pub free: u64,
    pub total: u64,
}

/// Memory of the machine in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub total_kib: u64,
    pub available_kib: u64,
}

impl Machine {
    pub fn new(args: &Args, node: NodeId) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let memory_mib = memory().total_kib / 1024;
        Self {
            node,
            advertise: args.advertise,
            cpu_milli: args.cpus.unwrap_or(processors) * 1000,
            mem_mib: args.mem.unwrap_or_else(|| memory_mib.saturating_sub(NODE_RESERVE_MIB)),
            data_dir: args.paths.data.clone(),
            attributes: args.attributes.iter().cloned().collect(),
            state_dir: args.paths.state.clone(),
            host_file: args.paths.host_status(),
            public_url: args.public_url.clone(),
            http_port: args.http.port(),
        }
    }

    /// Addresses under which others reach the node, the advertised one first; loopback if there is no other.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = self.advertise.into_iter().collect();
        for address in interface_addresses() {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() {
            found.push(IpAddr::from([127, 0, 0, 1]));
        }
        found
    }

    /// This node as the cluster is to know it. `boot_id` is init's: it is fresh whenever all tasks are gone.
    pub fn describe(&self, boot_id: String, at: Timestamp) -> Node {
        let addresses = self.addresses();
        Node {
            id: self.node,
            name: addresses[0].to_string(),
            addresses,
            resources: self.resources(),
            host_ports: HOST_PORTS,
            attributes: self.attributes.clone(),
            feature_level: FEATURE_LEVEL,
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            joined_at: at,
            boot_id,
        }
    }

    /// What it offers to tasks. The disk is that of DATA, once that is there.
    pub fn resources(&self) -> Resources {
        let disk_mib = space(&self.data_dir).total / (1024 * 1024);
        Resources { cpu_milli: self.cpu_milli, mem_mib: self.mem_mib, disk_mib }
    }

    pub fn state_space(&self) -> Space {
        space(&self.state_dir)
    }
}

/// What the tasks of `node` have been promised.
pub fn used(state: &State, node: NodeId) -> Resources {
    let on_node = |app: &model::state::App| app.tasks.values().filter(|t| t.node == node).count() as u64;
    state.apps.values().fold(Resources::default(), |sum, app| {
        let (n, each) = (on_node(app), app.spec.resources);
        sum + Resources {
            cpu_milli: each.cpu_milli * n,
            mem_mib: each.mem_mib * n,
            disk_mib: each.disk_mib * n,
        }
    })
}

pub fn memory() -> Memory {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| l.trim_start_matches(':').trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    };
    Memory { total_kib: field("MemTotal"), available_kib: field("MemAvailable") }
}

pub fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(|_| String::new(), |u| u.release().to_string_lossy().into_owned())
}

/// Seconds since the machine booted.
pub fn uptime_s() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0)
}

fn space(path: &std::path::Path) -> Space {
    statvfs(path).map_or_else(
        |_| Space::default(),
        |v| Space { free: v.blocks_available() * v.fragment_size(), total: v.blocks() * v.fragment_size() },
    )
}

/// Every address of an interface that is up, IPv4 first; neither loopback nor link-local IPv6.
fn interface_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut found: Vec<IpAddr> = interfaces
        // Its address is the same on every node, and leads to none.
        .filter(|i| i.interface_name != crate::network::BRIDGE)
        .filter_map(|i| i.address)
        .filter_map(|a| match (a.as_sockaddr_in(), a.as_sockaddr_in6()) {
            (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
            (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
            _ => None,
        })
        .filter(|ip| !ip.is_loopback() && !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}
