//! `/new` and `POST /apps`: an application from a pasted definition.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::Command;
use model::command::PutMode;

use crate::context::{Context, Fields, Frame, Tab, nonce, render, status_of};
use crate::definition::{self, Refusal};
use crate::strings as t;
use crate::view::apps::href;
use crate::view::words;

#[derive(Template)]
#[template(path = "create.html")]
struct CreatePage {
    frame: Frame,
    once: String,
    text: String,
    refusal: Option<Refusal>,
}

fn page(context: &Context, text: String, refusal: Option<Refusal>) -> Response {
    let frame = context.frame(t::CREATE_TITLE, Tab::Apps);
    render(&CreatePage { frame, once: nonce(), text, refusal })
}

pub async fn form(context: Context) -> Response {
    page(&context, String::new(), None)
}

/// Parses, proposes, and leads to the new app's page; a text that was refused stays in the form.
pub async fn submit_app(context: Context, fields: Fields) -> Response {
    let text = fields.get("definition").to_owned();
    let app = match definition::parse(&text) {
        Ok(app) => app,
        Err(refusal) => {
            let status = match *refusal {
                Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            return (status, page(&context, text, Some(*refusal))).into_response();
        }
    };
    let to = href(&app.id);
    let command = Command::PutApp {
        app: Box::new(app),
        mode: PutMode::Create,
        deployment: context.backend.fresh_deployment(),
        force: false,
    };
    let (status, why) = match context.propose(&fields, None, command).await {
        Ok(applied) => match applied.result {
            Ok(_) => return Redirect::to(&to).into_response(),
            Err(reject) => (StatusCode::CONFLICT, reject.to_string()),
        },
        Err(error) => (status_of(&error), t::unavailable(&error)),
    };
    (status, page(&context, text, Some(Refusal::ByCluster(why)))).into_response()
}
