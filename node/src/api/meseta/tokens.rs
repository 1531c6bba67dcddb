//! API tokens: who has one, making one, revoking one. The same rules as on the console's page of settings.

use axum::Json;
use axum::extract::{Extension, Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::token::{self, DAYS_MAX};
use model::Command;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body::{self, Text};
use crate::api::error::{ApiError, PathErrors};

/// GET /meseta/v1/tokens
pub async fn list(Extract(api): Extract<Api>) -> Json<Value> {
    let state = api.backend.state();
    let mut tokens: Vec<_> = state.tokens.values().collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = tokens.iter().map(|token| {
        json!({
            "name": token.name,
            "created_at": token.created_at.to_string(),
            "expires_at": token.expires_at.map(|at| at.to_string()),
        })
    });
    Json(json!({ "tokens": shown.collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    /// 0 lasts until it is revoked.
    #[serde(default = "a_quarter")]
    days: u64,
}

fn a_quarter() -> u64 {
    90
}

/// POST /meseta/v1/tokens
pub async fn create(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    let Wish { name, days } = body::json(&text)?;
    let Some((token, secret)) = token::issue(name.clone(), days, api.backend.now()) else {
        let errors = vec![format!("is {days}; expected 0 (never expires) to {DAYS_MAX}")];
        return Err(ApiError::invalid(vec![PathErrors { path: "/days".into(), errors }]));
    };
    let expires_at = token.expires_at.map(|at| at.to_string());
    api.propose(&caller, None, Command::PutToken { token }).await?;
    let answer = json!({ "name": name, "token": secret, "expires_at": expires_at });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// DELETE /meseta/v1/tokens/{name}
pub async fn revoke(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if !api.backend.state().tokens.values().any(|token| token.name == name) {
        return Err(ApiError::not_found(format!("there is no token named {name:?}")));
    }
    api.propose(&caller, None, Command::DeleteToken { name: name.clone() }).await?;
    Ok(Json(json!({ "revoked": name })))
}
