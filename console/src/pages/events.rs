//! `/events`: what happened in the cluster, newest first; the same as lines of JSON.

use askama::Template;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::event::EventId;
use serde::Deserialize;

use crate::context::{Context, Frame, Query, Tab, render};
use crate::guard::encode;
use crate::strings as t;
use crate::view::event::{self, EventRow, Filter, Kind};

/// Shown on one page.
const ROWS_MAX: usize = 100;

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    about: String,
    #[serde(default)]
    app: String,
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    rows: Vec<EventRow>,
    about: String,
    app: String,
    older: Option<String>,
    /// Set on every page but the first.
    newest: Option<String>,
    export: String,
    api: String,
}

impl Asked {
    fn filter(&self) -> Filter<'_> {
        let before = self.before.as_deref().and_then(EventId::parse);
        Filter { kind: &self.about, app: self.app.trim(), before }
    }

    /// As the query of an address.
    fn query(&self) -> String {
        format!("about={}&app={}", encode(&self.about), encode(self.app.trim()))
    }
}

pub async fn list(context: Context, Query(asked): Query<Asked>) -> Response {
    let filter = asked.filter();
    let mut found = event::matching(&context.state, &filter);
    let rows: Vec<EventRow> =
        found.by_ref().take(ROWS_MAX).map(|event| event::row(&context.state, event)).collect();
    let older =
        found.next().and(rows.last()).map(|last| format!("/events?{}&before={}", asked.query(), last.id));
    // What is past does not move.
    let live = asked.before.is_none().then(|| "events=1".to_owned());
    render(&EventsPage {
        frame: Frame { live, ..context.frame(t::EVENTS_TITLE, Tab::Events) },
        rows,
        older,
        newest: asked.before.is_some().then(|| format!("/events?{}", asked.query())),
        export: format!("/events.jsonl?{}", asked.query()),
        api: format!("curl -Nu admin -H 'Accept: text/event-stream' {}/v2/events", context.visit.base_url()),
        about: asked.about.clone(),
        app: asked.app.clone(),
    })
}

/// `GET /events.jsonl`: all that are kept and match, oldest first, one a line.
pub async fn export(context: Context, Query(asked): Query<Asked>) -> Response {
    let filter = asked.filter();
    let mut lines: Vec<String> =
        event::matching(&context.state, &filter).map(|event| event::json_line(event)).collect();
    lines.reverse();
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"events.jsonl\""),
    ];
    (headers, lines.concat()).into_response()
}
