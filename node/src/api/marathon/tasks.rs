//! `/v2/tasks` and the task lists of apps, as JSON and in the text form that load-balancer bridges read.

use std::fmt::Write;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use model::State;
use model::state::App;
use model::task::TaskState;
use serde::Serialize;

use super::view::{TaskView, host};
use crate::api::Api;
use crate::api::accept::prefers_text;
use crate::api::error::ApiError;
use crate::api::query::Query;

/// GET /v2/tasks
pub async fn list(
    Extract(api): Extract<Api>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let state = api.read(&query).await?;
    Ok(answer(&state, state.apps.values().map(|app| &**app), &headers, Wanted::parse(&query)))
}

#[derive(Serialize)]
pub struct Tasks<'a> {
    pub tasks: Vec<TaskView<'a>>,
}

/// The tasks of `apps` in the form that the request accepts.
pub fn answer<'a>(
    state: &State,
    apps: impl Iterator<Item = &'a App>,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Response {
    if prefers_text(headers) {
        let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (content_type, endpoints(state, apps)).into_response();
    }
    let views = apps.flat_map(|app| {
        let tasks = app.tasks.values().filter(|task| wanted.includes(task.state));
        tasks.map(|task| TaskView::new(state, app, task))
    });
    Json(Tasks { tasks: views.collect() }).into_response()
}

/// The `status` filter; nothing named means everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    staging: bool,
    running: bool,
    all: bool,
}

impl Wanted {
    pub const ALL: Self = Self { staging: false, running: false, all: true };

    pub fn parse(query: &Query) -> Self {
        let has = |name| query.all("status").any(|status| status.eq_ignore_ascii_case(name));
        let (staging, running) = (has("staging"), has("running"));
        Self { staging, running, all: !staging && !running }
    }

    fn includes(self, state: TaskState) -> bool {
        match state {
            TaskState::Staging | TaskState::Starting => self.all || self.staging,
            TaskState::Running => self.all || self.running,
            TaskState::Killing => self.all,
        }
    }
}

/// One line per service port: `<flat app id> TAB <service port> TAB (<host>:<host port> TAB)*`, running tasks only,
/// addresses sorted. An app without service ports has one line, a blank for the port, and bare hosts.
fn endpoints<'a>(state: &State, apps: impl Iterator<Item = &'a App>) -> String {
    let mut text = String::new();
    for app in apps.filter(|app| !app.deleted) {
        let name = app.spec.id.flat();
        let running: Vec<_> = app.tasks.values().filter(|task| task.state == TaskState::Running).collect();
        let mut line = |port: &dyn std::fmt::Display, mut addresses: Vec<String>| {
            addresses.sort_unstable();
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}\t{port}\t");
            addresses.iter().for_each(|address| {
                let _ = write!(text, "{address}\t");
            });
            text.push('\n');
        };
        if app.spec.ports.is_empty() {
            line(&' ', running.iter().map(|task| bracketed(host(state, task.node))).collect());
        }
        // Ports that take none of the node's are shown as 0.
        for (index, port) in app.spec.ports.iter().enumerate() {
            let addresses = running.iter().map(|task| {
                let port = task.ports.get(index).copied().unwrap_or(0);
                format!("{}:{port}", bracketed(host(state, task.node)))
            });
            line(&port.service_port, addresses.collect());
        }
    }
    text
}

fn bracketed(host: String) -> String {
    if host.contains(':') { format!("[{host}]") } else { host }
}
