//! What happens to tasks: reports of nodes, and people who kill them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::apply::{check_limit, unknown};
use super::{App, DeploymentKind, State};
use crate::app::AppSpec;
use crate::command::{Outcome, Reject};
use crate::event::{EventKind, TaskStatus};
use crate::health::{self, CheckHealth, Verdict};
use crate::task::{EndState, Ended, Exit, KillReason, Task, TaskChange, TaskState, TaskUpdate};
use crate::{AppId, DeploymentId, NodeId, TaskId, deploy, limits};

impl State {
    /// Takes in what a node saw. Reports may repeat and overtake each other: what is unknown or older than what the
    /// state says is skipped, never an error, because the node would only send it again.
    pub(super) fn report(&mut self, node: NodeId, updates: &[TaskUpdate]) -> Result<Outcome, Reject> {
        check_limit(updates.len(), limits::REPORT_UPDATES_MAX, "updates in one report")?;
        if !self.nodes.contains_key(&node) {
            return Err(Reject::NodeUnknown { node });
        }
        for update in updates {
            let Some(app) = self.task_apps.get(&update.task).cloned() else { continue };
            if self.task(&update.task).is_some_and(|(_, task)| task.node == node) {
                self.update_task(&app, update);
            }
        }
        Ok(Outcome::Done)
    }

    fn update_task(&mut self, app: &AppId, update: &TaskUpdate) {
        match &update.change {
            TaskChange::Starting => self.advance(app, update, TaskState::Starting, &[]),
            TaskChange::Running { addresses } => {
                self.advance(app, update, TaskState::Running, addresses);
                self.finish_if_reached(app);
            }
            TaskChange::Health { checks } => {
                self.judge(app, &update.task, checks);
                self.finish_if_reached(app);
            }
            TaskChange::Killing => self.advance(app, update, TaskState::Killing, &[]),
            TaskChange::Ended { exit } => self.end_task(app, &update.task, exit, &update.message),
        }
    }

    /// Moves a live task forward to `to`; a repeated state only renews the message.
    fn advance(&mut self, id: &AppId, update: &TaskUpdate, to: TaskState, addresses: &[IpAddr]) {
        let now = self.now;
        let Some(app) = self.app_mut(id) else { return };
        let Some(task) = app.tasks.get_mut(&update.task).map(Arc::make_mut) else { return };
        if to < task.state {
            return;
        }
        let is_news = to > task.state;
        task.state = to;
        task.message = shortened(&update.message);
        if to == TaskState::Running && is_news {
            task.started_at = Some(now);
            task.addresses = addresses.iter().copied().take(limits::NODE_ADDRESSES_MAX).collect();
        }
        if is_news {
            let event = task_status(id, task, TaskStatus::Live(to), task.message.clone());
            self.emit(event);
        }
    }

    /// Takes in what the health checks of a running task found. A check that failed too often ends the task.
    fn judge(&mut self, id: &AppId, task: &TaskId, checks: &[CheckHealth]) {
        let Some(app) = self.app_mut(id) else { return };
        let Some(spec) = app.tasks.get(task).map(|t| app.spec_of(t.version).unwrap_or(&app.spec).clone())
        else {
            return;
        };
        let Some(task) = app.tasks.get_mut(task).map(Arc::make_mut) else { return };
        if task.state != TaskState::Running || !task.is_wanted() {
            return;
        }
        let before = health::verdict(&spec, &task.health);
        let seen: Vec<CheckHealth> = checks.iter().take(spec.health_checks.len()).map(bounded).collect();
        let old = std::mem::replace(&mut task.health, seen);
        let task = task.clone();
        let gives_up = task.health.iter().zip(&spec.health_checks).any(|(seen, check)| seen.gives_up(check));
        for (at, seen) in task.health.iter().enumerate() {
            if seen.alive == Some(false) && old.get(at).is_none_or(|old| old.alive != Some(false)) {
                let cause = seen.last_failure_cause.clone();
                let (task, version) = (task.id.clone(), task.version);
                self.emit(EventKind::HealthCheckFailed {
                    app: id.clone(),
                    task,
                    version,
                    check: at as u32,
                    cause,
                });
            }
        }
        let after = health::verdict(&spec, &task.health);
        if after != before && after != Verdict::Unknown {
            let (alive, version) = (after == Verdict::Healthy, task.version);
            self.emit(EventKind::HealthChanged { app: id.clone(), task: task.id.clone(), version, alive });
        }
        if gives_up && self.sentence(&task.id, KillReason::Unhealthy) {
            let reason = health::complaint(&task.health);
            let (node, version) = (task.node, task.version);
            self.emit(EventKind::UnhealthyTask { app: id.clone(), task: task.id, node, version, reason });
        }
    }

    /// Deployments end in plans, except here: a task may start and end within one report, and a deployment that
    /// was complete for that moment must not stay open, and its app locked, because no plan was made in between.
    fn finish_if_reached(&mut self, id: &AppId) {
        let Some(app) = self.apps.get(id) else { return };
        if !deploy::is_reached(app) {
            return;
        }
        let done: Vec<DeploymentId> = self.deployments_of(id).map(|d| d.id).collect();
        for deployment in done {
            self.finish_deployment(deployment);
        }
    }

    /// Moves a live task to the history of its app and draws the consequences: back-off, last failure, the end of a
    /// deleted app. Does nothing if the task is not live.
    pub(super) fn end_task(&mut self, id: &AppId, task: &TaskId, exit: &Exit, message: &str) {
        let now = self.now;
        let Some(app) = self.app_mut(id) else { return };
        let Some(task) = app.tasks.remove(task) else { return };
        let state = exit.end_state(task.kill);
        let memory_mib = app.resources_of(&task).mem_mib;
        let complaint = match task.kill {
            Some(KillReason::Unhealthy) if message.is_empty() => health::complaint(&task.health),
            _ => String::new(),
        };
        let message = if complaint.is_empty() { message } else { &complaint };
        let text = shortened(&exit.describe(task.kill, memory_mib, message));
        let counts = matches!(state, EndState::Finished | EndState::Failed | EndState::Error);
        // Failures of an outdated version say nothing about the one that is launched now.
        if counts && app.is_current(task.version) {
            app.backoff = app.backoff.after_failure(&app.spec.backoff, &task, now);
        }
        let event = task_status(id, &task, TaskStatus::Ended(state), text.clone());
        let ended = Ended { task: (*task).clone(), state, exit: exit.clone(), ended_at: now, message: text };
        self.task_apps.remove(&ended.task.id);
        self.remember_end(id, Arc::new(ended));
        self.emit(event);
        self.remove_if_gone(id);
    }

    fn remember_end(&mut self, id: &AppId, ended: Arc<Ended>) {
        let Some(app) = self.app_mut(id) else { return };
        if matches!(ended.state, EndState::Failed | EndState::Error | EndState::Lost) {
            app.last_failure = Some(ended.clone());
        }
        app.history.push_front(ended);
        app.history.truncate(limits::HISTORY_PER_APP_MAX);
    }

    /// Sentences the live ones among `tasks`; their instances are started anew.
    pub(super) fn kill_tasks(&mut self, tasks: &[TaskId]) -> Result<Outcome, Reject> {
        check_limit(tasks.len(), limits::INSTANCES_PER_APP_MAX as usize, "tasks in one request")?;
        let tasks = tasks.iter().filter(|task| self.sentence(task, KillReason::Requested)).cloned().collect();
        Ok(Outcome::Killed { tasks, deployment: None })
    }

    /// Sentences the live ones among `tasks`, all of one app, which from now on wants that many instances fewer.
    pub(super) fn kill_tasks_and_scale(
        &mut self,
        tasks: &[TaskId],
        deployment: DeploymentId,
        force: bool,
    ) -> Result<Outcome, Reject> {
        let Outcome::Killed { tasks: killed, .. } = self.kill_tasks(tasks)? else {
            unreachable!("kill_tasks answers with what it killed")
        };
        let mut per_app: BTreeMap<AppId, u32> = BTreeMap::new();
        for app in killed.iter().filter_map(|task| self.task_apps.get(task)) {
            *per_app.entry(app.clone()).or_default() += 1;
        }
        if per_app.len() > 1 {
            return Err(Reject::Invalid {
                path: "/ids".to_owned(),
                message: "tasks of several apps cannot be killed and scaled in one request".to_owned(),
            });
        }
        let Some((id, count)) = per_app.into_iter().next() else {
            return Ok(Outcome::Killed { tasks: Vec::new(), deployment: None });
        };
        self.unlock(&id, force)?;
        let version = self.next_version(&id);
        let old = self.app(&id).ok_or_else(|| unknown(&id))?.spec.clone();
        let instances = old.instances.saturating_sub(count);
        self.store_spec(&Arc::new(AppSpec {
            version,
            last_scaling_at: version,
            instances,
            ..(*old).clone()
        }))?;
        self.start_deployment(deployment, &id, version, DeploymentKind::Scale)?;
        Ok(Outcome::Killed { tasks: killed, deployment: Some(deployment) })
    }

    /// False if the task is unknown or sentenced already.
    pub(super) fn sentence(&mut self, task: &TaskId, reason: KillReason) -> bool {
        let Some(id) = self.task_apps.get(task).cloned() else { return false };
        self.app_mut(&id).is_some_and(|app: &mut App| app.sentence(task, reason))
    }
}

pub(super) fn task_status(app: &AppId, task: &Task, status: TaskStatus, message: String) -> EventKind {
    EventKind::TaskStatus {
        app: app.clone(),
        task: task.id.clone(),
        node: task.node,
        version: task.version,
        status,
        message,
        ports: task.ports.clone(),
    }
}

fn bounded(check: &CheckHealth) -> CheckHealth {
    let mut check = check.clone();
    check.last_failure_cause.truncate(check.last_failure_cause.floor_char_boundary(health::CAUSE_BYTES_MAX));
    check
}

/// At most [`limits::MESSAGE_BYTES_MAX`] bytes of `text`, cut at a character.
fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(limits::MESSAGE_BYTES_MAX)].to_owned()
}
