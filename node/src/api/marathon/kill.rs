//! Ending tasks by request: three routes, one command.

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse, Response};
use model::state::App;
use model::{AppId, Command, Outcome, State, TaskId};
use serde::{Deserialize, Serialize};

use super::read::find;
use super::tasks::Tasks;
use super::view::{TaskView, host};
use super::write::Started;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body;
use crate::api::error::ApiError;
use crate::api::query::Query;

#[derive(Debug, Clone, Copy)]
pub struct Flags {
    pub scale: bool,
    pub force: bool,
}

impl Flags {
    /// `wipe` frees volumes; no task has any of ours yet, so beside the rule against `scale` it changes nothing.
    pub fn parse(query: &Query) -> Result<Self, ApiError> {
        let (scale, wipe) = (query.flag("scale", false)?, query.flag("wipe", false)?);
        if scale && wipe {
            return Err(ApiError::bad_request("You cannot use scale and wipe at the same time."));
        }
        Ok(Self { scale, force: query.flag("force", false)? })
    }
}

/// DELETE /v2/apps/{id}/tasks
pub async fn of_app(api: &Api, caller: &Caller, id: &str, query: &Query) -> Result<Response, ApiError> {
    let flags = Flags::parse(query)?;
    let state = api.backend.read().await?;
    let app = find(&state, id)?;
    let wanted = query.get("host").filter(|host| !host.is_empty() && *host != "*");
    let on_host = |task: &&std::sync::Arc<model::task::Task>| {
        wanted.is_none_or(|wanted| wanted == host(&state, task.node) || is_name(&state, task.node, wanted))
    };
    let tasks: Vec<TaskId> = app.tasks.values().filter(on_host).map(|task| task.id.clone()).collect();
    kill(api, caller, &state, tasks, flags).await
}

fn is_name(state: &State, node: model::NodeId, name: &str) -> bool {
    state.nodes.get(&node).is_some_and(|node| node.name == name)
}

/// DELETE /v2/apps/{id}/tasks/{task}
pub async fn one(
    api: &Api,
    caller: &Caller,
    (id, task): (&str, TaskId),
    query: &Query,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct One<'a> {
        task: TaskView<'a>,
    }
    let flags = Flags::parse(query)?;
    let state = api.backend.read().await?;
    let found = find(&state, id)?.tasks.contains_key(&task);
    if !found {
        return Err(ApiError::no_task(task.as_str()));
    }
    if flags.scale {
        return kill(api, caller, &state, vec![task], flags).await;
    }
    propose(api, caller, vec![task.clone()], flags).await?;
    let (app, task) = state.task(&task).ok_or_else(|| ApiError::no_task(task.as_str()))?;
    Ok(Json(One { task: TaskView::new(&state, app, task) }).into_response())
}

/// POST /v2/tasks/delete
pub async fn named(api: &Api, caller: &Caller, query: &Query, text: &str) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        ids: Vec<String>,
    }
    let flags = Flags::parse(query)?;
    let ids: BTreeSet<String> = body::json::<Body>(text)?.ids.into_iter().collect();
    let state = api.backend.read().await?;
    let mut tasks = Vec::new();
    for id in ids {
        let task = TaskId::parse(&id).map_err(|error| {
            ApiError::bad_request(format!("Invalid task id '{}'. Expected {}.", error.value, error.expected))
        })?;
        // Somebody else may have ended it already: what is gone needs no killing.
        if state.task(&task).is_some() {
            tasks.push(task);
        }
    }
    kill(api, caller, &state, tasks, flags).await
}

/// Answers the killed tasks as they were, or with `scale` the deployment.
async fn kill(
    api: &Api,
    caller: &Caller,
    state: &State,
    tasks: Vec<TaskId>,
    flags: Flags,
) -> Result<Response, ApiError> {
    let views = |ids: &[TaskId]| {
        let found: Vec<(&App, &model::task::Task)> =
            ids.iter().filter_map(|id| state.task(id)).map(|(app, task)| (&**app, &**task)).collect();
        let views = found.into_iter().map(|(app, task)| TaskView::new(state, app, task));
        Json(Tasks { tasks: views.collect() }).into_response()
    };
    if tasks.is_empty() {
        return Ok(views(&[]));
    }
    let app: Option<AppId> = state.task_apps.get(&tasks[0]).cloned();
    let done = propose(api, caller, tasks, flags).await?;
    let Outcome::Killed { tasks, deployment } = done.outcome else {
        return Err(ApiError::unavailable("The cluster's answer was not about tasks"));
    };
    let Some(deployment) = deployment.filter(|_| flags.scale) else {
        return Ok(views(&tasks));
    };
    let app = app.and_then(|app| done.state.app(&app).cloned());
    let version = app.map_or(done.state.now, |app| app.spec.version);
    Ok(Started { deployment, version, created: false }.body())
}

async fn propose(
    api: &Api,
    caller: &Caller,
    tasks: Vec<TaskId>,
    flags: Flags,
) -> Result<crate::api::Proposed, ApiError> {
    let deployment = api.backend.fresh_deployment();
    let command = Command::KillTasks { tasks, scale: flags.scale, deployment, force: flags.force };
    api.propose(caller, None, command).await
}
