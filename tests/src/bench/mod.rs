//! The figures this project promises, measured on a real release build; `scripts/bench` prints them.
//!
//! Start and stop points of times are stamps of this process, which is not the node's: the moment a request is sent,
//! and the moment a task's own connection arrives. Nothing here asserts a time; the table shows what was missed.

mod balancer;
mod bell;
mod boot;
mod cluster;
mod dns;
mod docker;
mod idle;
mod live;
mod members;
mod memory;
mod overload;
mod page;
mod processes;
mod starts;
mod table;
mod writes;

pub use table::{Conditions, Row, print};

/// A named measurement: its rows of the targets' table, and how they are taken.
pub struct Bench {
    pub name: &'static str,
    pub run: fn(&Settings) -> anyhow::Result<Vec<Row>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Also measure what others need for the same, in the same run.
    pub peers: bool,
    /// For those that watch for a while: how long.
    pub seconds: Option<u64>,
}

/// Measured only when it is named: it takes an hour.
pub const LONG: [Bench; 1] = [Bench { name: "overload", run: overload::false_alarms }];

pub const ALL: [Bench; 16] = [
    Bench { name: "start", run: starts::one },
    Bench { name: "start-many", run: starts::many },
    Bench { name: "memory", run: memory::agent },
    Bench { name: "memory-per-task", run: memory::per_task },
    Bench { name: "idle", run: idle::cpu },
    Bench { name: "balancer", run: balancer::reach },
    Bench { name: "page", run: page::first },
    Bench { name: "dns", run: dns::answers },
    Bench { name: "live", run: live::visible },
    Bench { name: "leader-kill", run: cluster::leader_kill },
    Bench { name: "hand-over", run: cluster::hand_over },
    Bench { name: "node-kill", run: cluster::node_kill },
    Bench { name: "members", run: members::idle },
    Bench { name: "writes", run: writes::durable },
    Bench { name: "image", run: boot::size },
    Bench { name: "boot", run: boot::boot },
];
