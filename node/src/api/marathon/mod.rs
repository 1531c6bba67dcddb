//! Marathon's API under `/v2`: what its clients, scripts and load balancers speak.

mod definition;
mod deployments;
mod events;
mod health_events;
mod info;
mod kill;
mod path;
mod queue;
mod read;
mod selector;
mod stream;
mod tasks;
mod view;
mod write;

use axum::Router;
use axum::extract::{Extension, FromRequest, Path, Request, State as Extract};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use model::command::PutMode;

use self::path::AppPath;
use self::write::Change;
use super::Api;
use super::auth::{Caller, host_of};
use super::body::Text;
use super::error::ApiError;
use super::query::Query;

pub use info::ping;

/// Everything behind the gate.
pub fn routes() -> Router<Api> {
    let apps = || get(read::list).post(create).put(put_many).patch(patch_many);
    Router::new()
        .route("/v2/apps", apps())
        .route("/v2/apps/", apps())
        .route("/v2/apps/{*path}", any(app))
        .route("/v2/tasks", get(tasks::list))
        .route("/v2/tasks/delete", post(kill_named))
        .route("/v2/deployments", get(deployments::list))
        .route("/v2/deployments/{id}", delete(deployments::revert))
        .route("/v2/queue", get(queue::list))
        .route("/v2/queue/{*path}", delete(queue::reset_delay))
        .route("/v2/info", get(info::info))
        .route("/v2/leader", get(info::leader))
        .route("/v2/events", get(stream::events))
        .route("/metrics", get(info::metrics))
        .route("/v2", any(nothing_here))
        .route("/v2/{*path}", any(nothing_here))
}

/// POST /v2/apps
async fn create(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Base(base): Base,
    query: Query,
    Text(body): Text,
) -> Result<Response, ApiError> {
    write::create(&api, &caller, &base, query.flag("force", false)?, &body).await
}

/// PUT /v2/apps
async fn put_many(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    query: Query,
    Text(body): Text,
) -> Result<Response, ApiError> {
    write::update_many(&api, &caller, &body, Change::parse(&query, PutMode::Upsert)?).await
}

/// PATCH /v2/apps
async fn patch_many(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    query: Query,
    Text(body): Text,
) -> Result<Response, ApiError> {
    write::update_many(&api, &caller, &body, Change::parse(&query, PutMode::Update)?).await
}

/// POST /v2/tasks/delete
async fn kill_named(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    query: Query,
    Text(body): Text,
) -> Result<Response, ApiError> {
    kill::named(&api, &caller, &query, &body).await
}

/// Everything about one app: the path's end says what.
async fn app(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    Base(base): Base,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let Text(body) = Text::from_request(request, &()).await?;
    let path = AppPath::parse(&path).ok_or_else(|| ApiError::not_found("No app is named"))?;
    // A HEAD is answered as its GET; the connection leaves out the body.
    let method = if method == Method::HEAD { Method::GET } else { method };
    match (method, path) {
        (Method::GET, path) => get_of_app(&api, path, &query, &headers).await,
        (Method::PUT, AppPath::App(id)) => {
            let change = Change::parse(&query, PutMode::Upsert)?;
            write::update(&api, &caller, &base, (&id, &body), change).await
        }
        (Method::PATCH, AppPath::App(id)) => {
            let change = Change::parse(&query, PutMode::Update)?;
            write::update(&api, &caller, &base, (&id, &body), change).await
        }
        // Deleting is forced unless it is asked not to be.
        (Method::DELETE, AppPath::App(id)) => {
            write::delete(&api, &caller, &id, query.flag("force", true)?).await
        }
        (Method::POST, AppPath::Restart(id)) => {
            write::restart(&api, &caller, &id, query.flag("force", false)?).await
        }
        (Method::DELETE, AppPath::Tasks(id)) => kill::of_app(&api, &caller, &id, &query).await,
        (Method::DELETE, AppPath::Task(id, task)) => kill::one(&api, &caller, (&id, task), &query).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn get_of_app(
    api: &Api,
    path: AppPath,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let state = api.read(query).await?;
    match path {
        AppPath::App(id) => read::one(&state, &id),
        AppPath::Below(group) => Ok(read::below(&state, &group)),
        AppPath::Versions(id) => read::versions(&state, &id),
        AppPath::Version(id, version) => read::version(&state, &id, version),
        AppPath::Tasks(id) => {
            let app = read::find(&state, &id)?;
            Ok(tasks::answer(&state, std::iter::once(app), headers, tasks::Wanted::ALL))
        }
        AppPath::TasksBelow(group) => {
            let apps = read::apps_below(&state, &group);
            Ok(tasks::answer(&state, apps, headers, tasks::Wanted::ALL))
        }
        AppPath::Restart(_) | AppPath::Task(..) => Err(ApiError::method_not_allowed()),
    }
}

async fn nothing_here(request: Request) -> ApiError {
    ApiError::not_found(format!("There is nothing at {}", request.uri().path()))
}

/// `http://host:port` as the client reached us, for `Location`; empty if it did not say.
struct Base(String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Base {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        let tls = parts.extensions.get::<console::ViaTls>().is_some_and(|via| via.0);
        let scheme = if tls { "https" } else { "http" };
        let host = host_of(&parts.headers, &parts.uri);
        Ok(Self(host.map_or_else(String::new, |host| format!("{scheme}://{host}"))))
    }
}
