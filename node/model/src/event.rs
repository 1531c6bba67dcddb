//! What happened, derived while applying: the same events with the same ids on every node.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::app::AppSpec;
use crate::membership::Availability;
use crate::task::{EndState, TaskState};
use crate::{AppId, DeploymentId, NodeId, TaskId, Timestamp};

/// Orders events cluster-wide: the log index that caused it, and its place among that index' events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventId {
    pub index: u64,
    pub n: u32,
}

impl std::fmt::Display for EventId {
    /// `index-n`, the text of `id:` and `Last-Event-ID`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.index, self.n)
    }
}

impl EventId {
    pub fn parse(text: &str) -> Option<Self> {
        let (index, n) = text.split_once('-')?;
        Some(Self { index: index.parse().ok()?, n: n.parse().ok()? })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub at: Timestamp,
    pub kind: EventKind,
}

/// Rendered as Marathon's events by the API and as sentences by the console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    ClusterClaimed,
    /// It goes on from a backup of that cluster time.
    ClusterRestored {
        made_at: Timestamp,
    },
    /// The majority was lost, and this node goes on alone.
    ClusterRecovered {
        node: NodeId,
    },
    BackupMade {
        secrets: bool,
    },
    BackupFailed {
        error: String,
    },
    /// One was made, but older ones that are not to be kept could not be removed.
    BackupsLeft {
        reason: String,
    },
    PasswordChanged {
        user: String,
    },
    TokenCreated {
        name: String,
    },
    TokenRevoked {
        name: String,
    },
    /// Everybody has to log in again.
    SessionsEnded,
    NodeRegistered {
        node: NodeId,
        rebooted: bool,
    },
    NodeAdmitted {
        node: NodeId,
    },
    NodeRemoved {
        node: NodeId,
    },
    /// The leader hears nothing of it any more.
    NodeLost {
        node: NodeId,
    },
    NodeBack {
        node: NodeId,
    },
    /// It is lost, and its exclusive tasks have ended: others may take their place.
    NodeFenced {
        node: NodeId,
    },
    /// It has another key; what it had before is dead.
    NodeKeyChanged {
        node: NodeId,
    },
    /// Another authority is on its way to take the place of the present one.
    AuthorityReplacing,
    /// What the authority before has certified counts no more.
    AuthorityReplaced,
    /// The fence hook was asked to power it off, and did not say that it has.
    FenceHookFailed {
        node: NodeId,
        reason: String,
    },
    SettingsChanged,
    /// It was lost again and again, and is given no new tasks.
    NodeQuarantined {
        node: NodeId,
    },
    /// The operator changed what it is called or may do.
    NodeChanged {
        node: NodeId,
        availability: Availability,
    },
    JoinTokenCreated {
        name: String,
    },
    JoinTokenRevoked {
        name: String,
    },
    /// An app was created, changed or deleted through the API.
    ApiPost {
        client_ip: String,
        uri: String,
        app: Arc<AppSpec>,
    },
    AppDeleted {
        app: AppId,
    },
    TaskStatus {
        app: AppId,
        task: TaskId,
        node: NodeId,
        version: Timestamp,
        status: TaskStatus,
        message: String,
        ports: Vec<u16>,
    },
    /// All checks of a task together changed their mind; `alive` is false for unhealthy.
    HealthChanged {
        app: AppId,
        task: TaskId,
        version: Timestamp,
        alive: bool,
    },
    /// A check of a task failed that had not failed before.
    HealthCheckFailed {
        app: AppId,
        task: TaskId,
        version: Timestamp,
        /// Its place among the app's checks.
        check: u32,
        cause: String,
    },
    /// A task is ended because its check failed too often.
    UnhealthyTask {
        app: AppId,
        task: TaskId,
        node: NodeId,
        version: Timestamp,
        reason: String,
    },
    DeploymentStarted {
        deployment: DeploymentId,
        app: AppId,
        version: Timestamp,
    },
    DeploymentSucceeded {
        deployment: DeploymentId,
        app: AppId,
        version: Timestamp,
    },
    /// Replaced by a forced change, or the app went away.
    DeploymentCancelled {
        deployment: DeploymentId,
        app: AppId,
        version: Timestamp,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    Live(TaskState),
    Ended(EndState),
}
