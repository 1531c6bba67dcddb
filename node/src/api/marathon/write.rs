//! The writing side of `/v2/apps`: each request becomes one command.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::app::{AppSpec, Update};
use model::command::PutMode;
use model::{AppId, Command, DeploymentId, Outcome, Reject, State, Timestamp};

use super::definition;
use super::path::app_id;
use super::read::{find, no_version};
use super::view::{AppView, DeploymentResult, Shown};
use crate::api::auth::Caller;
use crate::api::error::{ApiError, PathErrors};
use crate::api::query::Query;
use crate::api::{Api, Proposed};

pub const DEPLOYMENT_ID: HeaderName = HeaderName::from_static("marathon-deployment-id");
/// Names the keys of the body that mean nothing here and were dropped.
pub const IGNORED_KEYS: HeaderName = HeaderName::from_static("x-meseta-ignored-keys");
/// Bytes of that header.
const IGNORED_KEYS_BYTES_MAX: usize = 1_000;
/// A partial update is merged with the definition it was read against; when another update comes between, again.
const MERGE_TRIES_MAX: usize = 8;

/// How a PUT or PATCH body relates to what is there.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub force: bool,
    /// Fields that the body leaves out stay as they are.
    pub partial: bool,
    pub mode: PutMode,
}

impl Change {
    pub fn parse(query: &Query, mode: PutMode) -> Result<Self, ApiError> {
        Ok(Self { force: query.flag("force", false)?, partial: query.flag("partialUpdate", true)?, mode })
    }
}

/// POST /v2/apps
pub async fn create(
    api: &Api,
    caller: &Caller,
    base: &str,
    force: bool,
    text: &str,
) -> Result<Response, ApiError> {
    let app = definition::create(text)?;
    let ignored = ignored_keys(&app);
    let (id, deployment) = (app.id.clone(), api.backend.fresh_deployment());
    let command = Command::PutApp { app: Box::new(app), mode: PutMode::Create, deployment, force };
    let done = api.propose(caller, None, command).await?;
    let started = Started::of(&done, &id)?;
    // The state may have moved on since; what was accepted is among the versions, or the app is gone already.
    let app = done.state.apps.get(&id).ok_or_else(|| ApiError::no_app(id.as_str()))?;
    let spec = app.versions.iter().find(|spec| spec.version == started.version).unwrap_or(&app.spec);
    let body = Json(AppView::fresh(spec, started.deployment)).into_response();
    Ok((StatusCode::CREATED, started.headers(), location(base, &id), ignored, body).into_response())
}

/// PUT and PATCH /v2/apps/{id}
pub async fn update(
    api: &Api,
    caller: &Caller,
    base: &str,
    (id, text): (&str, &str),
    change: Change,
) -> Result<Response, ApiError> {
    let id = AppId::parse(id).map_err(|error| {
        ApiError::invalid(vec![PathErrors { path: "/id".into(), errors: vec![error.to_string()] }])
    })?;
    for _ in 0..MERGE_TRIES_MAX {
        let state = api.backend.read().await?;
        let (app, expected) = merged(&state, &id, text, change)?;
        let ignored = ignored_keys(&app);
        let deployment = api.backend.fresh_deployment();
        let command =
            Command::PutApp { app: Box::new(app), mode: change.mode, deployment, force: change.force };
        let done = api.propose_unchecked(caller, expected, command).await?;
        if let Err(Reject::VersionMoved { .. }) = done.result {
            continue;
        }
        let done = done.accepted()?;
        let started = Started::of(&done, &id)?;
        let body = started.body();
        return Ok(if started.created {
            (StatusCode::CREATED, location(base, &id), ignored, body).into_response()
        } else {
            (ignored, body).into_response()
        });
    }
    Err(ApiError::unavailable("The app kept changing while this update was merged with it"))
}

/// PUT and PATCH /v2/apps: an array of apps. All are checked before the first is proposed, but each is a command and
/// a deployment of its own; the answer is about the last. When one is refused, the message names those before it.
pub async fn update_many(
    api: &Api,
    caller: &Caller,
    text: &str,
    change: Change,
) -> Result<Response, ApiError> {
    let state = api.backend.read().await?;
    let apps = definition::update_many(&state, text, change.partial)?;
    if change.mode == PutMode::Update {
        apps.iter().try_for_each(|app| find(&state, app.id.as_str()).map(|_| ()))?;
    }
    let mut changed: Vec<String> = Vec::new();
    let mut last = None;
    for app in apps {
        let (id, deployment) = (app.id.clone(), api.backend.fresh_deployment());
        let base = state.app(&id).filter(|_| change.partial).map(|app| app.spec.version);
        let command =
            Command::PutApp { app: Box::new(app), mode: change.mode, deployment, force: change.force };
        let started = match api.propose(&caller.for_part(id.as_str()), base, command).await {
            Ok(done) => Started::of(&done, &id)?,
            Err(mut error) if !changed.is_empty() => {
                error.body.message += &format!(" (already changed: {})", changed.join(", "));
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        changed.push(id.to_string());
        last = Some(started);
    }
    let last = last.ok_or_else(|| {
        ApiError::invalid(vec![PathErrors { path: "/".into(), errors: vec!["names no app".into()] }])
    })?;
    Ok(last.body())
}

/// The definition that a body asks for, and the version that must still be current when it is applied.
fn merged(
    state: &State,
    id: &AppId,
    text: &str,
    change: Change,
) -> Result<(AppSpec, Option<Timestamp>), ApiError> {
    let current = state.app(id);
    if current.is_none() && change.mode == PutMode::Update {
        return Err(ApiError::no_app(id.as_str()));
    }
    match definition::update(text, id, current.map(|app| &*app.spec), change.partial)? {
        // A whole definition replaces whatever is there by the time it is applied.
        Update::Define(spec) => Ok((*spec, current.filter(|_| change.partial).map(|app| app.spec.version))),
        Update::RollBack(version) => {
            let app = find(state, id.as_str())?;
            let spec = app.versions.iter().find(|spec| spec.version == version);
            let spec = spec.ok_or_else(|| no_version(id.as_str(), version))?;
            Ok(((**spec).clone(), Some(app.spec.version)))
        }
    }
}

/// POST /v2/apps/{id}/restart
pub async fn restart(api: &Api, caller: &Caller, id: &str, force: bool) -> Result<Response, ApiError> {
    let app = app_id(id).ok_or_else(|| ApiError::no_app(id))?;
    let deployment = api.backend.fresh_deployment();
    let command = Command::RestartApp { app: app.clone(), deployment, force };
    Ok(Started::of(&api.propose(caller, None, command).await?, &app)?.body())
}

/// DELETE /v2/apps/{id}
pub async fn delete(api: &Api, caller: &Caller, id: &str, force: bool) -> Result<Response, ApiError> {
    let app = app_id(id).ok_or_else(|| ApiError::no_app(id))?;
    let deployment = api.backend.fresh_deployment();
    let command = Command::DeleteApp { app: app.clone(), deployment, force };
    Ok(Started::of(&api.propose(caller, None, command).await?, &app)?.body())
}

/// The deployment that a command started.
pub struct Started {
    pub deployment: DeploymentId,
    pub version: Timestamp,
    pub created: bool,
}

impl Started {
    pub fn of(done: &Proposed, app: &AppId) -> Result<Self, ApiError> {
        match &done.outcome {
            Outcome::Deployed { deployment, version, created, .. } => {
                Ok(Self { deployment: *deployment, version: *version, created: *created })
            }
            outcome => {
                tracing::error!(%app, ?outcome, "a change of an app was answered with something else");
                Err(ApiError::unavailable("The cluster's answer was not about a deployment"))
            }
        }
    }

    fn headers(&self) -> [(HeaderName, String); 1] {
        [(DEPLOYMENT_ID, self.deployment.to_string())]
    }

    /// `{"version": …, "deploymentId": …}` with its header.
    pub fn body(&self) -> Response {
        let result = DeploymentResult { version: Shown(self.version), deployment_id: self.deployment };
        (self.headers(), Json(result)).into_response()
    }
}

fn location(base: &str, id: &AppId) -> [(HeaderName, String); 1] {
    [(header::LOCATION, format!("{base}/v2/apps{id}"))]
}

fn ignored_keys(app: &AppSpec) -> Option<[(HeaderName, HeaderValue); 1]> {
    let mut text = String::new();
    for key in &app.unknown_keys {
        let plain: String =
            key.chars().map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '?' }).collect();
        let separator = if text.is_empty() { "" } else { ", " };
        if text.len() + separator.len() + plain.len() > IGNORED_KEYS_BYTES_MAX {
            text.push_str(", ...");
            break;
        }
        text.push_str(separator);
        text.push_str(&plain);
    }
    let value = HeaderValue::from_bytes(text.as_bytes()).ok().filter(|_| !text.is_empty());
    value.map(|value| [(IGNORED_KEYS, value)])
}
