//! The files of a task, what it uses, and searches of its output. See `console::attachment` for how files are sent.

use axum::Json;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::HeaderMap;
use axum::response::Response;
use console::attachment;
use console::sandbox::{Entry, LogSearch, Opened, SandboxPath, path_of_query, shown};
use model::{TaskId, Timestamp};
use serde_json::{Value, json};

use super::logs::stream_of;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::query::Query;

pub const ENTRIES_DEFAULT: u64 = 1_000;
pub const ENTRIES_MAX: u64 = 10_000;
pub const FINDS_DEFAULT: u64 = 100;
pub const FINDS_MAX: u64 = 1_000;
const SEARCH_BYTES_MAX: usize = 200;

pub fn task_of(id: &str) -> Result<TaskId, ApiError> {
    TaskId::parse(id).map_err(|error| ApiError::no_task(&error.value))
}

fn path_of(query: &Option<String>) -> Result<SandboxPath, ApiError> {
    let path = path_of_query(query.as_deref().unwrap_or_default());
    path.map_err(|error| ApiError::bad_request(error.to_string()))
}

/// A number of the query from 1 to `max`.
pub fn limit(query: &Query, default: u64, max: u64) -> Result<usize, ApiError> {
    let limit = query.number("limit")?.unwrap_or(default);
    if limit == 0 || limit > max {
        return Err(ApiError::bad_request(format!("limit must be 1 to {max}, not {limit}")));
    }
    usize::try_from(limit).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// GET /meseta/v1/tasks/{id}/files
pub async fn list(
    Extract(api): Extract<Api>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let (task, path) = (task_of(&id)?, path_of(&raw)?);
    let limit = limit(&query, ENTRIES_DEFAULT, ENTRIES_MAX)?;
    let skip = usize::try_from(query.number("skip")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let listing = api.backend.sandboxes().list(&task, &path, skip, limit).await?;
    let entries: Vec<Value> = listing.entries.iter().map(|e| entry(&path, e)).collect();
    Ok(Json(json!({ "entries": entries, "total": listing.total, "truncated": listing.truncated })))
}

/// Names are bytes: `name` is for reading, `path` is exact and fits into a query.
fn entry(folder: &SandboxPath, entry: &Entry) -> Value {
    json!({
        "name": shown(&entry.name),
        "path": folder.child(&entry.name).encoded(),
        "kind": entry.kind,
        "size": entry.size,
        "modified": Timestamp(entry.modified_ms).to_string(),
        "target": entry.target.as_deref().map(shown),
    })
}

/// GET /meseta/v1/tasks/{id}/file
pub async fn file(
    Extract(api): Extract<Api>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (task, path) = (task_of(&id)?, path_of(&raw)?);
    match api.backend.sandboxes().open(&task, &path).await? {
        Opened::File(file) => Ok(attachment::file(file, path.name(), &headers)),
        Opened::Folder => Err(ApiError::bad_request("path: a file is expected, this is a folder")),
    }
}

/// GET /meseta/v1/tasks/{id}/archive
pub async fn archive(
    Extract(api): Extract<Api>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let (task, path) = (task_of(&id)?, path_of(&raw)?);
    let bytes = api.backend.sandboxes().archive(&task, &path).await?;
    let folder = if path.is_root() { b"sandbox".as_slice() } else { path.name() };
    Ok(attachment::archive(bytes, &[folder, b".tar"].concat()))
}

/// GET /meseta/v1/tasks/{id}/logs/{stream}/search
pub async fn search(
    Extract(api): Extract<Api>,
    Path((id, stream)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let (task, (_, stream)) = (task_of(&id)?, stream_of(&stream)?);
    let text = query.get("text").unwrap_or_default().to_owned();
    if text.is_empty() || text.len() > SEARCH_BYTES_MAX {
        let length = text.len();
        return Err(ApiError::bad_request(format!(
            "text must have 1 to {SEARCH_BYTES_MAX} bytes, not {length}"
        )));
    }
    let limit = limit(&query, FINDS_DEFAULT, FINDS_MAX)?;
    let search = LogSearch { text, from: query.number("from")?.unwrap_or(0), limit };
    let found = api.backend.sandboxes().search(&task, stream, &search).await?;
    let hit = |hit: &console::sandbox::LogHit| json!({ "offset": hit.offset, "line": shown(&hit.line) });
    let hits: Vec<Value> = found.hits.iter().map(hit).collect();
    Ok(Json(json!({ "hits": hits, "searched_to": found.searched_to, "complete": found.complete })))
}

/// GET /meseta/v1/tasks/{id}/usage
pub async fn usage(Extract(api): Extract<Api>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let usage = api.backend.sandboxes().usage(&task_of(&id)?).await?;
    Ok(Json(json!(usage)))
}
