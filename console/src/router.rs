//! Which address leads to which page.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use model::limits;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::context::{Console, Context};
use crate::{Backend, assets, guard, live, pages, strings as t};

/// All pages of the console, at `/`. It has the fallback of the whole server: what no other router knows is answered
/// by a page that says so.
///
/// The listener puts [`crate::ViaTls`] and axum's `ConnectInfo<SocketAddr>` into each request's extensions.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    Router::new()
        .route("/", get(pages::apps::list))
        .route("/apps", get(pages::apps::list).post(pages::compose::submit_app))
        .route("/apps/{*id}", get(pages::app::show).post(pages::app::act))
        .route("/new", get(pages::compose::new))
        .route("/edit/{*id}", get(pages::compose::edit).post(pages::compose::submit_edit))
        .route("/convert", post(pages::compose::convert))
        .route("/versions/{*id}", get(pages::versions::show).post(pages::versions::act))
        .route("/events", get(pages::events::list))
        .route("/events.jsonl", get(pages::events::export))
        .route("/search", get(pages::search::page))
        .route("/settings", get(pages::settings::show))
        .route("/settings/password", get(pages::settings::show).post(pages::settings::password))
        .route("/settings/tokens", get(pages::settings::show).post(pages::settings::tokens))
        .route("/settings/cluster", get(pages::settings::show).post(pages::settings::cluster))
        .route("/settings/backup", get(pages::settings::show).post(pages::settings::backup))
        .route("/settings/schedule", get(pages::settings::show).post(pages::schedule::submit))
        .route("/settings/sessions", get(pages::settings::show).post(pages::settings::sessions))
        .route("/help", get(pages::help::page))
        .route("/theme", post(pages::help::theme))
        .route("/tasks/{id}", get(pages::task::show).post(pages::task::act))
        .route("/tasks/{id}/log/{stream}", get(pages::log::page))
        .route("/tasks/{id}/files/{stream}", get(pages::output::download))
        .route("/tasks/{id}/sandbox", get(pages::sandbox::show))
        .route("/tasks/{id}/file", get(pages::sandbox::file))
        .route("/tasks/{id}/archive", get(pages::sandbox::archive))
        .route("/dns", get(pages::dns::show))
        .route("/nodes", get(pages::nodes::show).post(pages::nodes::act))
        .route("/node", get(pages::node::show).post(pages::node::act))
        .route("/node/kernel", get(pages::machine::kernel))
        .route("/node/kernel.txt", get(pages::machine::kernel_file))
        .route("/node/services/{role}", get(pages::machine::service))
        .route("/node/services/{role}/log.txt", get(pages::machine::service_file))
        .merge(machine(&backend))
        .route("/balancer", get(pages::balancer::show))
        .route("/claim/restore", get(pages::restore::form).post(pages::restore::submit))
        .route("/claim", get(pages::claim::form).post(pages::claim::submit))
        .route("/login", get(pages::login::form).post(pages::login::submit))
        .route("/logout", post(pages::login::logout))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::asset))
        .fallback(no_such_page)
        .layer(DefaultBodyLimit::max(limits::REQUEST_BODY_BYTES_MAX))
        .layer(CompressionLayer::new().compress_when(compressible()))
        .layer(middleware::from_fn_with_state(backend.clone(), guard::guard))
        .with_state(backend as Console)
}

/// What one machine tells of itself, by its id. A request for another has been handed on to it before it gets here.
fn machine(backend: &Console) -> Router<Console> {
    Router::new()
        .route("/nodes/{node}", get(pages::node::show).post(pages::node::act))
        .route("/nodes/{node}/kernel", get(pages::machine::kernel))
        .route("/nodes/{node}/kernel.txt", get(pages::machine::kernel_file))
        .route("/nodes/{node}/services/{role}", get(pages::machine::service))
        .route("/nodes/{node}/services/{role}/log.txt", get(pages::machine::service_file))
        .route_layer(middleware::from_fn_with_state(backend.clone(), pages::node::is_here))
}

/// Files go out as they are: with their length, and without waiting in the compressor.
fn compressible() -> impl Predicate {
    let plain = |kind| NotForContentType::const_new(kind);
    DefaultPredicate::new().and(plain("application/octet-stream")).and(plain("application/x-tar"))
}

async fn no_such_page(context: Context) -> axum::response::Response {
    context.not_found(t::NO_SUCH_PAGE)
}
