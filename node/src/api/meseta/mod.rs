//! Our own API under `/meseta/v1`: what Marathon has no place for. Described by `openapi.json` beside this file.

mod claim;
mod logs;
mod node;

use axum::Router;
use axum::extract::Request;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};

use super::Api;
use super::error::ApiError;

pub const OPENAPI: &str = include_str!("openapi.json");

/// Routes that need a login.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/meseta/v1/node", get(node::show))
        .route("/meseta/v1/node/power", post(node::power))
        .route("/meseta/v1/tasks/{id}/logs/{stream}", get(logs::read))
        .route("/meseta/v1", any(nothing_here))
        .route("/meseta/v1/{*path}", any(nothing_here))
}

/// Routes that come before any login.
pub fn open_routes() -> Router<Api> {
    Router::new().route("/meseta/v1/claim", post(claim::claim)).route("/meseta/v1/openapi.json", get(openapi))
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn nothing_here(request: Request) -> ApiError {
    ApiError::not_found(format!("There is nothing at {}", request.uri().path()))
}
