//! The page of one application.

use model::app::{AppSpec, HealthCheck, HealthProtocol, Network, Port, Protocol};
use model::health::Verdict;
use model::state::App;
use model::{AppId, State, Timestamp};

use super::apps;
use super::details::Variable;
use super::status::{Note, Status, running};
use super::task::{self, Moment, TaskView};
use super::words;
use crate::Preparing;
use crate::strings as t;

pub struct AppView {
    pub id: String,
    pub href: String,
    pub status: Status,
    pub note: Note,
    pub running: usize,
    pub unhealthy: usize,
    pub wanted: u32,
    pub unknown_keys: Vec<String>,
    pub live: Vec<TaskView>,
    pub ended: Vec<TaskView>,
    pub last_failure: Option<TaskView>,
    /// What the app is, in order: a word and what it says.
    pub facts: Vec<(&'static str, String)>,
    pub env: Vec<Variable>,
    pub labels: Vec<(String, String)>,
    /// Newest first.
    pub versions: Vec<Moment>,
}

impl AppView {
    /// See [`TaskView::with`].
    pub fn with(mut self, preparing: &Preparing) -> Self {
        self.live = self.live.into_iter().map(|task| task.with(preparing)).collect();
        self
    }

    pub fn instances(&self) -> String {
        let text = t::running_of(self.running, self.wanted);
        match self.unhealthy {
            0 => text,
            count => format!("{text}, {}", t::unhealthy(count)),
        }
    }
}

pub fn view(state: &State, app: &App, now: Timestamp) -> AppView {
    let spec = &app.spec;
    let id = &spec.id;
    AppView {
        id: id.to_string(),
        href: apps::href(id),
        status: Status::of(state, id, app, now),
        note: Note::of(state, id, app, now),
        running: running(app),
        unhealthy: app.tasks.values().filter(|task| app.verdict(task) == Verdict::Unhealthy).count(),
        wanted: spec.instances,
        unknown_keys: spec.unknown_keys.clone(),
        live: live(state, id, app),
        ended: app.history.iter().map(|over| task::ended(state, id, over)).collect(),
        last_failure: app.last_failure.as_ref().map(|over| task::ended(state, id, over)),
        facts: facts(app),
        env: spec.env.iter().map(|(name, value)| Variable::masked(name.clone(), value.clone())).collect(),
        labels: spec.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        versions: app.versions.iter().rev().map(|spec| spec.version.into()).collect(),
    }
}

/// Newest first, as the list of ended ones below it.
fn live(state: &State, id: &AppId, app: &App) -> Vec<TaskView> {
    let mut tasks: Vec<_> = app.tasks.values().collect();
    tasks.sort_by_key(|task| std::cmp::Reverse((task.staged_at, &task.id)));
    tasks.into_iter().map(|task| task::live(state, id, task)).collect()
}

fn facts(app: &App) -> Vec<(&'static str, String)> {
    let spec = &app.spec;
    let mut facts = Vec::new();
    let mut add = |word, text: String| {
        if !text.is_empty() {
            facts.push((word, text));
        }
    };
    add(t::FACT_COMMAND, spec.cmd.clone().unwrap_or_default());
    add(t::FACT_ARGUMENTS, spec.args.as_ref().map(|args| args.join(" ")).unwrap_or_default());
    add(t::FACT_IMAGE, apps::image(app).to_owned());
    add(t::FACT_RESOURCES, resources(spec));
    add(t::FACT_NETWORK, network(&spec.network));
    add(t::FACT_PORTS, spec.ports.iter().map(port).collect::<Vec<_>>().join(", "));
    add(t::FACT_USER, spec.user.clone().unwrap_or_default());
    add(t::FACT_HEALTH, spec.health_checks.iter().map(health).collect::<Vec<_>>().join(", "));
    let constraints = spec.constraints.iter().map(|c| {
        format!("{} {:?} {}", c.field, c.operator, c.value.as_deref().unwrap_or("")).trim_end().to_owned()
    });
    add(t::FACT_CONSTRAINTS, constraints.collect::<Vec<_>>().join(", "));
    add(
        t::FACT_BACK_OFF,
        t::back_off(
            &words::duration(spec.backoff.first_ms),
            &factor(spec.backoff.factor.0),
            &words::duration(spec.backoff.max_ms),
        ),
    );
    facts
}

fn resources(spec: &AppSpec) -> String {
    let wanted = spec.resources;
    let mut text = t::resources(&words::cpus(wanted.cpu_milli), &words::mebibytes(wanted.mem_mib));
    if wanted.disk_mib > 0 {
        text.push_str(&t::resources_disk(&words::mebibytes(wanted.disk_mib)));
    }
    text
}

fn network(network: &Network) -> String {
    match network {
        Network::Host => t::NETWORK_HOST.to_owned(),
        Network::Bridge => t::NETWORK_BRIDGE.to_owned(),
        Network::Container { networks } => {
            let names: Vec<&str> = networks.iter().map(|n| n.name.as_str()).collect();
            t::network_named(&names.join(", "))
        }
    }
}

/// `http: 80/tcp → any host port, service port 10000`.
fn port(port: &Port) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Both => "udp,tcp",
    };
    let name = port.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let target = match (port.container_port, port.host_port) {
        (None, _) => protocol.to_owned(),
        (Some(inner), None) => format!("{inner}/{protocol}"),
        (Some(inner), Some(0)) => format!("{inner}/{protocol} → {}", t::PORT_ANY),
        (Some(inner), Some(outer)) => format!("{inner}/{protocol} → {outer}"),
    };
    match port.service_port {
        0 => format!("{name}{target}"),
        service => format!("{name}{target}, {} {service}", t::PORT_SERVICE),
    }
}

fn health(check: &HealthCheck) -> String {
    let protocol = match check.protocol {
        HealthProtocol::Http | HealthProtocol::MesosHttp => "HTTP",
        HealthProtocol::Https | HealthProtocol::MesosHttps => "HTTPS",
        HealthProtocol::Tcp | HealthProtocol::MesosTcp => "TCP",
        HealthProtocol::Command => "COMMAND",
    };
    let target = check.path.as_deref().or(check.command.as_deref()).unwrap_or("");
    t::health_check(format!("{protocol} {target}").trim_end(), &words::duration(check.interval_ms))
}

/// `1.15` from millionths.
fn factor(millionths: u64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
