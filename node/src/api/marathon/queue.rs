//! `/v2/queue`: apps that want more instances than they have, and why they wait.

use axum::Json;
use axum::extract::{Extension, Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::state::App;
use model::{Command, Timestamp};
use serde::Serialize;

use super::definition;
use super::path::app_id;
use super::view::Shown;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::query::Query;

#[derive(Serialize)]
struct Queue<'a> {
    queue: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    count: u32,
    since: Shown<Timestamp>,
    delay: Delay,
    processed_offers_summary: Summary<'a>,
    app: definition::View<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delay {
    time_left_seconds: u64,
    overdue: bool,
}

/// Marathon counts offers here. There are none in this program, but this is where its clients look for a reason.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    processed_offers_count: u32,
    unused_offers_count: u32,
    reject_summary_last_offers: Vec<Rejected<'a>>,
    reject_summary_launch_attempt: Vec<Rejected<'a>>,
}

#[derive(Serialize)]
struct Rejected<'a> {
    reason: &'a str,
    declined: u32,
    processed: u32,
}

/// GET /v2/queue
pub async fn list(Extract(api): Extract<Api>, query: Query) -> Result<Response, ApiError> {
    let state = api.read(&query).await?;
    let now = api.backend.now();
    let waiting = state.apps.values().filter(|app| !app.deleted && missing(app) > 0);
    let queue = waiting.map(|app| item(app, now)).collect();
    Ok(Json(Queue { queue }).into_response())
}

fn missing(app: &App) -> u32 {
    let wanted = app.tasks.values().filter(|task| task.is_wanted()).count();
    app.spec.instances.saturating_sub(u32::try_from(wanted).unwrap_or(u32::MAX))
}

fn item(app: &App, now: Timestamp) -> Item<'_> {
    let left_ms = app.backoff.until().ms_since(now);
    let reasons = || {
        let reason = Some(app.waiting.as_str()).filter(|reason| !reason.is_empty());
        reason.map(|reason| Rejected { reason, declined: 1, processed: 1 }).into_iter().collect()
    };
    Item {
        count: missing(app),
        since: Shown(app.backoff.since.max(app.spec.version)),
        delay: Delay { time_left_seconds: left_ms.div_ceil(1000), overdue: left_ms == 0 },
        processed_offers_summary: Summary {
            processed_offers_count: 0,
            unused_offers_count: 0,
            reject_summary_last_offers: reasons(),
            reject_summary_launch_attempt: reasons(),
        },
        app: definition::view(&app.spec),
    }
}

/// DELETE /v2/queue/{id}/delay
pub async fn reset_delay(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(rest): Path<String>,
) -> Result<Response, ApiError> {
    let id = rest.trim_end_matches('/').strip_suffix("/delay");
    let id = id.ok_or_else(|| ApiError::not_found(format!("There is nothing at /v2/queue/{rest}")))?;
    let not_queued = || ApiError::not_found(format!("Application {id} not found in tasks queue."));
    let app = app_id(id).ok_or_else(not_queued)?;
    let state = api.backend.read().await?;
    if state.app(&app).is_none_or(|app| missing(app) == 0) {
        return Err(not_queued());
    }
    api.propose(&caller, None, Command::ResetDelay { app }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
