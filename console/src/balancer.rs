//! What the console shows of the answering node's balancer.

use model::{AppId, TaskId, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerStatus {
    pub run: BalancerRun,
    /// Why not all is as it should be; empty if it is.
    pub error: String,
    /// The last thing that was changed.
    pub change: Option<BalancerChange>,
    /// Configurations loaded by a running HAProxy since the agent started.
    pub reloads: u64,
    pub front_ends: Vec<FrontEnd>,
    pub back_ends: Vec<BackEnd>,
    /// What labels and ports of an app do not get, in sentences.
    pub faults: Vec<(AppId, Vec<String>)>,
    /// Empty before there was anything to balance.
    pub configuration: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalancerRun {
    /// HAProxy is not installed.
    Missing {
        program: String,
    },
    /// No app has asked for anything yet.
    Idle,
    Down {
        why: String,
    },
    Running {
        version: String,
        uptime_s: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerChange {
    pub at: Timestamp,
    pub step: BalancerStep,
    /// What woke the balancer.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalancerStep {
    /// A configuration was written for a HAProxy that does not run yet.
    Written,
    /// So many servers were changed over the runtime socket.
    Servers(usize),
    /// A new configuration was loaded.
    Loaded,
}

/// Rates are per second, over the second before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontEnd {
    pub name: String,
    pub bind: String,
    pub sessions: u64,
    pub rate: u64,
    pub total: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackEnd {
    pub name: String,
    pub app: AppId,
    pub sessions: u64,
    pub rate: u64,
    pub total: u64,
    pub errors: u64,
    pub servers: Vec<BalancedServer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancedServer {
    pub task: TaskId,
    pub address: String,
    /// HAProxy's word: `UP`, `DOWN`, `DRAIN`, `no check`, …
    pub state: String,
    pub sessions: u64,
    pub rate: u64,
    pub total: u64,
}

impl BalancerStatus {
    /// A node that has no balancer.
    pub fn absent() -> Self {
        Self {
            run: BalancerRun::Idle,
            error: String::new(),
            change: None,
            reloads: 0,
            front_ends: Vec::new(),
            back_ends: Vec::new(),
            faults: Vec::new(),
            configuration: String::new(),
        }
    }
}
