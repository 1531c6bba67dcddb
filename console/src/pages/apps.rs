//! `/`: the list of applications.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use crate::context::{Context, Frame, Query, Tab, render};
use crate::strings as t;
use crate::view::apps::{self, AppList};

#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "apps.html")]
struct AppsPage {
    frame: Frame,
    query: String,
    list: AppList,
}

pub async fn list(context: Context, Query(search): Query<Search>) -> Response {
    let list = apps::list(&context.state, &search.q, context.now);
    let frame = Frame { live: Some(String::new()), ..context.frame(t::APPS_TITLE, Tab::Apps) };
    render(&AppsPage { frame, query: search.q, list })
}
