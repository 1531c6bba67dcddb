//! `/search`: apps, instances and nodes by a part of their name.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use crate::context::{Context, Frame, Query, Tab, render};
use crate::strings as t;
use crate::view::search::{self, Found};

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    query: String,
    found: Found,
}

pub async fn page(context: Context, Query(asked): Query<Asked>) -> Response {
    let found = search::search(&context.state, &asked.q, context.now);
    let frame = context.frame(t::SEARCH_TITLE, Tab::Search);
    render(&SearchPage { frame, query: asked.q, found })
}
