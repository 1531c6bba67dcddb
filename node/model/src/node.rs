//! A machine of the cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{NodeId, Timestamp};

/// What the cluster knows of a node. Liveness and load are never here: they do not belong in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    /// The operator's name for it, else the first advertised address.
    pub name: String,
    /// Where tasks and peers reach it, best first. The first is a task's `host`.
    pub addresses: Vec<IpAddr>,
    pub resources: Resources,
    /// First and last host port that tasks may be given.
    pub host_ports: (u16, u16),
    pub attributes: BTreeMap<String, String>,
    /// Highest feature level the node's program supports.
    pub feature_level: u32,
    pub product_version: String,
    pub joined_at: Timestamp,
    /// Fresh at each boot of the node: a change means every task it had is gone.
    pub boot_id: String,
}

/// Amounts of what tasks share. Integers only, so that sums are exact on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    pub cpu_milli: u64,
    pub mem_mib: u64,
    pub disk_mib: u64,
}

impl Resources {
    /// True if `wanted` fits into `self` in every dimension.
    pub fn covers(&self, wanted: &Self) -> bool {
        self.cpu_milli >= wanted.cpu_milli
            && self.mem_mib >= wanted.mem_mib
            && self.disk_mib >= wanted.disk_mib
    }

    pub fn saturating_sub(&self, other: &Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
            mem_mib: self.mem_mib.saturating_sub(other.mem_mib),
            disk_mib: self.disk_mib.saturating_sub(other.disk_mib),
        }
    }
}

impl std::ops::Add for Resources {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli + other.cpu_milli,
            mem_mib: self.mem_mib + other.mem_mib,
            disk_mib: self.disk_mib + other.disk_mib,
        }
    }
}
