//! The reading side of `/v2/apps`.

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use model::State;
use model::state::App;
use serde::Serialize;

use super::path::app_id;
use super::selector::Selector;
use super::view::{AppView, Deployments, Embed, Shown};
use crate::api::Api;
use crate::api::error::{ApiError, PathErrors};
use crate::api::query::Query;

#[derive(Serialize)]
struct Apps<'a> {
    apps: Vec<AppView<'a>>,
}

/// GET /v2/apps
pub async fn list(Extract(api): Extract<Api>, query: Query) -> Result<Response, ApiError> {
    let state = api.read(&query).await?;
    let filter = Filter::parse(&query)?;
    let embed = Embed::parse(query.all("embed"));
    let deployments = Deployments::gather(&state);
    let apps = state.apps.values().filter(|app| !app.deleted && filter.matches(app));
    let apps = apps.map(|app| AppView::new(&state, app, &deployments, embed)).collect();
    Ok(Json(Apps { apps }).into_response())
}

/// GET /v2/apps/{id}
pub fn one(state: &State, id: &str) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct One<'a> {
        app: AppView<'a>,
    }
    let app = find(state, id)?;
    let app = AppView::new(state, app, &Deployments::gather(state), Embed::ALL);
    Ok(Json(One { app }).into_response())
}

/// GET /v2/apps/{group}/*
pub fn below(state: &State, group: &str) -> Response {
    #[derive(Serialize)]
    struct Below<'a> {
        #[serde(rename = "*")]
        apps: Vec<AppView<'a>>,
    }
    let deployments = Deployments::gather(state);
    let view = |app| AppView::new(state, app, &deployments, Embed::ALL);
    Json(Below { apps: apps_below(state, group).map(view).collect() }).into_response()
}

/// GET /v2/apps/{id}/versions
pub fn versions(state: &State, id: &str) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Versions {
        versions: Vec<Shown<model::Timestamp>>,
    }
    let versions = find(state, id)?.versions.iter().rev().map(|spec| Shown(spec.version)).collect();
    Ok(Json(Versions { versions }).into_response())
}

/// GET /v2/apps/{id}/versions/{version}: the bare definition.
pub fn version(state: &State, id: &str, version: model::Timestamp) -> Result<Response, ApiError> {
    let app = find(state, id)?;
    let spec =
        app.versions.iter().find(|spec| spec.version == version).ok_or_else(|| no_version(id, version))?;
    Ok(Json(super::definition::view(spec)).into_response())
}

pub fn no_version(id: &str, version: model::Timestamp) -> ApiError {
    ApiError::not_found(format!("App '{id}' does not exist in version {version}"))
}

pub fn find<'a>(state: &'a State, id: &str) -> Result<&'a App, ApiError> {
    let app = app_id(id).and_then(|id| state.app(&id));
    app.map(|app| &**app).ok_or_else(|| ApiError::no_app(id))
}

/// Apps at or below a path; `/` is above all.
pub fn apps_below<'a>(state: &'a State, group: &'a str) -> impl Iterator<Item = &'a App> + 'a {
    let is_below = move |app: &App| {
        let rest = app.spec.id.as_str().strip_prefix(group.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    state.apps.values().map(|app| &**app).filter(move |app| !app.deleted && is_below(app))
}

/// `cmd`, `id` and `label` of the list.
struct Filter {
    cmd: Option<String>,
    id: Option<String>,
    labels: Option<Selector>,
}

impl Filter {
    fn parse(query: &Query) -> Result<Self, ApiError> {
        let lower = |key| query.get(key).filter(|v| !v.is_empty()).map(str::to_lowercase);
        let labels = query.get("label").filter(|v| !v.trim().is_empty()).map(Selector::parse).transpose();
        let fault = |error: String| {
            ApiError::invalid(vec![PathErrors { path: "/label".into(), errors: vec![error] }])
        };
        Ok(Self { cmd: lower("cmd"), id: lower("id"), labels: labels.map_err(fault)? })
    }

    fn matches(&self, app: &App) -> bool {
        let spec = &app.spec;
        let cmd = || spec.cmd.as_deref().unwrap_or("").to_lowercase();
        self.cmd.as_ref().is_none_or(|part| cmd().contains(part))
            && self.id.as_ref().is_none_or(|part| spec.id.as_str().contains(part))
            && self.labels.as_ref().is_none_or(|labels| labels.matches(&spec.labels))
    }
}
