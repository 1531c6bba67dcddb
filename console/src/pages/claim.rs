//! `/claim`: the first administrator takes the cluster.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use model::limits;

use crate::context::{Context, Fields, Frame, Tab, render, status_of};
use crate::pages::login::session_cookie;
use crate::strings as t;
use crate::{ClaimError, JoinError, RestoreError};

#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    frame: Frame,
    code: String,
    /// What was typed to join another cluster.
    token: String,
    error: String,
    /// The error is about a backup.
    restores: bool,
    password_min: usize,
}

fn page(context: &Context, code: &str, token: &str, error: String) -> Response {
    let frame = context.frame(t::CLAIM_TITLE, Tab::None);
    let (code, token) = (code.to_owned(), token.to_owned());
    let (restores, password_min) = (false, limits::PASSWORD_BYTES_MIN);
    render(&ClaimPage { frame, code, token, error, restores, password_min })
}

/// The page again, with the form for a backup open.
pub fn not_restored(context: &Context, code: &str, error: &RestoreError) -> Response {
    render(&ClaimPage {
        frame: context.frame(t::CLAIM_TITLE, Tab::None),
        code: code.to_owned(),
        token: String::new(),
        error: t::restore_error(error),
        restores: true,
        password_min: limits::PASSWORD_BYTES_MIN,
    })
}

pub async fn form(context: Context) -> Response {
    if context.state.is_claimed() {
        return Redirect::to("/").into_response();
    }
    page(&context, "", "", String::new())
}

/// On success the person is logged in as the new administrator.
pub async fn submit(context: Context, fields: Fields) -> Response {
    if !fields.get("token").is_empty() {
        return join(context, fields).await;
    }
    let (code, password) = (fields.get("code").trim(), fields.get("password"));
    let mistake = if code.is_empty() {
        Some(t::CODE_MISSING)
    } else if password != fields.get("again") {
        Some(t::PASSWORDS_DIFFER)
    } else {
        None
    };
    if let Some(mistake) = mistake {
        return (StatusCode::UNPROCESSABLE_ENTITY, page(&context, code, "", mistake.to_owned()))
            .into_response();
    }
    match context.backend.claim(code, password, context.origin()).await {
        Ok(()) => match session_cookie(&context, "admin") {
            Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
            None => Redirect::to("/login").into_response(),
        },
        Err(error) => (status(&error), page(&context, code, "", t::claim_error(&error))).into_response(),
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

/// Makes the node a member of another cluster; its console comes back as that cluster's.
async fn join(context: Context, fields: Fields) -> Response {
    let (code, token) = (fields.get("code").trim(), fields.get("token").trim());
    match context.backend.join(code, token, context.origin()).await {
        Ok(()) => context.problem(StatusCode::ACCEPTED, t::JOINING_TITLE, t::JOINING_TEXT),
        Err(error) => {
            let status = match &error {
                JoinError::WrongCode | JoinError::Refused(_) => StatusCode::FORBIDDEN,
                JoinError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
                JoinError::AlreadyClaimed => StatusCode::CONFLICT,
                JoinError::BadToken(_) => StatusCode::UNPROCESSABLE_ENTITY,
                JoinError::Unreachable(_) | JoinError::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, page(&context, code, token, t::join_error(&error))).into_response()
        }
    }
}
