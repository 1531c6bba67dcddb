//! What giving up a lost majority would cost, and doing it: part of `/nodes`.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::context::{Context, Fields, Frame, Tab, render, status_of};
use crate::view::task::Moment;
use crate::{Prospects, RecoverError, Recovery, strings as t};

#[derive(Template)]
#[template(path = "recover.html")]
struct RecoverPage {
    frame: Frame,
    prospects: Prospects,
    changed: Moment,
    heard: Option<Moment>,
    error: String,
}

pub async fn show(context: &Context) -> Response {
    page(context, String::new()).await
}

async fn page(context: &Context, error: String) -> Response {
    match context.backend.prospects().await {
        Ok(prospects) => render(&RecoverPage {
            frame: context.frame(t::RECOVER_TITLE, Tab::Node),
            changed: prospects.last_change_at.into(),
            heard: prospects.last_contact.map(Into::into),
            prospects,
            error,
        }),
        Err(error) => problem(context, &error),
    }
}

pub async fn act(context: &Context, fields: &Fields) -> Response {
    let confirm = fields.get("confirm").to_owned();
    let (actor, origin) = (context.actor(), context.origin());
    match context.backend.recover(Recovery { confirm, actor, origin }).await {
        Ok(()) => context.problem(StatusCode::ACCEPTED, t::RECOVERING_TITLE, t::RECOVERING_TEXT),
        Err(error @ RecoverError::NotConfirmed { .. }) => {
            let text = crate::view::words::sentence(&error.to_string());
            (StatusCode::UNPROCESSABLE_ENTITY, page(context, text).await).into_response()
        }
        Err(error) => problem(context, &error),
    }
}

fn problem(context: &Context, error: &RecoverError) -> Response {
    let status = match error {
        RecoverError::Unavailable(error) => status_of(error),
        _ => StatusCode::CONFLICT,
    };
    context.problem(status, t::RECOVER_TITLE, crate::view::words::sentence(&error.to_string()))
}
