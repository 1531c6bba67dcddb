//! POST /meseta/v1/backup, and POST /meseta/v1/restore on a node that nobody has claimed.

use axum::Json;
use axum::extract::{Extension, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::multipart::{BACKUP_FORM_BYTES_MAX, Form, FormError};
use console::{BackupError, BackupWish, Restoration, RestoreError, attachment};
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::api::auth::{Caller, caller_without_login};
use crate::api::body::{self, Text};
use crate::api::error::{ApiError, PathErrors};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    passphrase: Option<String>,
    #[serde(default)]
    stale: bool,
}

pub async fn back_up(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    let Wish { passphrase, stale } = body::json(&text)?;
    let Caller { actor, origin, .. } = caller;
    let file = api.backend.back_up(BackupWish { passphrase, stale, actor, origin }).await?;
    Ok(attachment::text(file.bytes, file.name.as_bytes()))
}

pub async fn restore(Extract(api): Extract<Api>, request: Request) -> Result<Response, ApiError> {
    let origin = caller_without_login(&request)?;
    // Before anything of what may be large is read: on a claimed node this door is nobody's.
    if api.backend.state().is_claimed() {
        return Err(RestoreError::AlreadyClaimed.into());
    }
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body, BACKUP_FORM_BYTES_MAX).await;
    let mut form = form.map_err(|error| match error {
        FormError::TooLarge { limit } => ApiError::too_large(limit),
        FormError::NoForm | FormError::Malformed => ApiError::bad_request(error.to_string()),
        FormError::Slow => ApiError::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
        FormError::Busy => ApiError::unavailable(error.to_string()),
    })?;
    let file = form.take("file");
    let text = |name| form.text(name).to_owned();
    let (code, passphrase, password) = (text("code"), text("passphrase"), text("password"));
    api.backend.restore(Restoration { code, passphrase, password, file, origin }).await?;
    Ok(Json(json!({ "cluster": api.backend.state().cluster })).into_response())
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::BadPassphrase => at("/passphrase", &error),
            BackupError::Failed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            BackupError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<RestoreError> for ApiError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::WrongCode => Self::forbidden(error.to_string()),
            RestoreError::TooManyTries { seconds } => Self::too_many_tries(error.to_string(), seconds),
            RestoreError::AlreadyClaimed => Self::new(StatusCode::CONFLICT, error.to_string()),
            RestoreError::BadPassword | RestoreError::PasswordMissing => at("/password", &error),
            RestoreError::WrongPassphrase | RestoreError::PassphraseMissing => at("/passphrase", &error),
            RestoreError::BadFile(_) => at("/file", &error),
            RestoreError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

fn at(path: &'static str, error: &impl std::fmt::Display) -> ApiError {
    ApiError::invalid(vec![PathErrors { path: path.into(), errors: vec![error.to_string()] }])
}
