//! `/claim`: the first administrator takes the cluster.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use model::limits;

use crate::ClaimError;
use crate::context::{Context, Fields, Frame, Tab, render, status_of};
use crate::pages::login::session_cookie;
use crate::strings as t;

#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    frame: Frame,
    code: String,
    error: String,
    password_min: usize,
}

fn page(context: &Context, code: &str, error: String) -> Response {
    let frame = context.frame(t::CLAIM_TITLE, Tab::None);
    render(&ClaimPage { frame, code: code.to_owned(), error, password_min: limits::PASSWORD_BYTES_MIN })
}

pub async fn form(context: Context) -> Response {
    if context.state.is_claimed() {
        return Redirect::to("/").into_response();
    }
    page(&context, "", String::new())
}

/// On success the person is logged in as the new administrator.
pub async fn submit(context: Context, fields: Fields) -> Response {
    let (code, password) = (fields.get("code").trim(), fields.get("password"));
    let mistake = if code.is_empty() {
        Some(t::CODE_MISSING)
    } else if password != fields.get("again") {
        Some(t::PASSWORDS_DIFFER)
    } else {
        None
    };
    if let Some(mistake) = mistake {
        return (StatusCode::UNPROCESSABLE_ENTITY, page(&context, code, mistake.to_owned())).into_response();
    }
    match context.backend.claim(code, password, context.origin()).await {
        Ok(()) => match session_cookie(&context, "admin") {
            Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
            None => Redirect::to("/login").into_response(),
        },
        Err(error) => (status(&error), page(&context, code, t::claim_error(&error))).into_response(),
    }
}

fn status(error: &ClaimError) -> StatusCode {
    match error {
        ClaimError::WrongCode => StatusCode::FORBIDDEN,
        ClaimError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
        ClaimError::AlreadyClaimed => StatusCode::CONFLICT,
        ClaimError::BadPassword => StatusCode::UNPROCESSABLE_ENTITY,
        ClaimError::Unavailable(error) => status_of(error),
    }
}
