//! What stands between a wish and the cluster: the consequence, shown before it is real.

use askama::Template;
use axum::response::Response;
use model::{AppId, Command};

use super::compose::{self, Target};
use crate::context::{Context, Frame, Tab, nonce, render};
use crate::strings as t;
use crate::view::diff::Line;
use crate::view::preview::{Preview, preview};

#[derive(Template)]
#[template(path = "review.html")]
pub struct ReviewPage {
    pub frame: Frame,
    pub preview: Preview,
    /// Where the form goes, and what it holds.
    pub action: String,
    pub fields: Vec<(String, String)>,
    pub button: &'static str,
    pub is_danger: bool,
    /// What must be typed before the button counts; empty if nothing.
    pub type_name: String,
    pub error: String,
    /// Leads back without doing it: sends the same form with another word, or follows a link.
    pub go_on: Option<&'static str>,
    pub back: String,
    pub back_word: &'static str,
}

/// Before a composed definition is saved. `Err` says why the cluster would refuse it.
pub fn page(
    context: &Context,
    target: &Target,
    id: &AppId,
    json: &str,
    version: &str,
    command: Command,
) -> Result<Response, String> {
    let preview = preview(&context.state, context.now, id, command);
    if let Err(reject) = &preview.result {
        return Err(reject.to_string());
    }
    let title = match target {
        Some(id) => t::review_title(id.as_str()),
        None => t::review_create_title(id.as_str()),
    };
    let mut fields = vec![
        ("once".to_owned(), nonce()),
        ("version".to_owned(), version.to_owned()),
        ("definition".to_owned(), json.to_owned()),
    ];
    if preview.is_locked {
        fields.push(("force".to_owned(), "yes".to_owned()));
    }
    Ok(render(&ReviewPage {
        frame: context.frame(title, Tab::Apps),
        preview,
        action: compose::action(target),
        fields,
        button: if target.is_some() { t::SAVE } else { t::CREATE_BUTTON },
        is_danger: false,
        type_name: String::new(),
        error: String::new(),
        go_on: Some(t::GO_ON),
        back: target.as_ref().map_or("/apps".to_owned(), crate::view::apps::href),
        back_word: t::CANCEL,
    }))
}
