//! What a server needs to open its part of the cluster, and how it turns into openraft's settings.

use std::path::PathBuf;

use model::{ClusterId, NodeId};
use openraft::SnapshotPolicy;

use crate::wire::Target;

#[derive(Debug, Clone)]
pub struct Config {
    /// The state folder: `raft.db`, `snapshots/`, `ballast` and `lock` live in it.
    pub dir: PathBuf,
    /// This installation's identity. A folder of another node is refused.
    pub node: NodeId,
    pub start: Start,
    /// Members to ask as long as this node knows of no others.
    pub contacts: Vec<Target>,
    pub timers: Timers,
    /// Proposals are refused while less is free on the state folder's file system.
    pub reserve_bytes: u64,
}

/// What becomes of a folder that holds nothing yet. Later openings go on with what it holds, whichever is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A cluster of one, with no id until it is claimed.
    Alone,
    /// A member of this cluster: it keeps still until the leader sends it the log. A folder of another cluster, or of
    /// a cluster of one, is refused.
    Join(ClusterId),
    /// A member of this cluster without the log: it is told what happens by those that have it. What this folder held
    /// of a log is removed.
    Work(ClusterId),
}

/// Raft's timers in milliseconds. A dead leader is replaced after `election_max` plus a random time between
/// `election_min` and `election_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    pub election_min: u64,
    pub election_max: u64,
    pub heartbeat: u64,
}

impl Default for Timers {
    /// For unknown hardware on a LAN: failover within a second, no false election under load. Several heartbeats may be
    /// late before anybody votes; more of them would only cost idle nodes their processors.
    fn default() -> Self {
        Self { election_min: 200, election_max: 400, heartbeat: 100 }
    }
}

/// Entries between two snapshots.
const SNAPSHOT_EVERY: u64 = 20_000;
/// Entries kept behind a snapshot, so that a server that was away for a while needs no snapshot.
const KEEP_BEHIND_SNAPSHOT: u64 = 10_000;

impl Config {
    /// openraft's settings; each differs from its default for a reason.
    pub(crate) fn raft(&self) -> openraft::Config {
        openraft::Config {
            cluster_name: "meseta".to_owned(),
            election_timeout_min: self.timers.election_min,
            election_timeout_max: self.timers.election_max,
            heartbeat_interval: self.timers.heartbeat,
            // Without it a server that was frozen deposes a healthy leader when it wakes.
            enable_pre_vote: Some(true),
            // A leader that starts again must not go on in its old term: it may lack entries of that term which the
            // others have and acknowledged, and it does not know what of its log was committed, so its reads would be
            // stale. Found by the simulation.
            enable_leader_restore: Some(false),
            // The default of 200 ms is less than any real snapshot takes.
            install_snapshot_timeout: 20_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
            max_in_snapshot_log_to_keep: KEEP_BEHIND_SNAPSHOT,
            // Above SNAPSHOT_EVERY, or followers that lag a little are sent snapshots again and again.
            replication_lag_threshold: 2 * SNAPSHOT_EVERY,
            purge_batch_size: 1_000,
            // Proposals wait for room rather than pile up in memory.
            api_channel_size: Some(512),
            notification_channel_size: Some(4_096),
            ..openraft::Config::default()
        }
    }
}
