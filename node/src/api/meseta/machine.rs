//! The machine beneath the answering node, and what the kernel and our own roles wrote.

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::response::Response;
use console::attachment;
use console::inspect::{InspectError, KernelQuery};
use serde_json::{Value, json};

use super::files::limit;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::query::Query;

pub const LINES_DEFAULT: u64 = 1_000;
pub const LINES_MAX: u64 = 100_000;
pub const BYTES_DEFAULT: u64 = 64 * 1024;
pub const BYTES_MAX: u64 = 1024 * 1024;

impl From<InspectError> for ApiError {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::NotFound => Self::not_found(error.to_string()),
            InspectError::Io(_) => Self::unavailable(error.to_string()),
        }
    }
}

/// GET /meseta/v1/node/hardware
pub async fn hardware(Extract(api): Extract<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(api.backend.inspector().hardware().await?)))
}

/// GET /meseta/v1/node/kernel-log
pub async fn kernel_log(Extract(api): Extract<Api>, query: Query) -> Result<Json<Value>, ApiError> {
    let level = query.number("level")?.unwrap_or(7);
    let level = u8::try_from(level).ok().filter(|level| *level <= 7);
    let level = level.ok_or_else(|| ApiError::bad_request("level must be 0 (emergency) to 7 (debug)"))?;
    let limit = limit(&query, LINES_DEFAULT, LINES_MAX)?;
    let query = KernelQuery { level, before: query.number("before")?, limit };
    Ok(Json(json!(api.backend.inspector().kernel_log(query).await?)))
}

/// GET /meseta/v1/node/services/{role}/log
pub async fn service_log(
    Extract(api): Extract<Api>,
    Path(role): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let limit = limit(&query, BYTES_DEFAULT, BYTES_MAX)?;
    let bytes = api.backend.inspector().service_log(&role, limit).await?;
    Ok(attachment::text(bytes, format!("{role}.log.txt").as_bytes()))
}
