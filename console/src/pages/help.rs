//! `/help` and the choice of colours: what the frame of every page leads to.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::context::{Context, Fields, Frame, Tab, render};
use crate::guard::{THEME_COOKIE, set_cookie};
use crate::{local_path, strings as t};

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    frame: Frame,
}

pub async fn page(context: Context) -> Response {
    render(&HelpPage { frame: context.frame(t::HELP_TITLE, Tab::None) })
}

/// A year, in seconds.
const THEME_LASTS_S: u64 = 365 * 24 * 60 * 60;

/// `POST /theme`: light, dark, or as the system likes it.
pub async fn theme(context: Context, fields: Fields) -> Response {
    let (value, age) = match fields.get("theme") {
        theme @ ("light" | "dark") => (theme, THEME_LASTS_S),
        "system" => ("", 0),
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    let cookie = set_cookie(THEME_COOKIE, value, context.visit.tls, Some(age));
    let back = local_path(fields.get("back")).unwrap_or("/");
    ([(header::SET_COOKIE, cookie)], Redirect::to(back)).into_response()
}
