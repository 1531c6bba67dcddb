//! The cluster's certificate authority, and replacing it.

use axum::Json;
use axum::extract::{Extension, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::membership::Succession;
use model::{Command, State};
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::peers::authority;
use crate::peers::key::fingerprint_of;

/// GET /meseta/v1/authority
pub async fn show(Extract(api): Extract<Api>) -> Result<Json<Value>, ApiError> {
    view(&api.backend.state()).map(Json)
}

/// POST /meseta/v1/authority: another one takes its place. Every member has a part in it, so it is over later.
pub async fn replace(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let next = api.backend.new_authority()?;
    api.propose(&caller, None, Command::ReplaceAuthority { next }).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&api.backend.state())?)).into_response())
}

fn view(state: &State) -> Result<Value, ApiError> {
    let present = state.authority.as_ref();
    let present = present.ok_or_else(|| ApiError::not_found("this cluster takes in no nodes yet"))?;
    let certificate = authority::certificate(&present.certificate)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let step = state.succession.as_ref().map(|succession| match succession {
        Succession::Trust { .. } => "trust",
        Succession::Certify { .. } => "certify",
    });
    let nodes = state.succession.iter().flat_map(Succession::pending);
    let pending: Vec<Value> =
        nodes.map(|id| json!({ "id": id.to_string(), "name": state.node_name(*id) })).collect();
    let fingerprint = fingerprint_of(&certificate);
    Ok(json!({ "number": present.number, "fingerprint": fingerprint, "step": step, "pending": pending }))
}
