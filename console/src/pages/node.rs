//! `/nodes/{node}`: one machine, and its power switch; `/node` is the one that answers.

use askama::Template;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;

use super::confirm::ConfirmPage;
use crate::context::{Context, Fields, Frame, Query, Tab, render};
use crate::view::machine::{self, MachineView};
use crate::view::node::{self, NodeView};
use crate::view::words;
use crate::{Power, strings as t};

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    confirm: String,
}

#[derive(Template)]
#[template(path = "node.html")]
struct NodePage {
    frame: Frame,
    node: NodeView,
    machine: MachineView,
    machine_error: String,
}

#[derive(Deserialize)]
pub struct At {
    node: String,
}

/// Before pages that name a node: requests for others have been handed on to them, so who is another does not answer.
pub async fn is_here(
    context: Context,
    Path(At { node }): Path<At>,
    request: Request,
    next: Next,
) -> Response {
    if node == context.backend.node().id.to_string() {
        return next.run(request).await;
    }
    let members = context.backend.members();
    match members.iter().find(|member| member.id.to_string() == node) {
        Some(member) => {
            context.problem(StatusCode::SERVICE_UNAVAILABLE, &member.name, t::NODE_DOES_NOT_ANSWER)
        }
        None => context.not_found(t::NO_SUCH_PAGE),
    }
}

pub async fn show(context: Context, Query(asked): Query<Asked>) -> Response {
    let status = context.backend.node();
    let here = |task: &&std::sync::Arc<model::task::Task>| task.node == status.id;
    let tasks = context.state.apps.values().flat_map(|app| app.tasks.values()).filter(here).count();
    match asked.confirm.as_str() {
        "reboot" => confirm(&context, Power::Reboot, t::reboot_title(&status.name), t::reboot_text(tasks)),
        "off" => confirm(&context, Power::Off, t::power_off_title(&status.name), t::power_off_text(tasks)),
        _ => {
            let frame = Frame { live: Some(String::new()), ..context.frame(t::NODE_TITLE, Tab::Node) };
            let (hardware, machine_error) = match context.backend.inspector().hardware().await {
                Ok(hardware) => (hardware, String::new()),
                Err(error) => (Default::default(), words::sentence(&error.to_string())),
            };
            let machine = machine::view(hardware);
            render(&NodePage { frame, node: node::view(&status), machine, machine_error })
        }
    }
}

fn confirm(context: &Context, power: Power, title: String, text: String) -> Response {
    let (action, button) = match power {
        Power::Reboot => ("reboot", t::REBOOT_BUTTON),
        Power::Off => ("off", t::POWER_OFF_BUTTON),
    };
    let frame = context.frame(title, Tab::Node);
    let at = frame.node_path.clone();
    render(&ConfirmPage {
        frame,
        text,
        action: at.clone(),
        fields: vec![("action".to_owned(), action.to_owned())],
        button,
        back: at,
        back_word: t::CANCEL,
    })
}

pub async fn act(context: Context, fields: Fields) -> Response {
    let (power, title, text) = match fields.get("action") {
        "reboot" => (Power::Reboot, t::REBOOTING, t::REBOOTING_TEXT),
        "off" => (Power::Off, t::POWERING_OFF, t::POWERING_OFF_TEXT),
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    match context.backend.power(power).await {
        Ok(()) => context.problem(StatusCode::ACCEPTED, title, text),
        Err(why) => context.problem(StatusCode::SERVICE_UNAVAILABLE, t::POWER_FAILED, why),
    }
}
