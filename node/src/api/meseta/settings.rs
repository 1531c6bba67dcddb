//! What the cluster does by itself: evening out the load, having lost nodes powered off.

use axum::Json;
use axum::extract::{Extension, State as Extract};
use model::Command;
use model::settings::{Rebalance, Settings, SettingsChange};
use serde::Deserialize;

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body::{self, Text};
use crate::api::error::ApiError;

/// GET /meseta/v1/settings
pub async fn show(Extract(api): Extract<Api>) -> Json<Settings> {
    Json(api.backend.state().settings.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    rebalance: Option<Rebalance>,
    fence_hook: Option<String>,
}

/// PATCH /meseta/v1/settings
pub async fn change(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Json<Settings>, ApiError> {
    let Change { rebalance, fence_hook } = body::json(&text)?;
    let change = SettingsChange { rebalance, fence_hook };
    let proposed = api.propose(&caller, None, Command::ChangeSettings { change }).await?;
    Ok(Json(proposed.state.settings.clone()))
}
