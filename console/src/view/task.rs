//! Tasks, live and ended, as rows and as a page of their own.

use std::net::IpAddr;

use model::health::{self, Verdict};
use model::state::App;
use model::task::{EndState, Ended, Task, TaskState};
use model::{AppId, State, TaskId};

use super::apps::href;
use super::words;
use crate::Preparing;
use crate::strings as t;

/// A moment: the text for everybody, milliseconds for the script that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub ms: u64,
    pub iso: String,
    pub clock: String,
}

impl From<model::Timestamp> for Moment {
    fn from(at: model::Timestamp) -> Self {
        Self { ms: at.0, iso: at.to_string(), clock: words::clock(at) }
    }
}

impl TaskView {
    /// What the task's own node says of it right now is fresher than what it told the cluster.
    pub fn with(mut self, preparing: &Preparing) -> Self {
        let told = TaskId::parse(&self.id).ok().and_then(|id| preparing.get(&id));
        if let Some(told) = told.filter(|_| self.is_live) {
            self.message.clone_from(told);
        }
        self
    }
}

impl Moment {
    /// `12 s ago` at `now`, in ms of cluster time.
    pub fn ago(&self, now: &u64) -> String {
        t::ago(&words::duration(now.saturating_sub(self.ms) / 1000 * 1000))
    }
}

pub struct TaskView {
    pub id: String,
    pub short: String,
    pub href: String,
    pub app: String,
    pub app_href: String,
    pub state: String,
    /// Shape and colour of the state's mark.
    pub class: &'static str,
    pub is_live: bool,
    pub message: String,
    /// What its health checks say, in words; empty if it has none.
    pub health: String,
    pub node: String,
    pub version: String,
    pub endpoints: Vec<Endpoint>,
    pub addresses: Vec<String>,
    pub started: Option<Moment>,
    pub ended: Option<Moment>,
    /// How long it ran, or empty.
    pub ran_for: String,
}

pub struct Endpoint {
    pub label: String,
    /// Empty if the protocol is not one that a browser opens.
    pub url: String,
}

/// `instance-9d1c…` of an id cut to what a person compares: the first eight digits and the incarnation.
pub fn short(id: &TaskId) -> String {
    let incarnation = id.as_str().rsplit_once("._app.").map_or("", |(_, n)| n);
    let uuid = id.instance().rsplit_once(".instance-").map_or(id.as_str(), |(_, uuid)| uuid);
    let digits: String = uuid.chars().take(8).collect();
    if incarnation.is_empty() { digits } else { format!("{digits}.{incarnation}") }
}

pub fn live(state: &State, id: &AppId, task: &Task) -> TaskView {
    let spec = state.apps.get(id).and_then(|app| app.spec_of(task.version));
    let health = spec.filter(|spec| !spec.health_checks.is_empty() && task.state == TaskState::Running);
    let verdict = health.map(|spec| health::verdict(spec, &task.health));
    let (word, class) = match (task.state, task.kill) {
        _ if !task.reach.is_here() => (t::TASK_UNREACHABLE, "failed"),
        (TaskState::Killing, _) | (_, Some(_)) => (words::task_state(TaskState::Killing), "killing"),
        (TaskState::Running, None) if verdict == Some(Verdict::Unhealthy) => {
            (words::task_state(TaskState::Running), "failed")
        }
        (TaskState::Running, None) => (words::task_state(TaskState::Running), "running"),
        (state, None) => (words::task_state(state), "deploying"),
    };
    let message = match task.kill {
        Some(reason) if task.message.is_empty() => words::kill_reason(reason).to_owned(),
        _ => task.message.clone(),
    };
    let health = verdict.map(|verdict| words::health(verdict, &task.health)).unwrap_or_default();
    TaskView { state: word.to_owned(), class, is_live: true, message, health, ..base(state, id, task) }
}

pub fn ended(state: &State, id: &AppId, ended: &Ended) -> TaskView {
    let class = match ended.state {
        EndState::Finished => "finished",
        EndState::Killed => "suspended",
        EndState::Failed | EndState::Error | EndState::Lost => "failed",
    };
    let ran_for = ended.task.started_at.map(|at| words::duration(ended.ended_at.ms_since(at)));
    TaskView {
        state: words::ending(ended),
        class,
        message: remark(ended),
        ended: Some(ended.ended_at.into()),
        ran_for: ran_for.unwrap_or_default(),
        ..base(state, id, &ended.task)
    }
}

/// What the node's message says beyond the end itself, which the state says already.
fn remark(ended: &Ended) -> String {
    let plain = ended.exit.describe(ended.task.kill, 0, "");
    let beyond = ended.message.strip_prefix(&plain).unwrap_or(&ended.message);
    beyond.trim_start_matches(": ").to_owned()
}

fn base(state: &State, id: &AppId, task: &Task) -> TaskView {
    let node = state.nodes.get(&task.node);
    let host = node.and_then(|node| node.addresses.first());
    TaskView {
        id: task.id.to_string(),
        short: short(&task.id),
        href: format!("/tasks/{}", task.id),
        app: id.to_string(),
        app_href: href(id),
        state: String::new(),
        class: "",
        is_live: false,
        message: String::new(),
        health: String::new(),
        node: node.map_or_else(|| task.node.to_string(), |node| node.name.clone()),
        version: task.version.to_string(),
        endpoints: task.ports.iter().map(|port| endpoint(host, *port)).collect(),
        addresses: task.addresses.iter().map(ToString::to_string).collect(),
        started: task.started_at.map(Into::into),
        ended: None,
        ran_for: String::new(),
    }
}

fn endpoint(host: Option<&IpAddr>, port: u16) -> Endpoint {
    let Some(host) = host else { return Endpoint { label: format!(":{port}"), url: String::new() } };
    let label = match host {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    };
    Endpoint { url: format!("http://{label}/"), label }
}

/// A task by id, live or remembered, with its app.
pub fn find(state: &State, id: &TaskId) -> Option<TaskView> {
    if let Some((app, task)) = state.task(id) {
        return Some(live(state, &app.spec.id, task));
    }
    let app = app_of(state, id)?;
    let over = app.history.iter().find(|ended| ended.task.id == *id)?;
    Some(ended(state, &app.spec.id, over))
}

/// The app a task belongs to by its name: ended tasks are in no index.
pub fn app_of<'a>(state: &'a State, id: &TaskId) -> Option<&'a App> {
    let (flat, _) = id.instance().rsplit_once(".instance-")?;
    let app = AppId::parse(&flat.replace('_', "/")).ok()?;
    state.apps.get(&app).map(AsRef::as_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        let app = AppId::parse("/prod/db").expect("an app id");
        let id = TaskId::new(&app, 0x9d1c_0a33_0000_0000_0000_0000_0000_0001, 3);
        assert_eq!(short(&id), "9d1c0a33.3");
        assert_eq!(short(&TaskId::parse("old-name").expect("a task id")), "old-name");
    }
}
