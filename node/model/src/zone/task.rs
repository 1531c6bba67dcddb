//! The records of one task, as spec/mesos-dns.md §1.2 has them.

use std::net::IpAddr;
use std::sync::Arc;

use super::label::{LABEL_BYTES_MAX, LabelRule, task_hash};
use super::names::{Data, Service};
use super::{Hosts, Settings};
use crate::AppId;
use crate::app::{Network, Port, Protocol};
use crate::health::Verdict;
use crate::state::App;
use crate::task::{Task, TaskState};

/// Ends the names that lead to a task's node rather than to the task.
const NODES: &str = "slave";

/// An app with what the records of each of its tasks depend on beside the task.
pub(super) struct Publisher<'a> {
    pub app: &'a App,
    /// All that could be found are unhealthy: then they are published, since a doubtful answer is better than none.
    shows_unhealthy: bool,
}

impl<'a> Publisher<'a> {
    pub fn new(app: &'a App) -> Self {
        let is_better = |task: &Task| is_there(task) && app.verdict(task) != Verdict::Unhealthy;
        Self { app, shows_unhealthy: !app.tasks.values().any(|task| is_better(task)) }
    }

    /// True if every task's records depend on the task in the same way as those of `other`.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.shows_unhealthy == other.shows_unhealthy
    }

    /// Whether the task is to be found by its names.
    fn is_published(&self, task: &Task) -> bool {
        is_there(task) && (self.shows_unhealthy || self.app.verdict(task) != Verdict::Unhealthy)
    }
}

/// A sentenced task is not to be found any more, before anybody stops it; nor is one that nobody reaches.
fn is_there(task: &Task) -> bool {
    task.state == TaskState::Running && task.is_wanted() && task.reach.is_here()
}

/// Every record of the task; none while it is not published.
pub(super) fn records(
    settings: &Settings,
    hosts: &Hosts,
    publisher: &Publisher<'_>,
    task: &Task,
) -> Vec<(String, Data)> {
    let (mut records, app) = (Vec::new(), publisher.app);
    let Some(host) = hosts.get(&task.node) else { return records };
    let framework = settings.label_rule.fragment(&task.framework);
    if !publisher.is_published(task) || framework.is_empty() {
        return records;
    }
    let spec = app.spec_of(task.version).unwrap_or(&app.spec);
    let is_apart = spec.network != Network::Host && !task.addresses.is_empty();
    let place = Place {
        domain: format!("{framework}.{}", settings.domain),
        node_domain: format!("{framework}.{NODES}.{}", settings.domain),
        own: if is_apart { &task.addresses } else { host },
        host,
        suffix: format!("-{}-{}", task_hash(task.id.as_str()), node_tail(task)),
        is_apart,
    };
    let raw = discovery_name(&app.spec.id);
    let label = settings.label_rule.label(&raw);
    if !label.is_empty() {
        place.records(settings, &label, &spec.ports, &task.ports, &mut records);
    }
    // Mesos-DNS of old made no labels, and still publishes those names.
    if settings.raw_names && raw != label {
        place.records(settings, &raw, &spec.ports, &task.ports, &mut records);
    }
    records
}

/// What Marathon calls the tasks of an app: the path from its end.
pub(super) fn discovery_name(app: &AppId) -> String {
    app.as_str().split('/').filter(|part| !part.is_empty()).rev().collect::<Vec<_>>().join(".")
}

/// The piece behind the last hyphen of a Mesos agent's id; ours have none.
fn node_tail(task: &Task) -> String {
    task.node.to_string()
}

struct Place<'a> {
    domain: String,
    node_domain: String,
    /// Where the task itself is reached, and its node.
    own: &'a [IpAddr],
    host: &'a [IpAddr],
    /// Tells this task from others of its name.
    suffix: String,
    /// The task has addresses of its own: ports are those inside.
    is_apart: bool,
}

impl Place<'_> {
    fn records(
        &self,
        settings: &Settings,
        name: &str,
        ports: &[Port],
        host_ports: &[u16],
        out: &mut Vec<(String, Data)>,
    ) {
        // The suffix must stay whole: the name gives way.
        let room = LABEL_BYTES_MAX.saturating_sub(self.suffix.len());
        let short =
            if name.len() > room { settings.label_rule.label_of(name, room) } else { name.to_owned() };
        let one = format!("{short}{}", self.suffix);
        let (Place { domain, node_domain, .. }, mut say) = (self, |name, data| out.push((name, data)));
        for (zone, addresses) in [(domain, self.own), (node_domain, self.host)] {
            for name in [name, &one] {
                for address in addresses {
                    say(format!("{name}.{zone}"), Data::from(*address));
                }
            }
        }
        let service = service_label(settings.label_rule, name);
        let on_node: Arc<str> = format!("{one}.{node_domain}").into();
        for port in host_ports.iter().filter(|port| **port != 0) {
            let data = Data::Srv(Service { host: on_node.clone(), port: *port });
            for protocol in ["tcp", "udp"] {
                say(format!("{service}._{protocol}.{node_domain}"), data.clone());
            }
        }
        let itself: Arc<str> = format!("{one}.{domain}").into();
        for (at, port) in ports.iter().enumerate() {
            let number = self.number(port, host_ports.get(at).copied().unwrap_or(0));
            if number == 0 {
                continue;
            }
            let data = Data::Srv(Service { host: itself.clone(), port: number });
            for protocol in protocols(port.protocol) {
                let under = format!("{service}.{protocol}.{domain}");
                if let Some(named) = &port.name {
                    say(format!("{}.{under}", service_label(settings.label_rule, named)), data.clone());
                }
                say(under, data.clone());
            }
        }
    }

    /// The port under which the task's own addresses answer; 0 if there is none.
    fn number(&self, port: &Port, host_port: u16) -> u16 {
        let inside = port.container_port.filter(|inside| *inside != 0);
        match inside {
            Some(inside) if self.is_apart || host_port == 0 => inside,
            _ => host_port,
        }
    }
}

/// `_name`, of one label's length; names with dots stay as they are.
fn service_label(rule: LabelRule, name: &str) -> String {
    if name.len() < LABEL_BYTES_MAX || name.contains('.') {
        return format!("_{name}");
    }
    format!("_{}", rule.label_of(name, LABEL_BYTES_MAX - 1))
}

fn protocols(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Tcp => &["_tcp"],
        Protocol::Udp => &["_udp"],
        Protocol::Both => &["_tcp", "_udp"],
    }
}
