//! POST /meseta/v1/claim: taking an unclaimed cluster without a browser.

use axum::extract::{FromRequest, Request, State as Extract};
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
