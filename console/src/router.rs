//! Which address leads to which page.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use model::limits;
use tower_http::compression::CompressionLayer;

use crate::context::{Console, Context};
use crate::{Backend, assets, guard, live, pages, strings as t};

/// All pages of the console, at `/`. It has the fallback of the whole server: what no other router knows is answered
/// by a page that says so.
///
/// The listener puts [`crate::ViaTls`] and axum's `ConnectInfo<SocketAddr>` into each request's extensions.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    Router::new()
        .route("/", get(pages::apps::list))
        .route("/apps", get(pages::apps::list).post(pages::create::submit_app))
        .route("/apps/{*id}", get(pages::app::show).post(pages::app::act))
        .route("/new", get(pages::create::form))
        .route("/tasks/{id}", get(pages::task::show).post(pages::task::act))
        .route("/tasks/{id}/log/{stream}", get(pages::output::page))
        .route("/tasks/{id}/files/{stream}", get(pages::output::download))
        .route("/node", get(pages::node::show).post(pages::node::act))
        .route("/balancer", get(pages::balancer::show))
        .route("/claim", get(pages::claim::form).post(pages::claim::submit))
        .route("/login", get(pages::login::form).post(pages::login::submit))
        .route("/logout", post(pages::login::logout))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::asset))
        .fallback(no_such_page)
        .layer(DefaultBodyLimit::max(limits::REQUEST_BODY_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(backend.clone(), guard::guard))
        .with_state(backend as Console)
}

async fn no_such_page(context: Context) -> axum::response::Response {
    context.not_found(t::NO_SUCH_PAGE)
}
