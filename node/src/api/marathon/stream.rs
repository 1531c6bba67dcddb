//! `/v2/events`: the ring of events as a stream, one cursor a client.
//!
//! Nothing is buffered per client: each reads the replicated ring when its socket takes more. One that falls a whole
//! ring behind is disconnected, comes back with `Last-Event-ID`, and knows that it may have missed something.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use model::State;
use model::event::EventId;
use model::limits::EVENT_CLIENTS_MAX;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::events::{Frame, GREETING, PlanForm, attached, frames};
use crate::api::Api;
use crate::api::accept::accepts;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::query::Query;

/// An empty line this often finds dead peers, and keeps proxies from closing a quiet stream.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// GET /v2/events
pub async fn events(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, ApiError> {
    if !accepts(&headers, "text/event-stream") {
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "This is a stream: accept text/event-stream",
        ));
    }
    let permit = api.event_clients.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        ApiError::unavailable(format!(
            "The limit of {EVENT_CLIENTS_MAX} event clients of this node is reached"
        ))
    })?;
    let mut states = api.backend.watch();
    let state = states.borrow_and_update().clone();
    let mut client = Client {
        cursor: cursor(&headers, &state)?,
        kinds: query.all("event_type").filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
        form: if query.get("plan-format") == Some("light") { PlanForm::Light } else { PlanForm::Heavy },
        states,
        state: state.clone(),
        lines: VecDeque::new(),
        _permit: permit,
    };
    let hello = attached(&caller.origin.client_ip, api.backend.now());
    client.push(hello, None);
    client.collect();
    let body = stream::unfold(client, |mut client| async move {
        client.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), client))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

/// After which event the stream begins: the one the client saw last, else the newest of all.
fn cursor(headers: &HeaderMap, state: &State) -> Result<EventId, ApiError> {
    let Some(last) = headers.get("last-event-id") else {
        return Ok(state.events.last().map_or(EventId { index: 0, n: 0 }, |event| event.id));
    };
    let id = last.to_str().ok().and_then(EventId::parse);
    id.ok_or_else(|| ApiError::bad_request("Last-Event-ID must look like 12-0, as this server sent it"))
}

struct Client {
    cursor: EventId,
    /// Empty: all.
    kinds: Vec<String>,
    form: PlanForm,
    states: watch::Receiver<Arc<State>>,
    state: Arc<State>,
    lines: VecDeque<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    /// The next bytes to send; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            // Cancel-safe: `changed` marks a value as seen only when it returns, and the timer holds nothing.
            tokio::select! {
                changed = self.states.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b"\n")),
            }
            let fresh = self.states.borrow_and_update().clone();
            if fell_behind(self.cursor, &self.state, &fresh) {
                tracing::info!(cursor = %self.cursor, "an event client fell a whole ring behind and is disconnected");
                return None;
            }
            self.state = fresh;
            self.collect();
        }
    }

    /// Queues everything after the cursor: at most one ring.
    fn collect(&mut self) {
        let state = self.state.clone();
        let from = state
            .events
            .binary_search_by(|event| event.id.cmp(&self.cursor))
            .map_or_else(|at| at, |at| at + 1);
        for event in state.events.iter().skip(from) {
            let frames = frames(event, &state, self.form);
            let last = frames.len().saturating_sub(1);
            for (n, frame) in frames.into_iter().enumerate() {
                // Only the last frame of an event moves the client's own cursor.
                self.push(frame, (n == last).then_some(event.id));
            }
            self.cursor = event.id;
        }
    }

    fn push(&mut self, frame: Frame, id: Option<EventId>) {
        let Frame { kind, data } = frame;
        let is_wanted = self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind);
        // The greeting is sent whatever the filter says.
        if !is_wanted && kind != GREETING {
            return;
        }
        let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        self.lines.push_back(Bytes::from(format!("{id}event: {kind}\ndata: {data}\n\n")));
    }
}

/// True if events after the cursor were dropped from the ring before this client read them. A client has sent all it
/// saw, so its cursor is the newest event of that time; once the ring begins later than that, some are missing.
fn fell_behind(cursor: EventId, seen: &State, fresh: &State) -> bool {
    let oldest = fresh.events.front().map(|event| event.id);
    !seen.events.is_empty() && oldest.is_some_and(|oldest| oldest > cursor)
}
