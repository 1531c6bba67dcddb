//! The page between a dangerous button and what it does: says the consequence, sends the form on.

use askama::Template;
use axum::response::Response;

use crate::context::{Context, Fields, Frame, Tab, nonce, render};
use crate::strings as t;

#[derive(Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    pub frame: Frame,
    pub text: String,
    /// Where the form goes, and what it holds.
    pub action: String,
    pub fields: Vec<(String, String)>,
    pub button: &'static str,
    pub back: String,
    pub back_word: &'static str,
}

/// Asks before `fields` are sent once more with `force`: a deployment of the app is in the way.
pub fn locked(context: &Context, fields: &Fields, action: &str, back: &str) -> Response {
    let mut again: Vec<(String, String)> = fields
        .others()
        .filter(|(key, _)| *key != "once")
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    again.push(("once".to_owned(), nonce()));
    again.push(("force".to_owned(), "yes".to_owned()));
    render(&ConfirmPage {
        frame: context.frame(t::LOCKED_TITLE, Tab::Apps),
        text: t::LOCKED_TEXT.to_owned(),
        action: action.to_owned(),
        fields: again,
        button: t::FORCE_BUTTON,
        back: back.to_owned(),
        back_word: t::CANCEL,
    })
}
