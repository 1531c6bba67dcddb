//! The certificate authority, and replacing it: part of `/nodes`.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::membership::Succession;
use model::{Command, State};

use super::nodes;
use crate::context::{Context, Frame, Tab, render, status_of};
use crate::strings as t;

#[derive(Template)]
#[template(path = "authority.html")]
struct AuthorityPage {
    frame: Frame,
    number: u32,
    /// What goes on, and whom it waits for; empty while nothing goes on.
    step: &'static str,
    pending: Vec<String>,
}

pub fn show(context: &Context) -> Response {
    let state = context.backend.state();
    let Some(authority) = &state.authority else { return context.not_found(t::NO_SUCH_PAGE) };
    let step = match &state.succession {
        None => "",
        Some(Succession::Trust { .. }) => t::AUTHORITY_TRUST,
        Some(Succession::Certify { .. }) => t::AUTHORITY_CERTIFY,
    };
    let frame = Frame { live: Some(String::new()), ..context.frame(t::AUTHORITY_TITLE, Tab::Node) };
    render(&AuthorityPage { frame, number: authority.number, step, pending: pending(&state) })
}

/// By name.
fn pending(state: &State) -> Vec<String> {
    let nodes = state.succession.iter().flat_map(Succession::pending);
    nodes.map(|id| state.node_name(*id)).collect()
}

pub async fn act(context: &Context) -> Response {
    let next = match context.backend.new_authority() {
        Ok(next) => next,
        Err(error) => return context.problem(status_of(&error), t::UNAVAILABLE, t::unavailable(&error)),
    };
    match nodes::change(context, Command::ReplaceAuthority { next }).await {
        Ok(()) => Redirect::to("/nodes?authority=show").into_response(),
        Err((StatusCode::CONFLICT, error)) => {
            context.problem(StatusCode::CONFLICT, t::AUTHORITY_TITLE, error)
        }
        Err((status, error)) => context.problem(status, t::UNAVAILABLE, error),
    }
}
