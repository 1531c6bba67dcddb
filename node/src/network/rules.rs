//! What the node's packet filter must say for its tasks: mapped ports, and who may send from which interface. Pure;
//! [`super::nat`] hands the text to `nft`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use model::app::{AppSpec, Network, Protocol};
use model::task::Task;
use model::{NodeId, State};

use super::BRIDGE;
use super::addresses::Addresses;
use super::attachment::{LINK_PREFIX, link_of, mac_of};
use super::subnet::Subnet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Equal rules are applied once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub subnet: Subnet,
    /// Host port to the task's address and port.
    pub mappings: BTreeMap<(Transport, u16), (Ipv4Addr, u16)>,
    /// Addresses of tasks that are here or being made.
    pub senders: BTreeSet<Ipv4Addr>,
}

impl Rules {
    /// What follows from the tasks of `node` that hold an address.
    pub fn of(state: &State, node: NodeId, addresses: &Addresses, subnet: Subnet) -> Self {
        let mut rules = Self { subnet, mappings: BTreeMap::new(), senders: BTreeSet::new() };
        for (id, address) in addresses.iter() {
            rules.senders.insert(address);
            let Some((app, task)) = state.task(id).filter(|(_, task)| task.node == node) else { continue };
            let spec = app.spec_of(task.version).unwrap_or(&app.spec);
            rules.mappings.extend(mappings(spec, task).map(|(from, port)| (from, (address, port))));
        }
        rules
    }

    /// Host ports whose datagrams go elsewhere by these rules than by those before.
    pub fn moved_udp(&self, before: Option<&Self>) -> BTreeSet<u16> {
        let none = BTreeMap::new();
        let before = before.map_or(&none, |rules| &rules.mappings);
        let keys = self.mappings.keys().chain(before.keys());
        let moved = keys.filter(|key| self.mappings.get(*key) != before.get(*key));
        moved.filter(|(transport, _)| *transport == Transport::Udp).map(|(_, port)| *port).collect()
    }

    /// A script for `nft -f`: one transaction that makes the tables say exactly this, whatever they said before. Chains
    /// are flushed rather than made anew, so that no packet passes between two tables.
    pub fn script(&self) -> String {
        let mut text = String::with_capacity(2_048);
        for (family, table) in TABLES {
            let _ = writeln!(text, "add table {family} {table}");
        }
        text.push_str(&SKELETON.replace("BRIDGE", BRIDGE).replace("LINKS", LINK_PREFIX));
        let subnet = self.subnet;
        for rule in [
            // Towards the world tasks bear the node's address; the world cannot know theirs.
            format!("ip saddr {subnet} oifname != \"{BRIDGE}\" masquerade"),
            // A task that reaches another by a host port: the answer must come back through the node.
            format!("ip saddr {subnet} oifname \"{BRIDGE}\" ct status dnat masquerade"),
            // 127.0.0.1 of the node is somebody else inside the task.
            format!("ip saddr 127.0.0.0/8 oifname \"{BRIDGE}\" masquerade"),
        ] {
            let _ = writeln!(text, "add rule inet meseta outbound {rule}");
        }
        let mappings = self.mappings.iter().map(|((transport, host), (address, port))| {
            format!("{} . {host} : {address} . {port}", transport.word())
        });
        elements(&mut text, "inet meseta ports", mappings);
        let senders = self.senders.iter().map(|address| {
            let mac = mac_of(*address).map(|byte| format!("{byte:02x}")).join(":");
            format!("\"{}\" . {mac} . {address}", link_of(*address))
        });
        elements(&mut text, "bridge meseta senders", senders);
        text
    }
}

/// Removes all of it; nothing happens where nothing is.
pub fn removal() -> String {
    // `add` first: deleting a table that is not there would be an error.
    TABLES
        .iter()
        .map(|(family, table)| format!("add table {family} {table}\ndelete table {family} {table}\n"))
        .collect()
}

const TABLES: [(&str, &str); 2] = [("inet", "meseta"), ("bridge", "meseta")];

/// Everything that does not depend on the tasks.
const SKELETON: &str = r#"add map inet meseta ports { type inet_proto . inet_service : ipv4_addr . inet_service ; }
add chain inet meseta inbound { type nat hook prerouting priority -100 ; policy accept ; }
add chain inet meseta local { type nat hook output priority -100 ; policy accept ; }
add chain inet meseta outbound { type nat hook postrouting priority 100 ; policy accept ; }
add chain inet meseta guard { type filter hook prerouting priority -300 ; policy accept ; }
add chain inet meseta forward { type filter hook forward priority 0 ; policy accept ; }
add set bridge meseta senders { type ifname . ether_addr . ipv4_addr ; }
add chain bridge meseta guard { type filter hook prerouting priority -300 ; policy accept ; }
flush table inet meseta
flush table bridge meseta
flush map inet meseta ports
flush set bridge meseta senders
add rule inet meseta inbound fib daddr type local dnat ip to meta l4proto . th dport map @ports
add rule inet meseta local fib daddr type local dnat ip to meta l4proto . th dport map @ports
add rule inet meseta guard iifname "BRIDGE" ip daddr 127.0.0.0/8 drop
add rule inet meseta forward oifname "BRIDGE" iifname != "BRIDGE" ct status dnat accept
add rule inet meseta forward oifname "BRIDGE" iifname != "BRIDGE" ct state established,related accept
add rule inet meseta forward oifname "BRIDGE" iifname != "BRIDGE" drop
add rule bridge meseta guard iifname != "LINKS*" accept
add rule bridge meseta guard ether type ip iifname . ether saddr . ip saddr @senders accept
add rule bridge meseta guard ether type arp iifname . arp saddr ether . arp saddr ip @senders accept
add rule bridge meseta guard drop
"#;

fn elements(text: &mut String, place: &str, list: impl Iterator<Item = String>) {
    let list: Vec<String> = list.collect();
    if !list.is_empty() {
        let _ = writeln!(text, "add element {place} {{ {} }}", list.join(", "));
    }
}

/// Host ports of `task` and where they lead inside it.
fn mappings<'a>(spec: &'a AppSpec, task: &'a Task) -> impl Iterator<Item = ((Transport, u16), u16)> + 'a {
    let mapped =
        spec.ports.iter().zip(&task.ports).filter(|(_, host)| spec.network != Network::Host && **host != 0);
    mapped.flat_map(|(port, host)| {
        // Container port 0: the same number as the host port.
        let inside = port.container_port.filter(|port| *port != 0).unwrap_or(*host);
        let transports: &[Transport] = match port.protocol {
            Protocol::Tcp => &[Transport::Tcp],
            Protocol::Udp => &[Transport::Udp],
            Protocol::Both => &[Transport::Tcp, Transport::Udp],
        };
        transports.iter().map(move |transport| ((*transport, *host), inside))
    })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
