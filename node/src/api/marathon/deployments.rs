//! `/v2/deployments`: what is under way.

use axum::Json;
use axum::extract::{Extension, Path, State as Extract};
use axum::response::{IntoResponse, Response};
use model::command::PutMode;
use model::state::{Deployment, DeploymentKind};
use model::{Command, DeploymentId, State, Timestamp};
use serde::Serialize;

use super::view::Shown;
use super::write::Started;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::query::Query;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentView<'a> {
    id: DeploymentId,
    version: Shown<Timestamp>,
    affected_apps: [&'a str; 1],
    affected_pods: [(); 0],
    steps: [Step<'a>; 1],
    current_actions: [Action<'a>; 1],
    current_step: u32,
    total_steps: u32,
}

#[derive(Serialize)]
pub struct Step<'a> {
    pub actions: [ActionRef<'a>; 1],
}

#[derive(Serialize)]
pub struct ActionRef<'a> {
    pub action: &'static str,
    pub app: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Action<'a> {
    action: &'static str,
    app: &'a str,
    readiness_check_results: [(); 0],
}

pub fn action_name(kind: DeploymentKind) -> &'static str {
    match kind {
        DeploymentKind::Start => "StartApplication",
        DeploymentKind::Scale => "ScaleApplication",
        DeploymentKind::Restart => "RestartApplication",
        DeploymentKind::Stop => "StopApplication",
    }
}

/// GET /v2/deployments
pub async fn list(Extract(api): Extract<Api>, query: Query) -> Result<Response, ApiError> {
    let state = api.read(&query).await?;
    let views: Vec<_> = state.deployments.values().map(|deployment| view(deployment)).collect();
    Ok(Json(views).into_response())
}

fn view(deployment: &Deployment) -> DeploymentView<'_> {
    let (action, app) = (action_name(deployment.kind), deployment.app.as_str());
    DeploymentView {
        id: deployment.id,
        version: Shown(deployment.version),
        affected_apps: [app],
        affected_pods: [],
        steps: [Step { actions: [ActionRef { action, app }] }],
        current_actions: [Action { action, app, readiness_check_results: [] }],
        current_step: 1,
        total_steps: 1,
    }
}

/// DELETE /v2/deployments/{id}: starts the deployment that leads back.
pub async fn revert(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found(format!("DeploymentPlan {id} does not exist"));
    let state = api.backend.read().await?;
    let deployment_id = DeploymentId::try_from(id.clone()).map_err(|_| unknown())?;
    let deployment = state.deployments.get(&deployment_id).ok_or_else(unknown)?;
    if query.flag("force", false)? {
        return Err(ApiError::bad_request(
            "A deployment cannot be forgotten where it stands: leave out force to go back to the definition before",
        ));
    }
    let command = way_back(&state, deployment, api.backend.fresh_deployment())?;
    let done = api.propose(&caller, None, command).await?;
    Ok(Started::of(&done, &deployment.app)?.body())
}

/// The command that undoes `deployment`: what it created goes, what it changed becomes as before.
fn way_back(state: &State, deployment: &Deployment, fresh: DeploymentId) -> Result<Command, ApiError> {
    let app = state.apps.get(&deployment.app).ok_or_else(|| ApiError::no_app(deployment.app.as_str()))?;
    let before = app.versions.iter().rev().find(|spec| spec.version < deployment.version);
    match (deployment.kind, before) {
        (DeploymentKind::Stop, _) => {
            Err(ApiError::bad_request("The app is being deleted; create it again once it is gone"))
        }
        (_, None) => Ok(Command::DeleteApp { app: deployment.app.clone(), deployment: fresh, force: true }),
        (_, Some(spec)) => Ok(Command::PutApp {
            app: Box::new((**spec).clone()),
            mode: PutMode::Update,
            deployment: fresh,
            force: true,
        }),
    }
}
