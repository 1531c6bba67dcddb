//! From an [`AppSpec`] to the JSON that every known client reads: the superset of spec/marathon.md §2.9.
//!
//! All keys of Marathon ≤ 1.4 with null for what is unset, beside the newer `networks` and `container.portMappings`.
//! Counts, tasks and deployments are the API's to add.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    AppSpec, Constraint, Container, ContainerKind, Fetch, HealthCheck, HealthPort, HealthProtocol,
    KillSelection, Network, Port, Protocol, UnreachableStrategy,
};
use crate::{AppId, Timestamp};

impl AppSpec {
    /// The app as a tree. For an answer, serialise [`AppSpec::view`]: it costs less and keeps the order of keys.
    pub fn emit(&self) -> Value {
        serde_json::to_value(self.view()).expect("an app view has text keys and finite numbers")
    }

    /// The app as clients see it, borrowed, ready to be serialised or flattened into a larger object. `id` is first.
    pub fn view(&self) -> AppView<'_> {
        AppView {
            id: &self.id,
            cmd: self.cmd.as_deref(),
            args: self.args.as_deref(),
            user: self.user.as_deref(),
            env: &self.env,
            instances: self.instances,
            cpus: Decimal { units: self.resources.cpu_milli, scale: 1000 },
            mem: self.resources.mem_mib,
            disk: self.resources.disk_mib,
            gpus: self.gpus,
            executor: "",
            constraints: self.constraints.iter().map(constraint_view).collect(),
            uris: self.fetch.iter().map(|f| f.uri.as_str()).collect(),
            fetch: self.fetch.iter().map(FetchView::from).collect(),
            store_urls: [],
            backoff_seconds: seconds(self.backoff.first_ms),
            backoff_factor: Decimal { units: self.backoff.factor.0, scale: 1_000_000 },
            max_launch_delay_seconds: seconds(self.backoff.max_ms),
            task_kill_grace_period_seconds: self.kill_grace_ms.map(seconds),
            networks: network_views(&self.network),
            container: self.container.as_ref().map(|c| ContainerView::of(c, self)),
            ports: self.ports.iter().map(|p| p.service_port).collect(),
            port_definitions: self.ports.iter().map(DefinitionView::from).collect(),
            require_ports: self.require_ports,
            health_checks: self.health_checks.iter().map(HealthView::from).collect(),
            readiness_checks: [],
            dependencies: &self.dependencies,
            labels: &self.labels,
            secrets: Empty {},
            upgrade_strategy: UpgradeView {
                minimum_health_capacity: Decimal { units: self.upgrade.minimum_health.0, scale: 1_000_000 },
                maximum_over_capacity: Decimal { units: self.upgrade.maximum_over.0, scale: 1_000_000 },
            },
            kill_selection: self.kill_selection,
            unreachable_strategy: UnreachableView::from(self.unreachable),
            accepted_resource_roles: self.accepted_resource_roles.as_deref(),
            ip_address: (),
            residency: (),
            version: Stamp(self.version),
            version_info: VersionInfo {
                last_scaling_at: Stamp(self.last_scaling_at),
                last_config_change_at: Stamp(self.last_config_change_at),
            },
        }
    }
}

/// One app as `/v2` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppView<'a> {
    id: &'a AppId,
    cmd: Option<&'a str>,
    args: Option<&'a [String]>,
    user: Option<&'a str>,
    env: &'a BTreeMap<String, String>,
    instances: u32,
    cpus: Decimal,
    mem: u64,
    disk: u64,
    gpus: u32,
    executor: &'static str,
    constraints: Vec<Vec<&'a str>>,
    uris: Vec<&'a str>,
    fetch: Vec<FetchView<'a>>,
    store_urls: [(); 0],
    backoff_seconds: Decimal,
    backoff_factor: Decimal,
    max_launch_delay_seconds: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_kill_grace_period_seconds: Option<Decimal>,
    networks: Vec<NetworkView<'a>>,
    container: Option<ContainerView<'a>>,
    ports: Vec<u16>,
    port_definitions: Vec<DefinitionView<'a>>,
    require_ports: bool,
    health_checks: Vec<HealthView<'a>>,
    readiness_checks: [(); 0],
    dependencies: &'a [AppId],
    labels: &'a BTreeMap<String, String>,
    secrets: Empty,
    upgrade_strategy: UpgradeView,
    kill_selection: KillSelection,
    unreachable_strategy: UnreachableView,
    accepted_resource_roles: Option<&'a [String]>,
    ip_address: (),
    residency: (),
    version: Stamp,
    version_info: VersionInfo,
}

/// A number kept in `1/scale` units, written as people write it: `16`, `0.1`.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    units: u64,
    scale: u64,
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.units.is_multiple_of(self.scale) {
            return serializer.serialize_u64(self.units / self.scale);
        }
        // One division is rounded to the nearest float, which prints as the shortest text: 100/1000 is 0.1.
        serializer.serialize_f64(self.units as f64 / self.scale as f64)
    }
}

fn seconds(ms: u64) -> Decimal {
    Decimal { units: ms, scale: 1000 }
}

#[derive(Debug)]
struct Stamp(Timestamp);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// `{}`.
#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo {
    last_scaling_at: Stamp,
    last_config_change_at: Stamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UpgradeView {
    minimum_health_capacity: Decimal,
    maximum_over_capacity: Decimal,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum UnreachableView {
    Disabled(&'static str),
    #[serde(rename_all = "camelCase")]
    After {
        inactive_after_seconds: Decimal,
        expunge_after_seconds: Decimal,
    },
}

impl From<UnreachableStrategy> for UnreachableView {
    fn from(strategy: UnreachableStrategy) -> Self {
        match strategy {
            UnreachableStrategy::Disabled => Self::Disabled("disabled"),
            UnreachableStrategy::After { inactive_ms, expunge_ms } => Self::After {
                inactive_after_seconds: seconds(inactive_ms),
                expunge_after_seconds: seconds(expunge_ms),
            },
        }
    }
}

fn constraint_view(constraint: &Constraint) -> Vec<&str> {
    let head = [constraint.field.as_str(), constraint.operator.as_str()];
    head.into_iter().chain(constraint.value.as_deref()).collect()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FetchView<'a> {
    uri: &'a str,
    extract: bool,
    executable: bool,
    cache: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_path: Option<&'a str>,
}

impl<'a> From<&'a Fetch> for FetchView<'a> {
    fn from(fetch: &'a Fetch) -> Self {
        Self {
            uri: &fetch.uri,
            extract: fetch.extract,
            executable: fetch.executable,
            cache: fetch.cache,
            dest_path: fetch.dest_path.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct NetworkView<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<String, String>>,
}

fn network_views(network: &Network) -> Vec<NetworkView<'_>> {
    let plain = |mode| vec![NetworkView { mode, name: None, labels: None }];
    match network {
        Network::Host => plain("host"),
        Network::Bridge => plain("container/bridge"),
        Network::Container { networks } => networks
            .iter()
            .map(|n| NetworkView { mode: "container", name: Some(&n.name), labels: Some(&n.labels) })
            .collect(),
    }
}

#[derive(Debug, Serialize)]
struct DefinitionView<'a> {
    port: u16,
    protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Port> for DefinitionView<'a> {
    fn from(port: &'a Port) -> Self {
        Self {
            port: port.service_port,
            protocol: port.protocol,
            name: port.name.as_deref(),
            labels: &port.labels,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MappingView<'a> {
    container_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_port: Option<u16>,
    service_port: u16,
    protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
}

fn mapping_views(app: &AppSpec) -> Vec<MappingView<'_>> {
    // In host networking the ports are definitions, and a container has no mappings.
    let ports = if app.network == Network::Host { &[][..] } else { &app.ports[..] };
    let view = |port: &'_ Port| port.container_port.unwrap_or(0);
    ports
        .iter()
        .map(|port| MappingView {
            container_port: view(port),
            host_port: port.host_port,
            service_port: port.service_port,
            protocol: port.protocol,
            name: port.name.as_deref(),
            labels: &port.labels,
        })
        .collect()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerView<'a> {
    #[serde(rename = "type")]
    kind: ContainerKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker: Option<DockerView<'a>>,
    volumes: Vec<VolumeView<'a>>,
    port_mappings: Vec<MappingView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DockerView<'a> {
    image: &'a str,
    network: &'static str,
    privileged: bool,
    parameters: Vec<ParameterView<'a>>,
    force_pull_image: bool,
    port_mappings: Vec<MappingView<'a>>,
}

#[derive(Debug, Serialize)]
struct ParameterView<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VolumeView<'a> {
    container_path: &'a str,
    host_path: &'a str,
    mode: &'static str,
}

impl<'a> ContainerView<'a> {
    fn of(container: &'a Container, app: &'a AppSpec) -> Self {
        let docker = container.image.as_ref().map(|image| DockerView {
            image: &image.reference,
            network: match app.network {
                Network::Host => "HOST",
                Network::Bridge => "BRIDGE",
                Network::Container { .. } => "USER",
            },
            privileged: image.privileged,
            parameters: image.parameters.iter().map(|(key, value)| ParameterView { key, value }).collect(),
            force_pull_image: image.force_pull,
            port_mappings: mapping_views(app),
        });
        let volumes = container.volumes.iter().map(|v| VolumeView {
            container_path: &v.container_path,
            host_path: &v.host_path,
            mode: if v.read_only { "RO" } else { "RW" },
        });
        Self { kind: container.kind, docker, volumes: volumes.collect(), port_mappings: mapping_views(app) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    protocol: HealthProtocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<CommandView<'a>>,
    grace_period_seconds: Decimal,
    interval_seconds: Decimal,
    timeout_seconds: Decimal,
    max_consecutive_failures: u32,
    ignore_http1xx: bool,
    /// Only where it means something: strict clients do not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<Decimal>,
}

#[derive(Debug, Serialize)]
struct CommandView<'a> {
    value: &'a str,
}

impl<'a> From<&'a HealthCheck> for HealthView<'a> {
    fn from(check: &'a HealthCheck) -> Self {
        let (port_index, port) = match check.port {
            Some(HealthPort::Index(index)) => (Some(index), None),
            Some(HealthPort::Number(number)) => (None, Some(number)),
            None => (None, None),
        };
        Self {
            path: check.path.as_deref(),
            protocol: check.protocol,
            port_index,
            port,
            command: check.command.as_deref().map(|value| CommandView { value }),
            grace_period_seconds: seconds(check.grace_ms),
            interval_seconds: seconds(check.interval_ms),
            timeout_seconds: seconds(check.timeout_ms),
            max_consecutive_failures: check.max_consecutive_failures,
            ignore_http1xx: check.ignore_http_1xx,
            delay_seconds: (check.delay_ms != 15_000).then_some(seconds(check.delay_ms)),
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
