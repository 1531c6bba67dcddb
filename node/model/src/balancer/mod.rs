//! The balancer of one node as a value: which services it offers, the HAProxy configuration that does it, and what
//! separates a running HAProxy from it.
//!
//! ```text
//!  State ── services ──▶ Services ── plan ──▶ text, structure, orders
//!                                     ▲
//!                       Running: what HAProxy says of itself
//! ```
//! Each back end has more server slots than tasks. A task that comes or goes fills or empties a slot over the runtime
//! socket; only what cannot be changed there (front ends, back ends, rules, the number of slots) is *structure* and
//! needs a reload. Names are those of marathon-lb (spec/marathon-lb.md §1.5); slots have names of their own, because
//! their cookies and addresses change at run time.
//!
//! Nothing an app's author wrote reaches the text before it was checked by [`labels`]: a label that is not what it
//! should be takes its port out of the balancer and is told on the app's page.

mod labels;
mod plan;
mod quote;
mod render;
mod services;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use plan::{Change, Order, Plan, Running, Slot, SlotState, plan};
pub use render::{Seats, slot_name};
pub use services::services;

use crate::{AppId, TaskId};

/// What the node adds to the state: where its balancer listens, and what it must leave alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub bind: Bind,
    /// Ports of the virtual hosts, plain and TLS, and of the front end that routes by app id; `None` where a stranger
    /// has the port.
    pub http: Option<u16>,
    pub https: Option<u16>,
    pub app_id: Option<u16>,
    /// Ports that no service may have on this node, and who has them.
    pub taken: BTreeMap<u16, String>,
    /// First and last host port given to tasks.
    pub host_ports: (u16, u16),
    /// The runtime socket.
    pub socket: String,
    /// Certificate and key in one file.
    pub certificate: String,
    /// User and group of the worker and the empty folder it is locked into; `None` where init is not root.
    pub jail: Option<(u32, String)>,
}

/// Which addresses the front ends listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// All, of both families.
    All,
    /// All of IPv4: the kernel has no IPv6.
    AllV4,
    Only(IpAddr),
}

/// Everything one node's balancer offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// By app id and port.
    pub list: Vec<Service>,
    /// What is wrong with an app's labels or ports, in sentences.
    pub faults: BTreeMap<AppId, Vec<String>>,
    /// Makes sticky cookies the same on every node of the cluster and different elsewhere.
    pub cookie_key: String,
}

/// One port of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub app: AppId,
    /// Which of the app's ports.
    pub index: usize,
    /// Front end and back end have this name.
    pub name: String,
    /// The service port, unless something else has it here.
    pub listen: Option<u16>,
    pub mode: Mode,
    pub balance: &'static str,
    pub vhosts: Vec<String>,
    /// Beginnings of paths that belong to it; all if empty.
    pub paths: Vec<String>,
    pub paths_ignore_case: bool,
    /// Rules of a larger weight come first.
    pub weight: i32,
    pub sticky: bool,
    pub redirect_to_https: bool,
    pub hsts: bool,
    /// Networks that may use it; all if empty.
    pub allowed: Vec<String>,
    pub check: Option<Check>,
    /// Instances that the app wants: what slots are made for.
    pub instances: usize,
    pub servers: Vec<Server>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Http,
    Tcp,
}

/// How HAProxy looks whether a server is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Asked for by GET; a mere connection if absent.
    pub path: Option<String>,
    pub tls: bool,
    /// Another port than the server's own.
    pub port: Option<u16>,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// Failures in a row that take the server out.
    pub fall: u32,
}

/// A task behind a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    pub address: IpAddr,
    pub port: u16,
    pub task: TaskId,
    /// The task is about to end: requests under way go on, new ones go elsewhere.
    pub draining: bool,
}

#[cfg(test)]
mod tests;
