//! The model's events in Marathon's words. Pure: an event and the state it is shown against.
//!
//! The default stream carries Marathon's types only and the heavy form of plans: known clients fail on anything else.

use model::AppId;
use model::event::{Event, EventKind, TaskStatus};
use model::state::App;
use model::{DeploymentId, State, Timestamp};
use serde::Serialize;

use super::definition;
use super::deployments::{ActionRef, Step, action_name};
use super::health_events;
use super::view::{IpView, Shown, end_state, host, ip_views, live_state};

/// One server-sent event without its id.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: &'static str,
    /// One line of JSON.
    pub data: String,
}

/// How much a plan repeats: whole group trees, or its steps only (`plan-format=light`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanForm {
    Heavy,
    Light,
}

/// The frames of one event, in order; none for what Marathon has no word for.
pub fn frames(event: &Event, state: &State, form: PlanForm) -> Vec<Frame> {
    let at = event.at;
    let frame = |kind, body: &dyn erased::Body| Frame { kind, data: body.line(kind, at) };
    match &event.kind {
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
        | EventKind::SessionsEnded => Vec::new(),
        EventKind::ApiPost { client_ip, uri, app } => {
            let app_definition = definition::view(app);
            vec![frame("api_post_event", &ApiPost { client_ip, uri, app_definition })]
        }
        EventKind::AppDeleted { app } => {
            vec![frame("app_terminated_event", &Terminated { app_id: app.as_str() })]
        }
        EventKind::TaskStatus { .. } => {
            let change = TaskChange::new(&event.kind, state);
            change.map_or_else(Vec::new, |change| {
                vec![
                    frame("instance_changed_event", &change.instance()),
                    frame("status_update_event", &change.status()),
                ]
            })
        }
        EventKind::HealthChanged { .. }
        | EventKind::HealthCheckFailed { .. }
        | EventKind::UnhealthyTask { .. } => {
            let (kind, body) = health_events::frame(&event.kind, state);
            vec![frame(kind, &body)]
        }
        EventKind::DeploymentStarted { deployment, app, version } => {
            let plan = Plan::new(state, *deployment, app, *version, form);
            let group = Group { group_id: "/", version: Shown(*version) };
            vec![
                frame("group_change_success", &group),
                frame("deployment_info", &WithStep { current_step: plan.step(), plan }),
            ]
        }
        EventKind::DeploymentSucceeded { deployment, app, version } => {
            let plan = || Plan::new(state, *deployment, app, *version, form);
            vec![
                frame("deployment_step_success", &WithStep { current_step: plan().step(), plan: plan() }),
                frame("deployment_success", &Over { id: *deployment, plan: plan(), reason: None }),
            ]
        }
        EventKind::DeploymentCancelled { deployment, app, version } => {
            let plan = Plan::new(state, *deployment, app, *version, form);
            let reason = Some("The deployment was replaced or its app was deleted");
            vec![frame("deployment_failed", &Over { id: *deployment, plan, reason })]
        }
    }
}

/// The type of the first frame of every stream.
pub const GREETING: &str = "event_stream_attached";

pub fn attached(remote_address: &str, at: Timestamp) -> Frame {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Attached<'a> {
        remote_address: &'a str,
    }
    Frame { kind: GREETING, data: erased::Body::line(&Attached { remote_address }, GREETING, at) }
}

mod erased {
    //! Every body gets `eventType` and `timestamp` beside its own keys.

    use super::{Serialize, Shown, Timestamp};

    pub trait Body {
        fn line(&self, kind: &str, at: Timestamp) -> String;
    }

    impl<T: Serialize> Body for T {
        fn line(&self, kind: &str, at: Timestamp) -> String {
            #[derive(Serialize)]
            #[serde(rename_all = "camelCase")]
            struct Whole<'a, T> {
                event_type: &'a str,
                timestamp: Shown<Timestamp>,
                #[serde(flatten)]
                body: &'a T,
            }
            let whole = Whole { event_type: kind, timestamp: Shown(at), body: self };
            serde_json::to_string(&whole).expect("maps with text keys and no failing parts always serialise")
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiPost<'a> {
    client_ip: &'a str,
    uri: &'a str,
    app_definition: definition::View<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Terminated<'a> {
    app_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group<'a> {
    group_id: &'a str,
    version: Shown<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithStep<'a> {
    plan: Plan<'a>,
    current_step: Step<'a>,
}

#[derive(Serialize)]
struct Over<'a> {
    id: DeploymentId,
    plan: Plan<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// What both events of a task's change say.
struct TaskChange<'a> {
    app: &'a AppId,
    task: &'a model::TaskId,
    node: model::NodeId,
    version: Timestamp,
    status: TaskStatus,
    message: &'a str,
    ports: &'a [u16],
    host: String,
    ip_addresses: Vec<IpView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusUpdate<'a> {
    slave_id: Shown<model::NodeId>,
    task_id: &'a str,
    task_status: &'static str,
    message: &'a str,
    app_id: &'a str,
    host: &'a str,
    ip_addresses: &'a [IpView],
    ports: &'a [u16],
    version: Shown<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceChanged<'a> {
    instance_id: &'a str,
    condition: String,
    run_spec_id: &'a str,
    agent_id: Shown<model::NodeId>,
    host: &'a str,
    run_spec_version: Shown<Timestamp>,
}

impl<'a> TaskChange<'a> {
    fn new(kind: &'a EventKind, state: &State) -> Option<Self> {
        let EventKind::TaskStatus { app, task, node, version, status, message, ports } = kind else {
            return None;
        };
        let live = state.task(task).map(|(_, task)| ip_views(task));
        Some(Self {
            app,
            task,
            node: *node,
            version: *version,
            status: *status,
            message,
            ports,
            host: host(state, *node),
            ip_addresses: live.unwrap_or_default(),
        })
    }

    fn name(&self) -> &'static str {
        match self.status {
            TaskStatus::Live(live) => live_state(live),
            TaskStatus::Ended(ended) => end_state(ended),
        }
    }

    fn status(&self) -> StatusUpdate<'_> {
        StatusUpdate {
            slave_id: Shown(self.node),
            task_id: self.task.as_str(),
            task_status: self.name(),
            message: self.message,
            app_id: self.app.as_str(),
            host: &self.host,
            ip_addresses: &self.ip_addresses,
            ports: self.ports,
            version: Shown(self.version),
        }
    }

    fn instance(&self) -> InstanceChanged<'_> {
        // TASK_RUNNING of a task is condition Running of its instance.
        let name = self.name().trim_start_matches("TASK_");
        InstanceChanged {
            instance_id: self.task.instance(),
            condition: format!("{}{}", &name[..1], name[1..].to_ascii_lowercase()),
            run_spec_id: self.app.as_str(),
            agent_id: Shown(self.node),
            host: &self.host,
            run_spec_version: Shown(self.version),
        }
    }
}

#[derive(Serialize)]
struct Plan<'a> {
    id: DeploymentId,
    version: Shown<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Tree<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Tree<'a>>,
    steps: [Step<'a>; 1],
}

/// The root group as it matters to this plan: with the one app that changes.
#[derive(Serialize)]
struct Tree<'a> {
    id: &'static str,
    apps: Vec<definition::View<'a>>,
    groups: [(); 0],
    pods: [(); 0],
    dependencies: [(); 0],
    version: Shown<Timestamp>,
}

impl<'a> Plan<'a> {
    fn new(state: &'a State, id: DeploymentId, app: &'a AppId, version: Timestamp, form: PlanForm) -> Self {
        let known = state.apps.get(app);
        let tree = |spec: Option<&'a model::app::AppSpec>, version| Tree {
            id: "/",
            apps: spec.map(definition::view).into_iter().collect(),
            groups: [],
            pods: [],
            dependencies: [],
            version: Shown(version),
        };
        let heavy = form == PlanForm::Heavy;
        let before = known.and_then(|app| app.versions.iter().rev().find(|spec| spec.version < version));
        let after = known.filter(|app| !app.deleted);
        let after = after.and_then(|app| app.versions.iter().find(|spec| spec.version == version));
        let before_version = before.map_or(Timestamp::default(), |spec| spec.version);
        Self {
            id,
            version: Shown(version),
            original: heavy.then(|| tree(before.map(|spec| &**spec), before_version)),
            target: heavy.then(|| tree(after.map(|spec| &**spec), version)),
            steps: [step(state, id, app, known.map(|app| &**app), before.is_some())],
        }
    }

    fn step(&self) -> Step<'a> {
        let [Step { actions: [action] }] = &self.steps;
        Step { actions: [ActionRef { action: action.action, app: action.app }] }
    }
}

/// A running deployment knows its kind; of one that is over the app's versions tell.
fn step<'a>(
    state: &State,
    id: DeploymentId,
    app: &'a AppId,
    known: Option<&App>,
    had_before: bool,
) -> Step<'a> {
    let action = match (state.deployments.get(&id), known) {
        (Some(deployment), _) => action_name(deployment.kind),
        (None, Some(app)) if !app.deleted && had_before => "RestartApplication",
        (None, Some(app)) if !app.deleted => "StartApplication",
        (None, _) => "StopApplication",
    };
    Step { actions: [ActionRef { action, app: app.as_str() }] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::EventId;
    use model::task::{EndState, TaskState};
    use model::{NodeId, TaskId};
    use serde_json::Value;

    #[test]
    fn kinds_and_what_they_say() {
        let app = AppId::parse("/prod/db").expect("an id");
        let (id, version) = (DeploymentId(1), Timestamp(0));
        let status = |status| EventKind::TaskStatus {
            app: app.clone(),
            task: TaskId::new(&app, 1, 2),
            node: NodeId(1),
            version,
            status,
            message: "why".to_owned(),
            ports: vec![31_000],
        };
        let of = |app: &AppId| app.clone();
        let check = |kind: EventKind, expected: &[(&str, &str, &str)]| {
            let event = Event { id: EventId { index: 1, n: 0 }, at: Timestamp(1), kind };
            let frames = frames(&event, &State::default(), PlanForm::Heavy);
            let kinds: Vec<&str> = frames.iter().map(|frame| frame.kind).collect();
            let wanted: Vec<&str> = expected.iter().map(|(kind, _, _)| *kind).collect();
            assert_eq!(kinds, wanted, "{event:?}");
            for (frame, (kind, pointer, value)) in frames.iter().zip(expected) {
                let data: Value = serde_json::from_str(&frame.data).expect("JSON");
                assert_eq!(data["eventType"], *kind);
                assert_eq!(data["timestamp"], "1970-01-01T00:00:00.001Z");
                assert_eq!(data.pointer(pointer).and_then(Value::as_str), Some(*value), "{}", frame.data);
                assert!(!frame.data.contains('\n'), "one line: {}", frame.data);
            }
        };
        check(EventKind::ClusterClaimed, &[]);
        check(EventKind::NodeRegistered { node: NodeId(1), rebooted: true }, &[]);
        check(EventKind::AppDeleted { app: of(&app) }, &[("app_terminated_event", "/appId", "/prod/db")]);
        check(
            status(TaskStatus::Live(TaskState::Running)),
            &[
                ("instance_changed_event", "/condition", "Running"),
                ("status_update_event", "/taskStatus", "TASK_RUNNING"),
            ],
        );
        check(
            status(TaskStatus::Ended(EndState::Failed)),
            &[("instance_changed_event", "/condition", "Failed"), ("status_update_event", "/message", "why")],
        );
        let task = TaskId::new(&app, 1, 2);
        check(
            EventKind::HealthChanged { app: of(&app), task: task.clone(), version, alive: true },
            &[("health_status_changed_event", "/instanceId", task.instance())],
        );
        let cause = "why".to_owned();
        check(
            EventKind::HealthCheckFailed { app: of(&app), task: task.clone(), version, check: 0, cause },
            &[("failed_health_check_event", "/taskId", task.as_str())],
        );
        let reason = "why".to_owned();
        check(
            EventKind::UnhealthyTask { app: of(&app), task: task.clone(), node: NodeId(1), version, reason },
            &[("unhealthy_instance_kill_event", "/reason", "why")],
        );
        check(
            EventKind::DeploymentStarted { deployment: id, app: of(&app), version },
            &[("group_change_success", "/groupId", "/"), ("deployment_info", "/plan/target/id", "/")],
        );
        let action = "/plan/steps/0/actions/0/app";
        check(
            EventKind::DeploymentSucceeded { deployment: id, app: of(&app), version },
            &[("deployment_step_success", action, "/prod/db"), ("deployment_success", action, "/prod/db")],
        );
        check(
            EventKind::DeploymentCancelled { deployment: id, app: of(&app), version },
            &[("deployment_failed", action, "/prod/db")],
        );
    }
}
