//! GET /meseta/v1/tasks/{id}/logs/{stream}: a task's output as raw bytes, by offset or as it is written.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use console::{LogChunk, LogStream};
use futures::StreamExt;
use model::TaskId;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::query::Query;

/// Bytes of one answer when the request does not say.
pub const LOG_BYTES_DEFAULT: u64 = 64 * 1024;
pub const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Position of the first byte of the body in all that the task ever wrote.
pub const OFFSET: HeaderName = HeaderName::from_static("x-meseta-offset");
/// Position of the oldest byte still kept.
pub const FIRST_OFFSET: HeaderName = HeaderName::from_static("x-meseta-first-offset");
/// Where the next read goes on.
pub const END: HeaderName = HeaderName::from_static("x-meseta-end");

/// `offset` and `time` absent: the last `limit` bytes. `follow=true`: from there on until the task has ended.
pub async fn read(
    Extract(api): Extract<Api>,
    Path((task, stream)): Path<(String, String)>,
    query: Query,
) -> Result<Response, ApiError> {
    let (name, stream) = stream_of(&stream)?;
    let task = TaskId::parse(&task).map_err(|error| ApiError::no_task(&error.value))?;
    let limit = query.number("limit")?.unwrap_or(LOG_BYTES_DEFAULT);
    if limit == 0 || limit > LOG_BYTES_MAX {
        return Err(ApiError::bad_request(format!("limit must be 1 to {LOG_BYTES_MAX}, not {limit}")));
    }
    let limit = usize::try_from(limit).expect("at most a megabyte");
    let offset = match query.get("time") {
        None => query.number("offset")?,
        Some(text) => {
            let time = model::Timestamp::parse(text).ok_or_else(|| {
                ApiError::bad_request(format!("time must be like 2026-11-22T13:05:00Z, not {text:?}"))
            })?;
            Some(api.backend.sandboxes().log_times(&task, stream).await?.offset_at(time.0))
        }
    };
    let chunk = api.backend.read_log(&task, stream, offset, limit).await?;
    let headers = headers(&task, name, &chunk);
    if !query.flag("follow", false)? {
        return Ok((headers, [(END, chunk.end().to_string())], chunk.data).into_response());
    }
    let follow = api.backend.follow_log(&task, stream, chunk.offset).await?;
    let body = Body::from_stream(follow.map(|chunk| Ok::<_, Infallible>(chunk.data)));
    Ok((headers, body).into_response())
}

/// A stream by the name it has in addresses.
pub fn stream_of(name: &str) -> Result<(&'static str, LogStream), ApiError> {
    match name {
        "stdout" => Ok(("stdout", LogStream::Stdout)),
        "stderr" => Ok(("stderr", LogStream::Stderr)),
        other => Err(ApiError::not_found(format!("A task has stdout and stderr, not {other:?}"))),
    }
}

/// Output is a stranger's text: never shown inside a page of ours.
fn headers(task: &TaskId, stream: &str, chunk: &LogChunk) -> [(HeaderName, String); 5] {
    [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{task}.{stream}.txt\"")),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (OFFSET, chunk.offset.to_string()),
        (FIRST_OFFSET, chunk.first_offset.to_string()),
    ]
}
