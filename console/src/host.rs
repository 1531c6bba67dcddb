//! What a node says of its machine beyond the cluster: how it was set up, and its clock.

use serde::{Deserialize, Serialize};

/// Written by the network role, shown by the console.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    /// Which source of settings had the say; empty if nobody knows.
    pub config_source: String,
    /// What in the sources was not understood, each with place and line.
    pub config_errors: Vec<String>,
    /// The name under which neighbours find this node by multicast DNS.
    pub local_name: String,
    /// URL of the HTTP proxy through which the node reaches registries.
    pub proxy: String,
    /// `REGISTRY=URL` each: where the images of a registry are asked for instead.
    pub registry_mirrors: Vec<String>,
    pub clock: ClockStatus,
}

/// How well the machine's clock is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockStatus {
    /// Whose time it is; empty while only the machine's own clock is known.
    pub source: String,
    /// How far the machine's clock was from the source's at the last comparison; negative when it was behind.
    pub offset_ms: i64,
    /// Seconds since 1970 of the last comparison; 0 if there was none.
    pub last_sync_s: u64,
    /// Why the last comparison failed; empty if it did not.
    pub fault: String,
}
