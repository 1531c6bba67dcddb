//! The HTTP APIs: Marathon's under `/v2`, our own under `/meseta/v1`, and the listeners that serve them.
//!
//! Everything here works against [`console::Backend`] alone. The agent merges [`router`] with the console's and hands
//! both to [`listen::Listeners`].

mod accept;
pub mod auth;
mod body;
pub mod clock;
mod error;
mod headers;
pub mod listen;
mod marathon;
mod meseta;
pub mod mesos_dns;
mod query;
pub mod starting;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::routing::get;
use console::{Backend, Request};
use model::limits::EVENT_CLIENTS_MAX;
use model::{Command, Outcome, Reject, State, Timestamp};
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use self::auth::{Caller, Verified, gate};
use self::error::ApiError;
use self::query::Query;

/// What every handler shares.
#[derive(Clone)]
pub struct Api {
    pub(crate) backend: Arc<dyn Backend>,
    verified: Arc<Verified>,
    event_clients: Arc<Semaphore>,
}

/// All routes of the APIs, with their own 404 and 405 below `/v2` and `/meseta`. Merge it with the console's.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    let api =
        Api { backend, verified: Arc::default(), event_clients: Arc::new(Semaphore::new(EVENT_CLIENTS_MAX)) };
    // Streams would sit in the compressor's buffer; output of tasks is sent as it is.
    let compressible = DefaultPredicate::new().and(NotForContentType::const_new("text/event-stream"));
    let compression = CompressionLayer::new().quality(tower_http::CompressionLevel::Fastest).compress_when(
        compressible
            .and(NotForContentType::const_new("text/plain"))
            .and(NotForContentType::const_new("application/octet-stream"))
            .and(NotForContentType::const_new("application/x-tar")),
    );
    let guarded = marathon::routes().merge(meseta::routes()).layer(from_fn_with_state(api.clone(), gate));
    let open = Router::new().route("/ping", get(marathon::ping)).merge(meseta::open_routes());
    guarded
        .merge(open)
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(compression)
        .layer(map_response_with_state(api.clone(), headers::add))
        .with_state(api)
}

/// The answer to a command, with a state that includes it.
pub(crate) struct Proposed {
    pub outcome: Outcome,
    pub state: Arc<State>,
}

/// The same before anybody looked whether it was refused.
pub(crate) struct Answered {
    pub result: Result<Outcome, Reject>,
    state: Arc<State>,
}

impl Answered {
    pub fn accepted(self) -> Result<Proposed, ApiError> {
        Ok(Proposed { outcome: self.result?, state: self.state })
    }
}

impl Api {
    /// A fresh state, or with `?stale=true` whatever this node has.
    pub(crate) async fn read(&self, query: &Query) -> Result<Arc<State>, ApiError> {
        if query.flag("stale", false)? {
            return Ok(self.backend.state());
        }
        Ok(self.backend.read().await?)
    }

    pub(crate) async fn propose(
        &self,
        caller: &Caller,
        expected_version: Option<Timestamp>,
        command: Command,
    ) -> Result<Proposed, ApiError> {
        self.propose_unchecked(caller, expected_version, command).await?.accepted()
    }

    pub(crate) async fn propose_unchecked(
        &self,
        caller: &Caller,
        expected_version: Option<Timestamp>,
        command: Command,
    ) -> Result<Answered, ApiError> {
        let request = Request {
            actor: caller.actor.clone(),
            origin: caller.origin.clone(),
            request_id: caller.request_id,
            expected_version,
            command,
        };
        let applied = self.backend.propose(request).await?;
        Ok(Answered { result: applied.result, state: self.backend.state() })
    }
}
