//! The answering node: what it says of itself, and its power switch.

use axum::Json;
use axum::extract::{Extension, Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::Power;
use serde::Deserialize;
use serde_json::{Value, json};

use super::nodes;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body::{self, Text};
use crate::api::error::ApiError;

/// GET /meseta/v1/node
pub async fn show(Extract(api): Extract<Api>) -> Result<Json<Value>, ApiError> {
    let status = api.backend.node();
    let id = status.id.to_string();
    let mut view = serde_json::to_value(status)
        .map_err(|error| ApiError::unavailable(format!("The node's status cannot be written: {error}")))?;
    // Shown as everywhere else: as a number of 64 bits it would lose digits in a browser.
    view["id"] = Value::String(id);
    Ok(Json(view))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Reboot,
    Off,
}

/// POST /meseta/v1/node/power: of the node that answers.
pub async fn power(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    switch(&api, &caller, &text).await
}

/// POST /meseta/v1/nodes/{node}/power: it has been handed on to that node before it gets here.
pub async fn power_of(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    if nodes::find(&api, &node)? != api.backend.node().id {
        return Err(ApiError::unavailable(format!("node {node:?} does not answer")));
    }
    switch(&api, &caller, &text).await
}

async fn switch(api: &Api, caller: &Caller, text: &str) -> Result<Response, ApiError> {
    let power = match body::json::<Wish>(text)?.action {
        Action::Reboot => Power::Reboot,
        Action::Off => Power::Off,
    };
    tracing::warn!(actor = ?caller.actor, client = caller.origin.client_ip, ?power, "asked for by the API");
    api.backend.power(power).await.map_err(ApiError::unavailable)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "message": "init has accepted the request" }))).into_response())
}

/// GET /meseta/v1/state-hash: equal on every node at the same index, or something is wrong.
pub async fn state_hash(Extract(api): Extract<Api>) -> Json<Value> {
    let state = api.backend.state();
    let hash: String = state.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    Json(json!({ "index": state.index, "hash": hash }))
}
