//! An app's definition in its one canonical form.
//!
//! People write many dialects (spec/marathon.md §2.9); `parse` turns each into an [`AppSpec`] or lists all its faults,
//! `emit` writes the superset that every known client reads. Nothing else in the program sees JSON keys of apps.

mod environment;
mod fault;
mod fields;
mod parse;
mod query;
mod syntax;
#[cfg(test)]
mod testing;
mod update;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::node::Resources;
use crate::{AppId, Timestamp};

pub use environment::{SANDBOX_PATH, environment};
pub use fault::{AppFaults, Fault, SyntaxFault};
pub use parse::whole_text_pattern;
pub use update::Update;
pub use view::AppView;

/// A valid app definition. Defaults are filled in, old spellings are gone, numbers are integers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    pub id: AppId,
    /// Set by `State::apply`; zero before.
    pub version: Timestamp,
    pub last_scaling_at: Timestamp,
    pub last_config_change_at: Timestamp,

    pub cmd: Option<String>,
    pub args: Option<Vec<String>>,
    pub user: Option<String>,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,

    pub resources: Resources,
    pub gpus: u32,
    pub instances: u32,
    pub constraints: Vec<Constraint>,
    /// `None`: not given; else at least one role.
    pub accepted_resource_roles: Option<Vec<String>>,

    pub network: Network,
    /// In host networking the port definitions, else the container's port mappings.
    pub ports: Vec<Port>,
    pub require_ports: bool,
    pub container: Option<Container>,
    pub fetch: Vec<Fetch>,

    pub health_checks: Vec<HealthCheck>,
    pub dependencies: Vec<AppId>,
    pub upgrade: UpgradeStrategy,
    pub backoff: BackoffSettings,
    /// Time between SIGTERM and SIGKILL; Mesos' 3 s when absent.
    pub kill_grace_ms: Option<u64>,
    pub kill_selection: KillSelection,
    pub unreachable: UnreachableStrategy,

    /// Keys of the request that mean nothing here, e.g. `flavour` or `container.docker.flavour`; accepted, dropped,
    /// and named to the author.
    pub unknown_keys: Vec<String>,
}

/// How long a task may take to end after SIGTERM when the app does not say.
pub const KILL_GRACE_MS_DEFAULT: u64 = 3_000;

/// A number between 0 and 1 (or a factor ≥ 1) in millionths: exact, comparable, the same on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millionths(pub u64);

impl Millionths {
    pub const ONE: Self = Self(1_000_000);
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Network {
    Host,
    /// A bridge of the node; port mappings lead to host ports.
    Bridge,
    /// Named networks, with their labels.
    Container {
        networks: Vec<NamedNetwork>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedNetwork {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// 0 until `State::apply` assigns one of 10000..20000.
    pub service_port: u16,
    /// Port mappings only; 0 means "the same as the host port".
    pub container_port: Option<u16>,
    /// Port mappings only; `Some(0)`: any, `Some(p)`: exactly p, `None`: not mapped to the host.
    pub host_port: Option<u16>,
    pub protocol: Protocol,
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    #[serde(rename = "tcp")]
    Tcp,
    #[serde(rename = "udp")]
    Udp,
    #[serde(rename = "udp,tcp")]
    Both,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub kind: ContainerKind,
    pub image: Option<Image>,
    pub volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerKind {
    Docker,
    Mesos,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub reference: String,
    pub force_pull: bool,
    pub privileged: bool,
    /// `docker run` flags, in order.
    pub parameters: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub container_path: String,
    pub host_path: String,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    pub uri: String,
    pub extract: bool,
    pub executable: bool,
    pub cache: bool,
    pub dest_path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    pub field: String,
    pub operator: ConstraintOperator,
    pub value: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConstraintOperator {
    Unique,
    Cluster,
    GroupBy,
    Like,
    Unlike,
    MaxPer,
    Is,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub protocol: HealthProtocol,
    pub path: Option<String>,
    /// Which port: an index into the app's ports, or a number. `None` for `COMMAND`.
    pub port: Option<HealthPort>,
    pub command: Option<String>,
    pub grace_ms: u64,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub delay_ms: u64,
    /// 0: never kill.
    pub max_consecutive_failures: u32,
    pub ignore_http_1xx: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthPort {
    Index(u32),
    Number(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthProtocol {
    Http,
    Https,
    Tcp,
    Command,
    MesosHttp,
    MesosHttps,
    MesosTcp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStrategy {
    pub minimum_health: Millionths,
    pub maximum_over: Millionths,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackoffSettings {
    pub first_ms: u64,
    pub factor: Millionths,
    pub max_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KillSelection {
    YoungestFirst,
    OldestFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreachableStrategy {
    Disabled,
    After { inactive_ms: u64, expunge_ms: u64 },
}
