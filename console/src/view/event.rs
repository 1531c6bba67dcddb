//! The cluster's events as sentences with links, newest first.

use std::sync::Arc;

use model::event::{Event, EventId, EventKind, TaskStatus};
use model::{AppId, State};

use super::task::{self, Moment};
use super::{apps, words};
use crate::strings as t;

pub struct EventRow {
    pub id: String,
    pub at: Moment,
    pub kind: Kind,
    pub parts: Vec<Part>,
    /// Of a task, how it is: name of the mark's shape.
    pub class: &'static str,
}

/// A piece of a sentence; without `href` it is plain text.
pub struct Part {
    pub text: String,
    pub href: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    App,
    Task,
    Deployment,
    Cluster,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::App, Self::Task, Self::Deployment, Self::Cluster];

    /// As in addresses.
    pub fn key(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Task => "task",
            Self::Deployment => "deployment",
            Self::Cluster => "cluster",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::App => t::EVENT_APP,
            Self::Task => t::EVENT_TASK,
            Self::Deployment => t::EVENT_DEPLOYMENT,
            Self::Cluster => t::EVENT_CLUSTER,
        }
    }

    fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::ApiPost { .. } | EventKind::AppDeleted { .. } => Self::App,
            EventKind::TaskStatus { .. }
            | EventKind::HealthChanged { .. }
            | EventKind::HealthCheckFailed { .. }
            | EventKind::UnhealthyTask { .. } => Self::Task,
            EventKind::DeploymentStarted { .. }
            | EventKind::DeploymentSucceeded { .. }
            | EventKind::DeploymentCancelled { .. } => Self::Deployment,
            EventKind::ClusterClaimed
            | EventKind::ClusterRestored { .. }
            | EventKind::ClusterRecovered { .. }
            | EventKind::BackupMade { .. }
            | EventKind::BackupFailed { .. }
            | EventKind::BackupsLeft { .. }
            | EventKind::NodeRegistered { .. }
            | EventKind::PasswordChanged { .. }
            | EventKind::TokenCreated { .. }
            | EventKind::TokenRevoked { .. }
            | EventKind::NodeAdmitted { .. }
            | EventKind::NodeRemoved { .. }
            | EventKind::NodeLost { .. }
            | EventKind::NodeBack { .. }
            | EventKind::NodeFenced { .. }
            | EventKind::NodeKeyChanged { .. }
            | EventKind::AuthorityReplacing
            | EventKind::AuthorityReplaced
            | EventKind::FenceHookFailed { .. }
            | EventKind::SettingsChanged
            | EventKind::NodeQuarantined { .. }
            | EventKind::NodeChanged { .. }
            | EventKind::JoinTokenCreated { .. }
            | EventKind::JoinTokenRevoked { .. }
            | EventKind::SessionsEnded => Self::Cluster,
        }
    }
}

/// Which events are asked for; empty texts ask for all.
pub struct Filter<'a> {
    pub kind: &'a str,
    /// Part of an app's id.
    pub app: &'a str,
    /// Only earlier ones.
    pub before: Option<EventId>,
}

/// Newest first.
pub fn matching<'a>(state: &'a State, filter: &'a Filter<'a>) -> impl Iterator<Item = &'a Arc<Event>> + 'a {
    state.events.iter().rev().filter(move |event| {
        filter.before.is_none_or(|before| event.id < before)
            && (filter.kind.is_empty() || Kind::of(&event.kind).key() == filter.kind)
            && (filter.app.is_empty()
                || app_of(&event.kind).is_some_and(|app| app.as_str().contains(filter.app)))
    })
}

fn app_of(kind: &EventKind) -> Option<&AppId> {
    match kind {
        EventKind::ApiPost { app, .. } => Some(&app.id),
        EventKind::AppDeleted { app }
        | EventKind::TaskStatus { app, .. }
        | EventKind::HealthChanged { app, .. }
        | EventKind::HealthCheckFailed { app, .. }
        | EventKind::UnhealthyTask { app, .. }
        | EventKind::DeploymentStarted { app, .. }
        | EventKind::DeploymentSucceeded { app, .. }
        | EventKind::DeploymentCancelled { app, .. } => Some(app),
        EventKind::ClusterClaimed
        | EventKind::ClusterRestored { .. }
        | EventKind::ClusterRecovered { .. }
        | EventKind::BackupMade { .. }
        | EventKind::BackupFailed { .. }
        | EventKind::BackupsLeft { .. }
        | EventKind::NodeRegistered { .. }
        | EventKind::PasswordChanged { .. }
        | EventKind::TokenCreated { .. }
        | EventKind::TokenRevoked { .. }
        | EventKind::NodeAdmitted { .. }
        | EventKind::NodeRemoved { .. }
        | EventKind::NodeLost { .. }
        | EventKind::NodeBack { .. }
        | EventKind::NodeFenced { .. }
        | EventKind::NodeKeyChanged { .. }
        | EventKind::AuthorityReplacing
        | EventKind::AuthorityReplaced
        | EventKind::FenceHookFailed { .. }
        | EventKind::SettingsChanged
        | EventKind::NodeQuarantined { .. }
        | EventKind::NodeChanged { .. }
        | EventKind::JoinTokenCreated { .. }
        | EventKind::JoinTokenRevoked { .. }
        | EventKind::SessionsEnded => None,
    }
}

pub fn row(state: &State, event: &Event) -> EventRow {
    let (parts, class) = sentence(state, &event.kind);
    EventRow { id: event.id.to_string(), at: event.at.into(), kind: Kind::of(&event.kind), parts, class }
}

/// One event as one line of JSON.
pub fn json_line(event: &Event) -> String {
    let mut line = serde_json::json!({ "id": event.id.to_string(), "at": event.at.to_string() });
    if let (Some(line), Ok(serde_json::Value::Object(kind))) =
        (line.as_object_mut(), serde_json::to_value(&event.kind))
    {
        line.extend(kind);
    }
    line.to_string() + "\n"
}

fn plain(text: impl Into<String>) -> Part {
    Part { text: text.into(), href: String::new() }
}

fn app(state: &State, id: &AppId) -> Part {
    let href = if state.app(id).is_some() { apps::href(id) } else { String::new() };
    Part { text: id.to_string(), href }
}

fn sentence(state: &State, kind: &EventKind) -> (Vec<Part>, &'static str) {
    let node = |id: &model::NodeId| state.nodes.get(id).map_or_else(|| id.to_string(), |n| n.name.clone());
    let deployment = |id: &AppId, what: &str, class| (vec![app(state, id), plain(what)], class);
    let instance = |task_id| {
        let is_known = task::find(state, task_id).is_some();
        let href = if is_known { format!("/tasks/{task_id}") } else { String::new() };
        Part { text: task::short(task_id), href }
    };
    match kind {
        EventKind::ClusterClaimed => (vec![plain(t::EVENT_CLAIMED)], ""),
        EventKind::ClusterRestored { made_at } => {
            (vec![plain(t::event_restored(&Moment::from(*made_at).clock))], "")
        }
        EventKind::ClusterRecovered { node: id } => {
            (vec![plain(node(id)), plain(t::EVENT_RECOVERED)], "failed")
        }
        EventKind::BackupMade { secrets } => (vec![plain(t::event_backup_made(*secrets))], "finished"),
        EventKind::BackupFailed { error } => (vec![plain(t::event_backup_failed(error))], "failed"),
        EventKind::BackupsLeft { reason } => (vec![plain(t::event_backups_left(reason))], "failed"),
        EventKind::NodeRegistered { node: id, rebooted } => {
            let what = if *rebooted { t::EVENT_NODE_REBOOTED } else { t::EVENT_NODE_REGISTERED };
            (vec![plain(node(id)), plain(what)], "")
        }
        EventKind::PasswordChanged { user } => (vec![plain(t::event_password(user))], ""),
        EventKind::TokenCreated { name } => (vec![plain(t::event_token_created(name))], ""),
        EventKind::TokenRevoked { name } => (vec![plain(t::event_token_revoked(name))], ""),
        EventKind::NodeAdmitted { node: id } => (vec![plain(node(id)), plain(t::EVENT_NODE_ADMITTED)], ""),
        EventKind::NodeRemoved { node: id } => (vec![plain(node(id)), plain(t::EVENT_NODE_REMOVED)], ""),
        EventKind::NodeLost { node: id } => (vec![plain(node(id)), plain(t::EVENT_NODE_LOST)], ""),
        EventKind::NodeBack { node: id } => (vec![plain(node(id)), plain(t::EVENT_NODE_BACK)], ""),
        EventKind::NodeKeyChanged { node: id } => {
            (vec![plain(node(id)), plain(t::EVENT_NODE_KEY_CHANGED)], "")
        }
        EventKind::AuthorityReplacing => (vec![plain(t::EVENT_AUTHORITY_REPLACING)], ""),
        EventKind::AuthorityReplaced => (vec![plain(t::EVENT_AUTHORITY_REPLACED)], ""),
        EventKind::NodeFenced { node: id } => (vec![plain(node(id)), plain(t::EVENT_NODE_FENCED)], ""),
        EventKind::FenceHookFailed { node: id, reason } => {
            (vec![plain(node(id)), plain(t::event_hook_failed(reason))], "failed")
        }
        EventKind::SettingsChanged => (vec![plain(t::EVENT_SETTINGS_CHANGED)], ""),
        EventKind::NodeQuarantined { node: id } => {
            (vec![plain(node(id)), plain(t::EVENT_NODE_QUARANTINED)], "")
        }
        EventKind::NodeChanged { node: id, availability } => {
            (vec![plain(node(id)), plain(t::event_node_changed(*availability))], "")
        }
        EventKind::JoinTokenCreated { name } => (vec![plain(t::event_join_token_created(name))], ""),
        EventKind::JoinTokenRevoked { name } => (vec![plain(t::event_join_token_revoked(name))], ""),
        EventKind::SessionsEnded => (vec![plain(t::EVENT_SESSIONS)], ""),
        EventKind::ApiPost { client_ip, app: spec, .. } => {
            (vec![app(state, &spec.id), plain(t::event_changed(client_ip))], "")
        }
        EventKind::AppDeleted { app: id } => (vec![app(state, id), plain(t::EVENT_APP_DELETED)], ""),
        EventKind::TaskStatus { app: id, task: task_id, node: at, status, message, .. } => {
            let (word, class) = status_word(*status);
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            let rest = t::event_on_node(word, &node(at)) + &message;
            (vec![app(state, id), instance(task_id), plain(rest)], class)
        }
        EventKind::HealthChanged { app: id, task, alive, .. } => {
            let (what, class) =
                if *alive { (t::EVENT_HEALTHY, "running") } else { (t::EVENT_UNHEALTHY, "failed") };
            (vec![app(state, id), instance(task), plain(what)], class)
        }
        EventKind::HealthCheckFailed { app: id, task, cause, .. } => {
            (vec![app(state, id), instance(task), plain(t::event_check_failed(cause))], "failed")
        }
        EventKind::UnhealthyTask { app: id, task, reason, .. } => {
            (vec![app(state, id), instance(task), plain(t::event_ended_unhealthy(reason))], "failed")
        }
        EventKind::DeploymentStarted { app: id, .. } => {
            deployment(id, t::EVENT_DEPLOYMENT_STARTED, "deploying")
        }
        EventKind::DeploymentSucceeded { app: id, .. } => {
            deployment(id, t::EVENT_DEPLOYMENT_SUCCEEDED, "finished")
        }
        EventKind::DeploymentCancelled { app: id, .. } => {
            deployment(id, t::EVENT_DEPLOYMENT_CANCELLED, "suspended")
        }
    }
}

fn status_word(status: TaskStatus) -> (&'static str, &'static str) {
    use model::task::{EndState, TaskState};
    match status {
        TaskStatus::Live(TaskState::Running) => (t::EVENT_TASK_RUNNING, "running"),
        TaskStatus::Live(TaskState::Killing) => (t::EVENT_TASK_KILLING, "killing"),
        TaskStatus::Live(state) => (words::task_state(state), "deploying"),
        TaskStatus::Ended(EndState::Finished) => (t::EVENT_TASK_FINISHED, "finished"),
        TaskStatus::Ended(EndState::Killed) => (t::EVENT_TASK_KILLED, "suspended"),
        TaskStatus::Ended(EndState::Lost) => (t::EVENT_TASK_LOST, "failed"),
        TaskStatus::Ended(EndState::Failed | EndState::Error) => (t::EVENT_TASK_FAILED, "failed"),
    }
}
