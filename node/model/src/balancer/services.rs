//! From the state to what a node's balancer offers: whose port it is, and which tasks stand behind it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::labels::{self, Wish};
use super::{Check, Mode, Server, Service, Services, Settings};
use crate::app::{AppSpec, HealthCheck, HealthPort, HealthProtocol, Network, Port, Protocol};
use crate::state::App;
use crate::task::{Task, TaskState};
use crate::{AppId, State, Timestamp};

/// Servers of one service; more are not given a slot.
pub const SERVERS_MAX: usize = 2_000;

const PATH_BYTES_MAX: usize = 512;

/// A port before its service port is its own.
struct Candidate {
    since: Timestamp,
    service: Service,
    /// The port it wants.
    port: u16,
    /// Its tasks listen on that very port of their nodes.
    by_tasks: bool,
}

/// Everything that the balancer of a node with these `settings` offers.
pub fn services(state: &State, settings: &Settings) -> Services {
    let mut faults: BTreeMap<AppId, Vec<String>> = BTreeMap::new();
    let mut candidates = Vec::new();
    // A deleted app stays until its last task is gone: until then its tasks drain.
    for app in state.apps.values() {
        let (offered, told) = offers(state, app);
        candidates.extend(offered);
        if !told.is_empty() {
            faults.insert(app.spec.id.clone(), told);
        }
    }
    // Who was there first keeps a port.
    candidates.sort_by(|a, b| {
        (a.since, &a.service.app, a.service.index).cmp(&(b.since, &b.service.app, b.service.index))
    });
    let mut tell = |app: &AppId, sentence: String| faults.entry(app.clone()).or_default().push(sentence);
    let mut list = with_ports(candidates, settings, &mut tell);
    list.sort_by(|a, b| (&a.app, a.index).cmp(&(&b.app, b.index)));
    tell_shadowed(&list, &mut tell);
    Services { list, faults, cookie_key: state.cluster.map_or_else(String::new, |id| id.to_string()) }
}

fn offers(state: &State, app: &App) -> (Vec<Candidate>, Vec<String>) {
    let spec = &app.spec;
    let (mut offered, mut told) = (Vec::new(), Vec::new());
    for (index, port) in spec.ports.iter().enumerate() {
        if port.protocol == Protocol::Udp || !labels::is_offered(&spec.labels, index) {
            continue;
        }
        match labels::read(&spec.labels, index) {
            Ok(wish) => offered.extend(candidate(state, app, index, port, wish)),
            Err(faults) => {
                told.extend(faults);
                told.push(format!("port number {index} is not balanced until that is put right"));
            }
        }
    }
    if spec.labels.contains_key("HAPROXY_GROUP") {
        told.extend(labels::without_effect(&spec.labels, spec.ports.len()));
    }
    (offered, told)
}

fn candidate(state: &State, app: &App, index: usize, port: &Port, wish: Wish) -> Option<Candidate> {
    let spec = &app.spec;
    let number = wish.port.unwrap_or(port.service_port);
    let health = check_of(spec, index);
    let by_check = health.is_some_and(|check| check.protocol == HealthProtocol::Http).then_some(Mode::Http);
    let default = if wish.vhosts.is_empty() { Mode::Tcp } else { Mode::Http };
    let mode = wish.mode.or(by_check).unwrap_or(default);
    let service = Service {
        app: spec.id.clone(),
        index,
        name: format!("{}_{number}", spec.id.flat()),
        listen: None,
        mode,
        balance: wish.balance.unwrap_or("roundrobin"),
        vhosts: wish.vhosts,
        paths: wish.paths,
        paths_ignore_case: wish.paths_ignore_case,
        weight: wish.weight,
        sticky: wish.sticky && mode == Mode::Http,
        redirect_to_https: wish.redirect_to_https,
        hsts: wish.hsts,
        allowed: wish.allowed,
        check: health.and_then(|health| check(health, mode)),
        instances: spec.instances as usize,
        servers: servers(state, app, index),
    };
    let since = app.versions.front().map_or(spec.version, |first| first.version);
    let by_tasks = spec.network == Network::Host && spec.require_ports && number == port.service_port;
    (number != 0).then_some(Candidate { since, service, port: number, by_tasks })
}

/// Gives each candidate the port it wants, or says who has it. One that can be reached no other way is left out.
fn with_ports(
    candidates: Vec<Candidate>,
    settings: &Settings,
    tell: &mut impl FnMut(&AppId, String),
) -> Vec<Service> {
    let mut holders: BTreeMap<u16, AppId> = BTreeMap::new();
    let mut list: Vec<Service> = Vec::new();
    let (first, last) = settings.host_ports;
    for Candidate { mut service, port, by_tasks, .. } in candidates {
        let fixed =
            [(settings.http, "HTTP"), (settings.https, "HTTPS"), (settings.app_id, "the app-id header")];
        let refusal = if let Some(holder) = settings.taken.get(&port) {
            Some(format!("it is taken on this node by {holder}"))
        } else if let Some((_, what)) = fixed.iter().find(|(number, _)| *number == Some(port)) {
            Some(format!("the balancer itself has it for {what}"))
        } else if by_tasks {
            Some("its tasks have it themselves, by `requirePorts` in host networking".to_owned())
        } else if (first..=last).contains(&port) {
            Some(format!("ports {first} to {last} are given to tasks"))
        } else {
            match holders.entry(port) {
                Entry::Occupied(holder) => Some(format!("{} had it first", holder.get())),
                Entry::Vacant(free) => {
                    free.insert(service.app.clone());
                    service.listen = Some(port);
                    None
                }
            }
        };
        if let Some(why) = refusal {
            tell(&service.app, format!("service port {port} does not lead to this app: {why}"));
        }
        let is_twin = list.iter().any(|other| other.name == service.name);
        if !is_twin && (service.listen.is_some() || !service.vhosts.is_empty()) {
            list.push(service);
        }
    }
    list
}

/// Tells whoever shares a virtual host without a path of its own and comes second.
fn tell_shadowed(list: &[Service], tell: &mut impl FnMut(&AppId, String)) {
    let mut owners: BTreeMap<(&str, &[String]), &AppId> = BTreeMap::new();
    for service in super::render::by_weight(list) {
        for host in &service.vhosts {
            match owners.entry((host.as_str(), service.paths.as_slice())) {
                Entry::Occupied(owner) if **owner.get() != service.app => {
                    tell(&service.app, format!("{host} leads to {} and not to this app", owner.get()));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(free) => {
                    free.insert(&service.app);
                }
            }
        }
    }
}

/// The check with a port of its own counts for every port, otherwise the first that names this one.
fn check_of(spec: &AppSpec, index: usize) -> Option<&HealthCheck> {
    let checks = &spec.health_checks;
    let numbered = checks.iter().find(|c| matches!(c.port, Some(HealthPort::Number(port)) if port != 0));
    let at = |c: &&HealthCheck| matches!(c.port, Some(HealthPort::Index(at)) if at as usize == index);
    numbered.or_else(|| checks.iter().find(at))
}

fn check(health: &HealthCheck, mode: Mode) -> Option<Check> {
    use HealthProtocol::{Command, Http, Https, MesosHttp, MesosHttps, MesosTcp, Tcp};
    let (asks, tls) = match health.protocol {
        Command => return None,
        Tcp | MesosTcp => (false, false),
        Http | MesosHttp => (true, false),
        Https | MesosHttps => (true, true),
    };
    let path = Some(health.path.as_deref().unwrap_or("/"));
    // One that fits into no line is not asked for: then a connection has to do.
    let path = path.filter(|path| asks && mode == Mode::Http && path.len() <= PATH_BYTES_MAX);
    Some(Check {
        path: path.map(str::to_owned),
        tls,
        port: match health.port {
            Some(HealthPort::Number(port)) if port != 0 => Some(port),
            _ => None,
        },
        interval_ms: health.interval_ms,
        timeout_ms: health.timeout_ms,
        fall: health.max_consecutive_failures.saturating_add(1).min(10_000),
    })
}

fn servers(state: &State, app: &App, index: usize) -> Vec<Server> {
    let server = |task: &Task| {
        let spec = app.spec_of(task.version).unwrap_or(&app.spec);
        let (address, port) = endpoint(state, spec, task, index)?;
        let draining = !task.is_wanted() || task.state == TaskState::Killing;
        Some(Server { address, port, task: task.id.clone(), draining })
    };
    let up = app.tasks.values().filter(|task| task.state >= TaskState::Running && task.reach.is_here());
    let mut servers: Vec<Server> = up.filter_map(|task| server(task)).collect();
    servers.sort();
    // Two tasks never share an address and port; were it so, they could not be told apart.
    servers.dedup_by_key(|server| (server.address, server.port));
    servers.truncate(SERVERS_MAX);
    servers
}

/// Where the task's port is reached: at its node, unless the task has an address of its own.
fn endpoint(state: &State, spec: &AppSpec, task: &Task, index: usize) -> Option<(std::net::IpAddr, u16)> {
    let (address, port) = match spec.network {
        Network::Host | Network::Bridge => {
            (*state.nodes.get(&task.node)?.addresses.first()?, *task.ports.get(index)?)
        }
        Network::Container { .. } => {
            let inner = spec.ports.get(index)?.container_port.filter(|port| *port != 0);
            (*task.addresses.first()?, inner.or_else(|| task.ports.get(index).copied())?)
        }
    };
    (port != 0).then_some((address, port))
}
