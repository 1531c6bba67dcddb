//! `/login` and `/logout`.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use model::auth::Actor;
use serde::Deserialize;

use crate::context::{Context, Fields, Frame, Query, Tab, render};
use crate::guard::set_cookie;
use crate::session::{self, COOKIE, SESSION_MS};
use crate::{LoginError, local_path, strings as t};

#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    name: String,
    next: String,
    error: String,
}

fn page(context: &Context, name: &str, next: &str, error: String) -> Response {
    let frame = context.frame(t::LOGIN_TITLE, Tab::None);
    render(&LoginPage { frame, name: name.to_owned(), next: next.to_owned(), error })
}

pub async fn form(context: Context, Query(Next { next }): Query<Next>) -> Response {
    let next = local_path(&next).unwrap_or("/");
    if context.visit.session.is_some() {
        return Redirect::to(next).into_response();
    }
    page(&context, "admin", next, String::new())
}

pub async fn submit(context: Context, fields: Fields) -> Response {
    let (name, next) = (fields.get("name").trim(), local_path(fields.get("next")).unwrap_or("/"));
    let error = match context.backend.login(name, fields.get("password"), &context.visit.client_ip).await {
        Ok(Actor::User { name, .. }) => match session_cookie(&context, &name) {
            Some(cookie) => return ([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response(),
            None => LoginError::Wrong,
        },
        // Only people have passwords.
        Ok(Actor::System | Actor::Claimant | Actor::Token { .. }) => LoginError::Wrong,
        Err(error) => error,
    };
    let status = match error {
        LoginError::Wrong => StatusCode::FORBIDDEN,
        LoginError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
    };
    (status, page(&context, name, next, t::login_error(&error))).into_response()
}

pub async fn logout(context: Context, _checked: Fields) -> Response {
    let cookie = set_cookie(COOKIE, "", context.visit.tls, Some(0));
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

/// Logs `name` in, by the latest state: the one of the request may be older than a claim just made.
pub fn session_cookie(context: &Context, name: &str) -> Option<HeaderValue> {
    let value = session::issue(&context.backend.state(), name, context.now)?;
    Some(cookie_of(context, &value))
}

pub fn cookie_of(context: &Context, session: &str) -> HeaderValue {
    set_cookie(COOKIE, session, context.visit.tls, Some(SESSION_MS / 1000))
}
