//! POST /meseta/v1/claim and /meseta/v1/join: what becomes of an unclaimed node, without a browser.

use axum::extract::{FromRequest, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::api::auth::caller_without_login;
use crate::api::body::{self, Text};
use crate::api::error::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    code: String,
    password: String,
}

pub async fn claim(Extract(api): Extract<Api>, request: Request) -> Result<Response, ApiError> {
    let origin = caller_without_login(&request)?;
    let Text(text) = Text::from_request(request, &()).await?;
    let Claim { code, password } = body::json(&text)?;
    api.backend.claim(&code, &password, origin).await?;
    Ok(axum::Json(json!({ "user": "admin", "cluster": api.backend.state().cluster })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    code: String,
    token: String,
}

/// The node starts anew as a member; the answer comes before that.
pub async fn join(Extract(api): Extract<Api>, request: Request) -> Result<Response, ApiError> {
    let origin = caller_without_login(&request)?;
    let Text(text) = Text::from_request(request, &()).await?;
    let Join { code, token } = body::json(&text)?;
    api.backend.join(&code, &token, origin).await?;
    let message = "the node has joined and starts anew as a member";
    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "message": message }))).into_response())
}
