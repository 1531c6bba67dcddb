//! The cluster's state: what the log says, and nothing else.
//!
//! Maps are persistent (`imbl`), so that `clone` is O(1): readers, planners and snapshots hold a `State` while
//! `apply` goes on with the next.

mod accounts;
mod app;
mod apply;
mod apps;
mod backoff;
mod backups;
mod claim;
mod events;
mod invariants;
mod keys;
mod membership;
mod nodes;
mod plan;
mod restore;
mod service_ports;
mod settings;
mod snapshot;
mod succession;
mod tasks;

pub use keys::KEYS_FROM;
pub use membership::LEASES_FROM;
pub use snapshot::SnapshotError;
pub use succession::SUCCESSION_FROM;

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::app::AppSpec;
use crate::auth::{SessionKey, Token, User};
use crate::backup::{BackupNote, Course, Schedule};
use crate::command::Applied;
use crate::event::Event;
use crate::ids::RequestId;
use crate::membership::{Authority, JoinToken, Member, Succession};
use crate::node::Node;
use crate::settings::Settings;
use crate::task::{Ended, Task};
use crate::{AppId, ClusterId, DeploymentId, NodeId, TaskId, Timestamp};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Format of this value in snapshots.
    pub format: u32,
    pub feature_level: u32,
    /// Log index of the last command applied.
    pub index: u64,
    /// Cluster time: the latest stamp seen. Never goes back.
    pub now: Timestamp,
    /// `None` until claimed.
    pub cluster: Option<ClusterId>,
    pub session_key: Option<SessionKey>,
    pub users: OrdMap<String, User>,
    /// By the token's SHA-256.
    pub tokens: OrdMap<String, Token>,
    /// Reserved for values that must not be shown; empty now.
    pub secrets: OrdMap<String, String>,
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// `None` until the cluster can take in other nodes.
    #[serde(default)]
    pub authority: Option<Authority>,
    /// While another one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
    /// Who belongs to the cluster; empty before it can take in others. A member that has never come up is not in
    /// `nodes` yet.
    #[serde(default)]
    pub members: OrdMap<NodeId, Arc<Member>>,
    /// Fingerprints of former members: their keys are refused for ever.
    #[serde(default)]
    pub removed: OrdMap<String, NodeId>,
    /// By the secret's SHA-256.
    #[serde(default)]
    pub join_tokens: OrdMap<String, JoinToken>,
    #[serde(default, skip_serializing_if = "Settings::is_default")]
    pub settings: Settings,
    pub apps: OrdMap<AppId, Arc<App>>,
    pub deployments: OrdMap<DeploymentId, Arc<Deployment>>,
    /// Which app a live task belongs to.
    pub task_apps: OrdMap<TaskId, AppId>,
    /// Answers to requests with an id, oldest first in `request_order`.
    pub requests: OrdMap<RequestId, Applied>,
    pub request_order: Vector<RequestId>,
    /// Oldest first; at most `limits::EVENTS_KEPT_MAX`.
    pub events: Vector<Arc<Event>>,
    /// How the last backup went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<BackupNote>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_schedule: Option<Schedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_course: Option<Course>,
    /// When the schedule was last followed; `None` if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// An app with everything that happened under its name. `Eq`, so that two handles of the same one are told equal by
/// their address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The current definition.
    pub spec: Arc<AppSpec>,
    /// All stored definitions, the current one last.
    pub versions: Vector<Arc<AppSpec>>,
    /// Live tasks, sentenced ones included.
    pub tasks: OrdMap<TaskId, Arc<Task>>,
    /// Ended tasks, newest first.
    pub history: Vector<Arc<Ended>>,
    pub last_failure: Option<Arc<Ended>>,
    pub backoff: Backoff,
    /// Why instances wait, in a sentence; empty if none does.
    pub waiting: String,
    /// The app was deleted; it goes away with its last task.
    pub deleted: bool,
}

/// The launch delay of one app. Durations, so that no wall clock matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Backoff {
    /// The current delay; 0 before the first failure.
    pub delay_ms: u64,
    /// Cluster time from which the delay counts: when the last failure was applied.
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub app: AppId,
    /// The version the app is on its way to.
    pub version: Timestamp,
    pub kind: DeploymentKind,
    pub started_at: Timestamp,
}

/// Names of Marathon's deployment actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    Start,
    Scale,
    Restart,
    Stop,
}

/// The format of [`State`] in snapshots written by this program.
pub const FORMAT: u32 = 1;

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT,
            // Members raise it together, whatever the first of them was.
            feature_level: 1,
            index: 0,
            now: Timestamp::default(),
            cluster: None,
            session_key: None,
            users: OrdMap::new(),
            tokens: OrdMap::new(),
            secrets: OrdMap::new(),
            nodes: OrdMap::new(),
            authority: None,
            succession: None,
            members: OrdMap::new(),
            removed: OrdMap::new(),
            join_tokens: OrdMap::new(),
            settings: Settings::default(),
            apps: OrdMap::new(),
            deployments: OrdMap::new(),
            task_apps: OrdMap::new(),
            requests: OrdMap::new(),
            request_order: Vector::new(),
            events: Vector::new(),
            last_backup: None,
            backup_schedule: None,
            backup_course: None,
            scheduled_at: None,
        }
    }
}

impl State {
    pub fn is_claimed(&self) -> bool {
        self.cluster.is_some()
    }

    /// What people call the node: its id until it has come up.
    pub fn node_name(&self, id: NodeId) -> String {
        self.nodes.get(&id).map_or_else(|| id.to_string(), |node| node.name.clone())
    }

    /// The app by id, unless it is on its way out.
    pub fn app(&self, id: &AppId) -> Option<&Arc<App>> {
        self.apps.get(id).filter(|app| !app.deleted)
    }

    /// The app and the live task of that id.
    pub fn task(&self, id: &TaskId) -> Option<(&Arc<App>, &Arc<Task>)> {
        let app = self.apps.get(self.task_apps.get(id)?)?;
        Some((app, app.tasks.get(id)?))
    }

    /// True if no second task of `app` may run in the place of one. Before leases were kept, the definitions that tasks
    /// still run did not count; nodes of that build judge plans as well, and all must judge alike.
    pub fn is_exclusive(&self, app: &App) -> bool {
        if self.feature_level >= LEASES_FROM { app.is_exclusive() } else { app.spec.is_exclusive() }
    }

    /// Deployments of `app` that run now.
    pub fn deployments_of<'a>(&'a self, app: &'a AppId) -> impl Iterator<Item = &'a Arc<Deployment>> + 'a {
        self.deployments.values().filter(move |d| d.app == *app)
    }
}

#[cfg(test)]
mod tests;
