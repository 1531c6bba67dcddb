//! The nodes of the cluster: who they are, what they may do, letting in more, removing one, moving a task off one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::{Invitation, InviteError, MemberRole};
use model::membership::{Availability, NodeChange};
use model::rebalance::{self, Move};
use model::{Command, NodeId, State, TaskId, servers};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    availability: Option<Availability>,
    name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Option<String>>,
}

/// PATCH /meseta/v1/nodes/{node}
pub async fn change(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    Text(text): Text,
) -> Result<Json<Value>, ApiError> {
    let Change { availability, name, attributes } = body::json(&text)?;
    let id = find(&api, &node)?;
    let change = NodeChange { availability, name, attributes };
    api.propose(&caller, None, Command::ChangeNode { node: id, change }).await?;
    Ok(Json(json!({ "changed": node })))
}

/// POST /meseta/v1/nodes/{node}/key: the node makes a new one, and what it had is dead.
pub async fn renew_key(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
) -> Result<Response, ApiError> {
    let id = find(&api, &node)?;
    api.propose(&caller, None, Command::RenewKeys { nodes: vec![id] }).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "renews": node }))).into_response())
}

/// The member of that id.
pub fn find(api: &Api, node: &str) -> Result<NodeId, ApiError> {
    let id = api.backend.state().members.keys().find(|id| id.to_string() == node).copied();
    id.ok_or_else(|| ApiError::not_found(format!("node {node:?} is not a member")))
}

/// POST /meseta/v1/tasks/{id}/move
pub async fn move_task(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    propose_move(&api, &caller, &id, false).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "moves": id }))).into_response())
}

/// DELETE /meseta/v1/tasks/{id}/move
pub async fn leave_task(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    propose_move(&api, &caller, &id, true).await?;
    Ok(Json(json!({ "stays": id })))
}

async fn propose_move(api: &Api, caller: &Caller, id: &str, cancel: bool) -> Result<(), ApiError> {
    // One that is to end already is nobody's to move.
    let state = api.backend.state();
    let is_wanted = |task: &TaskId| state.task(task).is_some_and(|(_, task)| task.is_wanted());
    let task = TaskId::parse(id).ok().filter(is_wanted);
    let task = task.ok_or_else(|| ApiError::not_found(format!("there is no live task {id:?}")))?;
    api.propose(caller, None, Command::MoveTasks { tasks: vec![task], cancel }).await?;
    Ok(())
}

/// GET /meseta/v1/rebalance
pub async fn balance(Extract(api): Extract<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "moves": moves(api.backend.state()).await? })))
}

/// POST /meseta/v1/rebalance: does what the plan says now.
pub async fn rebalance(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let moves = moves(api.backend.read().await?).await?;
    let tasks = moves.iter().map(|step| step.task.clone()).collect();
    api.propose(&caller, None, Command::MoveTasks { tasks, cancel: false }).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "moves": moves }))).into_response())
}

/// Many plans of the scheduler: not on a thread that answers others.
async fn moves(state: Arc<State>) -> Result<Vec<Move>, ApiError> {
    let planned = tokio::task::spawn_blocking(move || rebalance::plan(&state)).await;
    planned.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// DELETE /meseta/v1/nodes/{node}
pub async fn remove(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = find(&api, &node)?;
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
