//! Apps and tasks as Marathon's JSON, borrowed from the state and written straight to the wire.
//!
//! The key sets are exact: strict clients turn each key into a named argument and fail on an unknown one.

use std::collections::HashMap;
use std::fmt::Display;

use model::app::AppSpec;
use model::health::Verdict;
use model::state::App;
use model::task::{EndState, Ended, Task, TaskState};
use model::{AppId, DeploymentId, NodeId, State, Timestamp};
use serde::{Serialize, Serializer};

use crate::api::error::DeploymentRef;

/// Written by its `Display`, without a string in between.
pub struct Shown<T>(pub T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView<'a> {
    id: &'a str,
    app_id: &'a str,
    host: String,
    ports: &'a [u16],
    service_ports: Vec<u16>,
    slave_id: Shown<NodeId>,
    state: &'static str,
    staged_at: Shown<Timestamp>,
    started_at: Option<Shown<Timestamp>>,
    version: Shown<Timestamp>,
    ip_addresses: Vec<IpView>,
    health_check_results: Vec<HealthView<'a>>,
    local_volumes: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IpView {
    ip_address: Shown<std::net::IpAddr>,
    protocol: &'static str,
}

impl<'a> TaskView<'a> {
    pub fn new(state: &State, app: &'a App, task: &'a Task) -> Self {
        Self {
            id: task.id.as_str(),
            app_id: app.spec.id.as_str(),
            host: host(state, task.node),
            ports: &task.ports,
            service_ports: app.spec.ports.iter().map(|port| port.service_port).collect(),
            slave_id: Shown(task.node),
            state: if task.reach.is_here() { live_state(task.state) } else { UNREACHABLE },
            staged_at: Shown(task.staged_at),
            started_at: task.started_at.map(Shown),
            version: Shown(task.version),
            ip_addresses: ip_views(task),
            health_check_results: health_views(task),
            local_volumes: [],
        }
    }
}

/// One line of `healthCheckResults`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthView<'a> {
    alive: bool,
    consecutive_failures: u32,
    first_success: Option<Shown<Timestamp>>,
    last_success: Option<Shown<Timestamp>>,
    last_failure: Option<Shown<Timestamp>>,
    last_failure_cause: Option<&'a str>,
    instance_id: &'a str,
}

/// Of the checks that have said something.
fn health_views(task: &Task) -> Vec<HealthView<'_>> {
    let known = task.health.iter().filter(|check| check.alive.is_some());
    known
        .map(|check| HealthView {
            alive: check.alive == Some(true),
            consecutive_failures: check.consecutive_failures,
            first_success: check.first_success.map(Shown),
            last_success: check.last_success.map(Shown),
            last_failure: check.last_failure.map(Shown),
            last_failure_cause: Some(check.last_failure_cause.as_str()).filter(|cause| !cause.is_empty()),
            instance_id: task.id.instance(),
        })
        .collect()
}

pub fn ip_views(task: &Task) -> Vec<IpView> {
    let protocol = |ip: &std::net::IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    task.addresses.iter().map(|ip| IpView { ip_address: Shown(*ip), protocol: protocol(ip) }).collect()
}

/// Where a task of `node` is reached: the node's first advertised address; empty if the node is gone.
pub fn host(state: &State, node: NodeId) -> String {
    let node = state.nodes.get(&node);
    node.and_then(|node| node.addresses.first()).map_or_else(String::new, ToString::to_string)
}

/// The state of a task whose node does not answer.
const UNREACHABLE: &str = "TASK_UNREACHABLE";

pub fn live_state(state: TaskState) -> &'static str {
    match state {
        TaskState::Staging => "TASK_STAGING",
        TaskState::Starting => "TASK_STARTING",
        TaskState::Running => "TASK_RUNNING",
        TaskState::Killing => "TASK_KILLING",
    }
}

pub fn end_state(state: EndState) -> &'static str {
    match state {
        EndState::Finished => "TASK_FINISHED",
        EndState::Failed => "TASK_FAILED",
        EndState::Killed => "TASK_KILLED",
        EndState::Error => "TASK_ERROR",
        EndState::Lost => "TASK_LOST",
    }
}

/// `lastTaskFailure`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureView<'a> {
    app_id: &'a str,
    host: String,
    message: &'a str,
    state: &'static str,
    task_id: &'a str,
    timestamp: Shown<Timestamp>,
    version: Shown<Timestamp>,
    slave_id: Shown<NodeId>,
}

impl<'a> FailureView<'a> {
    fn new(state: &State, app: &'a App, ended: &'a Ended) -> Self {
        Self {
            app_id: app.spec.id.as_str(),
            host: host(state, ended.task.node),
            message: &ended.message,
            state: end_state(ended.state),
            task_id: ended.task.id.as_str(),
            timestamp: Shown(ended.ended_at),
            version: Shown(ended.task.version),
            slave_id: Shown(ended.task.node),
        }
    }
}

/// What a request wants beside definition, counts and deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embed {
    pub tasks: bool,
    pub last_failure: bool,
}

impl Embed {
    pub const ALL: Self = Self { tasks: true, last_failure: true };

    /// From the values of `embed=`; unknown ones mean nothing.
    pub fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut embed = Self { tasks: false, last_failure: false };
        for value in values {
            match value.rsplit('.').next().unwrap_or(value) {
                "tasks" => embed.tasks = true,
                "lastTaskFailure" => embed.last_failure = true,
                "failures" => embed = Self::ALL,
                _ => {}
            }
        }
        embed
    }
}

/// An app with what the server adds to its definition.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppView<'a> {
    #[serde(flatten)]
    definition: super::definition::View<'a>,
    tasks_staged: usize,
    tasks_running: usize,
    tasks_healthy: usize,
    tasks_unhealthy: usize,
    deployments: Vec<DeploymentRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<TaskView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_task_failure: Option<FailureView<'a>>,
}

impl<'a> AppView<'a> {
    pub fn new(state: &'a State, app: &'a App, deployments: &Deployments, embed: Embed) -> Self {
        let in_states =
            |wanted: &[TaskState]| app.tasks.values().filter(|t| wanted.contains(&t.state)).count();
        // A task that is not judged yet, or has no checks, is neither.
        let judged = |wanted| app.tasks.values().filter(|task| app.verdict(task) == wanted).count();
        let tasks = || app.tasks.values().map(|task| TaskView::new(state, app, task)).collect();
        let failure = app.last_failure.as_ref().filter(|_| embed.last_failure);
        Self {
            definition: super::definition::view(&app.spec),
            tasks_staged: in_states(&[TaskState::Staging, TaskState::Starting]),
            tasks_running: in_states(&[TaskState::Running]),
            tasks_healthy: judged(Verdict::Healthy),
            tasks_unhealthy: judged(Verdict::Unhealthy),
            deployments: deployments.of(&app.spec.id),
            tasks: embed.tasks.then(tasks),
            last_task_failure: failure.map(|ended| FailureView::new(state, app, ended)),
        }
    }

    /// A definition that was just accepted: nothing runs yet.
    pub fn fresh(spec: &'a AppSpec, deployment: DeploymentId) -> Self {
        Self {
            definition: super::definition::view(spec),
            tasks_staged: 0,
            tasks_running: 0,
            tasks_healthy: 0,
            tasks_unhealthy: 0,
            deployments: vec![DeploymentRef { id: deployment }],
            tasks: None,
            last_task_failure: None,
        }
    }
}

/// Running deployments by app, gathered once per request.
pub struct Deployments(HashMap<AppId, Vec<DeploymentId>>);

impl Deployments {
    pub fn gather(state: &State) -> Self {
        let mut by_app: HashMap<AppId, Vec<DeploymentId>> = HashMap::new();
        for deployment in state.deployments.values() {
            by_app.entry(deployment.app.clone()).or_default().push(deployment.id);
        }
        Self(by_app)
    }

    fn of(&self, app: &AppId) -> Vec<DeploymentRef> {
        self.0.get(app).into_iter().flatten().map(|id| DeploymentRef { id: *id }).collect()
    }
}

/// The answer to everything that starts a deployment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentResult {
    pub version: Shown<Timestamp>,
    pub deployment_id: DeploymentId,
}
