//! Takes a leader's plan into the state: whole, or not at all.
//!
//! The plan was made on an older state. Each action is checked against what is now, and the first that does not fit
//! any more rejects the plan; the leader then makes another. So two plans can never launch one instance twice.

use std::sync::Arc;

use super::apply::check_limit;
use super::membership::LEASES_FROM;
use super::tasks::task_status;
use super::{App, DeploymentKind, State};
use crate::command::{Action, Outcome, Reject};
use crate::event::TaskStatus;
use crate::schedule::lost;
use crate::schedule::{Usage, ports};
use crate::task::{Exit, KillReason, Reach, Task, TaskState};
use crate::{AppId, DeploymentId, NodeId, TaskId, Timestamp, deploy, limits};

impl State {
    pub(super) fn apply_plan(&mut self, based_on: u64, actions: &[Action]) -> Result<Outcome, Reject> {
        check_limit(actions.len(), limits::PLAN_ACTIONS_MAX, "actions in one plan")?;
        // What each node has left, followed through the plan; costs one walk over all tasks, so only if needed.
        let mut usage = None;
        for action in actions {
            let fits = match action {
                Action::Launch { app, version, task, node, ports } => {
                    let usage = usage.get_or_insert_with(|| Usage::of(self));
                    let launch = Launch { app, version: *version, task, node: *node, ports };
                    self.launch(&launch, usage)
                }
                Action::Kill { task, reason } => self.kill(task, *reason),
                Action::Inactivate { task } => self.inactivate(task),
                Action::Expunge { task } => self.expunge(task),
                Action::FinishDeployment { deployment } => self.finish(*deployment),
                Action::Waiting { app, reason } => self.set_waiting(app, reason),
            };
            fits.map_err(|what| Reject::StalePlan { based_on, what })?;
        }
        Ok(Outcome::Done)
    }

    fn launch(&mut self, launch: &Launch, usage: &mut Usage) -> Result<(), String> {
        let Some(app) = self.app(launch.app) else { return Err(format!("app {}", launch.app)) };
        self.check_launch(app, launch, usage)?;
        let node = self.nodes.get(&launch.node).ok_or_else(|| format!("node {}", launch.node))?;
        let task = Task {
            id: launch.task.clone(),
            version: launch.version,
            node: launch.node,
            state: TaskState::Staging,
            ports: launch.ports.to_vec(),
            addresses: Vec::new(),
            health: Vec::new(),
            staged_at: self.now,
            started_at: None,
            kill: None,
            epoch: if self.feature_level >= LEASES_FROM { self.index } else { 0 },
            reach: Reach::Here,
            displaced: false,
            message: String::new(),
            framework: "marathon".to_owned(),
            role: "*".to_owned(),
        };
        usage.take(node.id, &app.spec.resources, &task);
        let event = task_status(launch.app, &task, TaskStatus::Live(TaskState::Staging), String::new());
        self.task_apps.insert(task.id.clone(), launch.app.clone());
        if let Some(app) = self.app_mut(launch.app) {
            app.tasks.insert(task.id.clone(), Arc::new(task));
        }
        self.emit(event);
        Ok(())
    }

    /// `Err` says what changed since the plan was made.
    fn check_launch(&self, app: &App, launch: &Launch, usage: &Usage) -> Result<(), String> {
        let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let id = launch.app;
        check(app.spec.version == launch.version, &format!("the version of {id}"))?;
        check(app.backoff.until() <= self.now, &format!("the launch delay of {id}"))?;
        check(
            deploy::next(app, self.is_exclusive(app)).start > 0,
            &format!("the number of instances of {id}"),
        )?;
        let is_new = !self.task_apps.contains_key(launch.task)
            && app.history.iter().all(|ended| ended.task.id != *launch.task);
        check(is_new, &format!("task {}, which exists", launch.task))?;
        let (Some(node), Some(left)) = (self.nodes.get(&launch.node), usage.node(launch.node)) else {
            return Err(format!("node {}, which is unknown", launch.node));
        };
        check(self.takes_tasks(launch.node), &format!("node {}, which takes no tasks now", node.name))?;
        let leaves = app.tasks.values().any(|task| task.displaced && task.node == launch.node);
        check(!leaves, &format!("node {}, which a task of {id} is to leave", node.name))?;
        check(left.free.covers(&app.spec.resources), &format!("the free resources of node {}", node.name))?;
        check(
            ports::fit(&app.spec, launch.ports, node, left),
            &format!("the free host ports of node {}", node.name),
        )
    }

    fn kill(&mut self, task: &TaskId, reason: KillReason) -> Result<(), String> {
        let gone = || format!("task {task}");
        let (app, live) = self.task(task).ok_or_else(gone)?;
        let next = deploy::next(app, self.is_exclusive(app));
        let allowed = if app.serves(live) { next.kill_surplus_running } else { next.kill_surplus };
        let is_right = live.is_wanted()
            && match reason {
                KillReason::ScaledDown => app.stays(live) && allowed > 0,
                KillReason::Replaced | KillReason::Moved => {
                    !app.stays(live) && (!app.serves(live) || next.kill_old_running > 0)
                }
                // People ask for the one by a command of their own, a report brings the other.
                KillReason::Requested | KillReason::Unhealthy => false,
            };
        if is_right && self.sentence(task, reason) { Ok(()) } else { Err(gone()) }
    }

    fn inactivate(&mut self, task: &TaskId) -> Result<(), String> {
        let gone = || format!("task {task}");
        let (app, live) = self.task(task).ok_or_else(gone)?;
        if self.feature_level < LEASES_FROM
            || lost::fate(self, app, live).is_none_or(|fate| fate.inactive_at > self.now)
        {
            return Err(gone());
        }
        let app = app.spec.id.clone();
        if let Some(task) = self.app_mut(&app).and_then(|app| app.tasks.get_mut(task)) {
            Arc::make_mut(task).reach = Reach::Inactive;
        }
        Ok(())
    }

    fn expunge(&mut self, task: &TaskId) -> Result<(), String> {
        let gone = || format!("task {task}");
        let (app, live) = self.task(task).ok_or_else(gone)?;
        if lost::fate(self, app, live).is_none_or(|fate| fate.expunged_at > self.now) {
            return Err(gone());
        }
        let app = app.spec.id.clone();
        self.end_task(&app, task, &Exit::Unknown, "its node does not answer");
        Ok(())
    }

    fn finish(&mut self, id: DeploymentId) -> Result<(), String> {
        let deployment = self.deployments.get(&id).ok_or_else(|| format!("deployment {id}"))?;
        // `Stop` ends with the app's last task, without a plan.
        let is_reached = deployment.kind != DeploymentKind::Stop
            && self.app(&deployment.app).is_some_and(|app| deploy::is_reached(app));
        if !is_reached {
            return Err(format!("the goal of deployment {id}"));
        }
        self.finish_deployment(id);
        Ok(())
    }

    fn set_waiting(&mut self, id: &AppId, reason: &str) -> Result<(), String> {
        if self.app(id).is_none() {
            return Err(format!("app {id}"));
        }
        if let Some(app) = self.app_mut(id) {
            app.waiting = reason[..reason.floor_char_boundary(limits::MESSAGE_BYTES_MAX)].to_owned();
        }
        Ok(())
    }
}

/// The fields of [`Action::Launch`].
struct Launch<'a> {
    app: &'a AppId,
    version: Timestamp,
    task: &'a TaskId,
    node: NodeId,
    ports: &'a [u16],
}
