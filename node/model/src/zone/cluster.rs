//! The records of the cluster itself: nodes, servers, the leader, the framework.

use super::names::{Data, Service};
use super::{Hosts, Settings, View};

/// Ports of the Mesos-style master and agent APIs and of Marathon's.
const MASTER_PORT: u16 = 5050;
const AGENT_PORT: u16 = 5051;
const FRAMEWORK_PORT: u16 = 8080;
/// The one scheduler there is.
const FRAMEWORK: &str = "marathon";

pub(super) fn records(settings: &Settings, hosts: &Hosts, view: &View) -> Vec<(String, Data)> {
    let domain = &settings.domain;
    let mut records = Vec::new();
    let mut addresses = |name: String, of: &[std::net::IpAddr]| {
        records.extend(of.iter().map(|address| (name.clone(), Data::from(*address))));
    };
    // Every node is a server as long as there are no workers.
    for (number, host) in hosts.values().enumerate() {
        addresses(format!("slave.{domain}"), host);
        addresses(format!("master.{domain}"), host);
        addresses(format!("master{number}.{domain}"), host);
    }
    let leader = view.leader.and_then(|leader| hosts.get(&leader));
    if let Some(leader) = leader {
        addresses(format!("leader.{domain}"), leader);
        addresses(format!("{FRAMEWORK}.{domain}"), leader);
    }
    if let Some(here) = hosts.get(&view.node) {
        addresses(settings.server_name(), here);
    }
    let mut service = |name: &str, host: &str, port| {
        let host = format!("{host}.{domain}").into();
        records.push((format!("{name}.{domain}"), Data::Srv(Service { host, port })));
    };
    if !hosts.is_empty() {
        service("_slave._tcp", "slave", AGENT_PORT);
        service("_master._tcp", "master", MASTER_PORT);
        service("_master._udp", "master", MASTER_PORT);
    }
    if leader.is_some() {
        service("_leader._tcp", "leader", MASTER_PORT);
        service("_leader._udp", "leader", MASTER_PORT);
        service("_framework._tcp.marathon", FRAMEWORK, FRAMEWORK_PORT);
    }
    records
}
