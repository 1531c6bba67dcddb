//! The nodes of the cluster: who they are, letting in more, removing one.

use axum::Json;
use axum::extract::{Extension, Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::{Invitation, InviteError, MemberRole};
use model::{Command, NodeId, servers};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body::{self, Text};
use crate::api::error::{ApiError, PathErrors};

const HOUR_MS: u64 = 3_600_000;
const HOURS_MAX: u64 = 8_760;

/// GET /meseta/v1/nodes
pub async fn list(Extract(api): Extract<Api>) -> Json<Value> {
    let nodes = api.backend.members();
    let votes = |role| matches!(role, MemberRole::Leader | MemberRole::Voter);
    let voters = nodes.iter().filter(|node| votes(node.role)).count();
    Json(json!({ "nodes": nodes, "survives": servers::losses_survived(voters) }))
}

/// DELETE /meseta/v1/nodes/{node}
pub async fn remove(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let named = |id: &NodeId| id.to_string() == node;
    let id = api.backend.state().members.keys().find(|id| named(id)).copied();
    let id = id.ok_or_else(|| ApiError::not_found(format!("node {node:?} is not a member")))?;
    tracing::warn!(actor = ?caller.actor, client = caller.origin.client_ip, node, "removal asked for by the API");
    api.propose(&caller, None, Command::RemoveNode { node: id }).await?;
    Ok(Json(json!({ "removed": node })))
}

/// GET /meseta/v1/join-tokens
pub async fn tokens(Extract(api): Extract<Api>) -> Json<Value> {
    let state = api.backend.state();
    let mut tokens: Vec<_> = state.join_tokens.values().collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = tokens.iter().map(|token| {
        json!({
            "name": token.name,
            "uses_left": token.uses_left,
            "created_at": token.created_at.to_string(),
            "expires_at": token.expires_at.to_string(),
        })
    });
    Json(json!({ "tokens": shown.collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    #[serde(default = "one")]
    uses: u32,
    #[serde(default = "a_day")]
    hours: u64,
}

fn one() -> u32 {
    1
}

fn a_day() -> u64 {
    24
}

/// POST /meseta/v1/join-tokens
pub async fn invite(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    let Wish { name, uses, hours } = body::json(&text)?;
    if !(1..=HOURS_MAX).contains(&hours) {
        let errors = vec![format!("is {hours}; expected 1 to {HOURS_MAX}")];
        return Err(ApiError::invalid(vec![PathErrors { path: "/hours".into(), errors }]));
    }
    let expires_at = api.backend.now().plus_ms(hours * HOUR_MS);
    let invitation =
        Invitation { name, uses, expires_at, actor: caller.actor.clone(), origin: caller.origin.clone() };
    let token = api.backend.invite(invitation).await.map_err(|error| match error {
        InviteError::Rejected(reject) => ApiError::from(reject),
        InviteError::Unavailable(unavailable) => unavailable.into(),
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "token": token }))).into_response())
}

/// DELETE /meseta/v1/join-tokens/{name}
pub async fn revoke(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    api.propose(&caller, None, Command::DeleteJoinToken { name: name.clone() }).await?;
    Ok(Json(json!({ "revoked": name })))
}
