//! Our own API under `/meseta/v1`: what Marathon has no place for. Described by `openapi.json` beside this file.

mod adopt;
mod authority;
mod backup;
mod claim;
mod files;
mod logs;
mod machine;
mod node;
mod nodes;
mod recover;
mod schedule;
mod settings;
mod tokens;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::IntoResponse;
use axum::routing::{self, MethodRouter, any};

use super::Api;
use super::error::ApiError;

pub const OPENAPI: &str = include_str!("openapi.json");

/// One operation, as the router and the description both have it.
pub struct Operation {
    pub method: Method,
    pub path: &'static str,
    /// Comes before any login.
    pub is_open: bool,
    handler: MethodRouter<Api>,
}

/// Everything under `/meseta/v1`; `openapi.json` describes exactly this, which a test compares.
pub fn operations() -> Vec<Operation> {
    let get = |path, handler| Operation { method: Method::GET, path, is_open: false, handler };
    let post = |path, handler| Operation { method: Method::POST, path, is_open: false, handler };
    let put = |path, handler| Operation { method: Method::PUT, path, is_open: false, handler };
    let delete = |path, handler| Operation { method: Method::DELETE, path, is_open: false, handler };
    let patch = |path, handler| Operation { method: Method::PATCH, path, is_open: false, handler };
    let open = |operation| Operation { is_open: true, ..operation };
    vec![
        open(post("/meseta/v1/claim", routing::post(claim::claim))),
        open(post("/meseta/v1/join", routing::post(claim::join))),
        open(post("/meseta/v1/restore", routing::post(backup::restore))),
        open(get("/meseta/v1/adopt", routing::get(adopt::identity))),
        open(post("/meseta/v1/adopt/begin", routing::post(adopt::begin))),
        open(post("/meseta/v1/adopt/finish", routing::post(adopt::finish))),
        open(get("/meseta/v1/openapi.json", routing::get(openapi))),
        get("/meseta/v1/node", routing::get(node::show)),
        post("/meseta/v1/node/power", routing::post(node::power)),
        get("/meseta/v1/nodes", routing::get(nodes::list)),
        patch("/meseta/v1/nodes/{node}", routing::patch(nodes::change)),
        delete("/meseta/v1/nodes/{node}", routing::delete(nodes::remove)),
        post("/meseta/v1/nodes/{node}/power", routing::post(node::power_of)),
        post("/meseta/v1/nodes/{node}/key", routing::post(nodes::renew_key)),
        get("/meseta/v1/authority", routing::get(authority::show)),
        post("/meseta/v1/authority", routing::post(authority::replace)),
        get("/meseta/v1/settings", routing::get(settings::show)),
        patch("/meseta/v1/settings", routing::patch(settings::change)),
        get("/meseta/v1/recover", routing::get(recover::prospects)),
        post("/meseta/v1/recover", routing::post(recover::recover)),
        get("/meseta/v1/rebalance", routing::get(nodes::balance)),
        post("/meseta/v1/rebalance", routing::post(nodes::rebalance)),
        get("/meseta/v1/unclaimed-nodes", routing::get(adopt::list)),
        post("/meseta/v1/unclaimed-nodes", routing::post(adopt::adopt)),
        get("/meseta/v1/join-tokens", routing::get(nodes::tokens)),
        post("/meseta/v1/join-tokens", routing::post(nodes::invite)),
        delete("/meseta/v1/join-tokens/{name}", routing::delete(nodes::revoke)),
        get("/meseta/v1/tokens", routing::get(tokens::list)),
        post("/meseta/v1/tokens", routing::post(tokens::create)),
        delete("/meseta/v1/tokens/{name}", routing::delete(tokens::revoke)),
        get("/meseta/v1/backup/schedule", routing::get(schedule::show)),
        put("/meseta/v1/backup/schedule", routing::put(schedule::set)),
        delete("/meseta/v1/backup/schedule", routing::delete(schedule::end)),
        post("/meseta/v1/backup/schedule/run", routing::post(schedule::run_now)),
        post("/meseta/v1/backup", routing::post(backup::back_up)),
        get("/meseta/v1/state-hash", routing::get(node::state_hash)),
        get("/meseta/v1/tasks/{id}/logs/{stream}", routing::get(logs::read)),
        get("/meseta/v1/tasks/{id}/logs/{stream}/search", routing::get(files::search)),
        get("/meseta/v1/tasks/{id}/files", routing::get(files::list)),
        get("/meseta/v1/tasks/{id}/file", routing::get(files::file)),
        get("/meseta/v1/tasks/{id}/archive", routing::get(files::archive)),
        get("/meseta/v1/tasks/{id}/usage", routing::get(files::usage)),
        post("/meseta/v1/tasks/{id}/move", routing::post(nodes::move_task)),
        delete("/meseta/v1/tasks/{id}/move", routing::delete(nodes::leave_task)),
        get("/meseta/v1/node/hardware", routing::get(machine::hardware)),
        get("/meseta/v1/node/kernel-log", routing::get(machine::kernel_log)),
        get("/meseta/v1/node/services/{role}/log", routing::get(machine::service_log)),
    ]
}

/// Routes that need a login, and 404 for what is not there.
pub fn routes() -> Router<Api> {
    let router =
        Router::new().route("/meseta/v1", any(nothing_here)).route("/meseta/v1/{*path}", any(nothing_here));
    assemble(router, false)
}

/// Routes that come before any login.
pub fn open_routes() -> Router<Api> {
    assemble(Router::new(), true)
}

fn assemble(router: Router<Api>, open: bool) -> Router<Api> {
    let wanted = operations().into_iter().filter(|operation| operation.is_open == open);
    wanted.fold(router, |router, operation| {
        tracing::debug!(method = %operation.method, path = operation.path, open, "serves");
        router.route(operation.path, operation.handler)
    })
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn nothing_here(request: Request) -> ApiError {
    ApiError::not_found(format!("There is nothing at {}", request.uri().path()))
}
