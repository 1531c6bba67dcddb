//! `/settings`: the cluster itself, the visitor's password, API tokens, backups, sessions.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use model::auth::{SessionKey, Token};
use model::backup::BackupNote;
use model::event::EventKind;
use model::settings::{self, Rebalance, SettingsChange};
use model::{Command, limits};

use super::schedule;
use crate::context::{Context, Fields, Frame, Tab, render, status_of};
use crate::guard::Visit;
use crate::pages::login::cookie_of;
use crate::view::task::Moment;
use crate::{BackupError, BackupWish, PasswordError, attachment, session, strings as t, token};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    cluster: String,
    claimed: Option<Moment>,
    tokens: Vec<TokenRow>,
    /// Whether the leader evens out the load by itself.
    rebalances: bool,
    fence_hook: String,
    fence_hook_max: usize,
    password_min: usize,
    token_name_max: usize,
    backup: Option<BackupRow>,
    passphrase_min: usize,
    schedule: schedule::Part,
    said: Said,
}

/// The part of the page on what the cluster does by itself.
const CLUSTER: &str = "cluster";

/// What the page answers to a form of it.
#[derive(Default)]
pub(super) struct Said {
    /// Which part of the page it is about.
    part: &'static str,
    done: String,
    error: String,
    /// Shown this once.
    token: String,
    name: String,
}

/// The last one.
struct BackupRow {
    at: Moment,
    outcome: String,
    is_failed: bool,
}

struct TokenRow {
    name: String,
    created: Moment,
    expires: Option<Moment>,
    is_expired: bool,
}

pub async fn show(context: Context) -> Response {
    page(&context, Said::default())
}

fn page(context: &Context, said: Said) -> Response {
    page_with(context, said, &schedule::Said::default())
}

pub(super) fn page_with(context: &Context, said: Said, schedule: &schedule::Said) -> Response {
    // By the latest state: what a form has just changed is in it.
    let state = context.backend.state();
    let claimed =
        state.events.iter().find(|event| event.kind == EventKind::ClusterClaimed).map(|event| event.at);
    // The event is forgotten in time; the first user was made by the claim.
    let claimed = claimed.or_else(|| state.users.values().map(|user| user.created_at).min());
    let mut tokens: Vec<TokenRow> = state.tokens.values().map(|token| row(token, context)).collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    render(&SettingsPage {
        frame: context.frame(t::SETTINGS_TITLE, Tab::Settings),
        cluster: state.cluster.map(|id| id.to_string()).unwrap_or_default(),
        claimed: claimed.map(Into::into),
        tokens,
        rebalances: state.settings.rebalance == Rebalance::Automatic,
        fence_hook: match said.part {
            CLUSTER if !said.error.is_empty() => said.name.clone(),
            _ => state.settings.fence_hook.clone(),
        },
        fence_hook_max: settings::URL_BYTES_MAX,
        password_min: limits::PASSWORD_BYTES_MIN,
        token_name_max: limits::TOKEN_NAME_BYTES_MAX,
        backup: state.last_backup.as_ref().map(backup_row),
        passphrase_min: limits::PASSPHRASE_BYTES_MIN,
        schedule: schedule::part(&state, schedule),
        said,
    })
}

fn row(token: &Token, context: &Context) -> TokenRow {
    TokenRow {
        name: token.name.clone(),
        created: token.created_at.into(),
        expires: token.expires_at.map(Into::into),
        is_expired: token.expires_at.is_some_and(|at| at <= context.now),
    }
}

fn backup_row(note: &BackupNote) -> BackupRow {
    let outcome = match &note.error {
        None => t::backup_done(note.bytes, note.index, note.secrets),
        Some(error) => t::backup_failed(error),
    };
    BackupRow { at: note.at.into(), outcome, is_failed: note.error.is_some() }
}

fn refused(
    context: &Context,
    part: &'static str,
    status: StatusCode,
    error: String,
    fields: &Fields,
) -> Response {
    let name = fields.get("name").to_owned();
    (status, page(context, Said { part, error, name, ..Said::default() })).into_response()
}

pub async fn password(context: Context, fields: Fields) -> Response {
    const PART: &str = "password";
    let (now, new) = (fields.get("current"), fields.get("password"));
    let mistake =
        |text: &str| refused(&context, PART, StatusCode::UNPROCESSABLE_ENTITY, text.to_owned(), &fields);
    if new != fields.get("again") {
        return mistake(t::PASSWORDS_DIFFER);
    }
    if new == now {
        return mistake(t::PASSWORD_SAME);
    }
    let Some(name) = who(&context) else { return not_a_person(&context) };
    match context.backend.change_password(&name, now, new, context.origin()).await {
        Ok(()) => {
            let said = Said { part: PART, done: t::PASSWORD_CHANGED.to_owned(), ..Said::default() };
            stay(&context, &name, said)
        }
        Err(error) => {
            let status = match &error {
                PasswordError::Wrong => StatusCode::FORBIDDEN,
                PasswordError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
                PasswordError::BadPassword => StatusCode::UNPROCESSABLE_ENTITY,
                PasswordError::Unavailable(error) => status_of(error),
            };
            refused(&context, PART, status, t::password_error(&error), &fields)
        }
    }
}

/// The page with a fresh cookie: what was changed ended the visitor's own session, too. Its forms are of that session.
fn stay(context: &Context, name: &str, said: Said) -> Response {
    let state = context.backend.state();
    let Some(value) = session::issue(&state, name, context.now) else {
        return Redirect::to("/login").into_response();
    };
    let session = session::verify(&state, &value, context.now);
    let csrf = session.as_ref().map(|session| session.csrf.clone()).unwrap_or_default();
    let visit = Visit { csrf, session, ..context.visit.clone() };
    let fresh = Context { backend: context.backend.clone(), state, now: context.now, visit };
    let cookie = cookie_of(&fresh, &value);
    ([(header::SET_COOKIE, cookie)], page(&fresh, said)).into_response()
}

/// What the cluster does by itself.
pub async fn cluster(context: Context, fields: Fields) -> Response {
    let rebalance = match fields.get("rebalance") {
        "automatic" => Rebalance::Automatic,
        "manual" => Rebalance::Manual,
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    let fence_hook = fields.get("fence_hook").trim().to_owned();
    let change_of = SettingsChange { rebalance: Some(rebalance), fence_hook: Some(fence_hook.clone()) };
    match change(&context, Command::ChangeSettings { change: change_of }).await {
        Ok(()) => {
            let said = Said { part: CLUSTER, done: t::SETTINGS_CHANGED.to_owned(), ..Said::default() };
            page(&context, said)
        }
        Err((status, error)) => {
            let said = Said { part: CLUSTER, error, name: fence_hook, ..Said::default() };
            (status, page(&context, said)).into_response()
        }
    }
}

pub async fn tokens(context: Context, fields: Fields) -> Response {
    const PART: &str = "tokens";
    let name = fields.get("name").trim().to_owned();
    let (command, token) = match fields.get("action") {
        "create" => {
            let days = fields.get("days").parse().ok();
            let issued = days.and_then(|days| token::issue(name.clone(), days, context.now));
            let Some((token, text)) = issued else {
                return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION);
            };
            (Command::PutToken { token }, text)
        }
        "revoke" => (Command::DeleteToken { name: name.clone() }, String::new()),
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    match change(&context, command).await {
        Ok(()) => page(&context, Said { part: PART, token, name, ..Said::default() }),
        Err((status, why)) => refused(&context, PART, status, why, &fields),
    }
}

/// The answer is the file.
pub async fn backup(context: Context, fields: Fields) -> Response {
    let passphrase = Some(fields.get("passphrase").to_owned()).filter(|text| !text.is_empty());
    let (actor, origin) = (context.actor(), context.origin());
    match context.backend.back_up(BackupWish { passphrase, stale: false, actor, origin }).await {
        Ok(file) => attachment::text(file.bytes, file.name.as_bytes()),
        Err(error) => {
            let status = match &error {
                BackupError::BadPassphrase => StatusCode::UNPROCESSABLE_ENTITY,
                BackupError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
                BackupError::Unavailable(error) => status_of(error),
            };
            refused(&context, "backup", status, t::backup_error(&error), &fields)
        }
    }
}

pub async fn sessions(context: Context, _checked: Fields) -> Response {
    let Some(name) = who(&context) else { return not_a_person(&context) };
    let session_key = SessionKey(session::hex(&rand::random::<[u8; 32]>()));
    match change(&context, Command::RotateSessionKey { session_key }).await {
        Ok(()) => {
            let said = Said { part: "sessions", done: t::SESSIONS_ENDED.to_owned(), ..Said::default() };
            stay(&context, &name, said)
        }
        Err((status, why)) => {
            (status, page(&context, Said { part: "sessions", error: why, ..Said::default() })).into_response()
        }
    }
}

/// Without a request id: each of these carries fresh randomness or is harmless twice.
pub(super) async fn change(context: &Context, command: Command) -> Result<(), (StatusCode, String)> {
    match context.propose_as(None, None, command).await {
        Ok(applied) => match applied.result {
            Ok(_) => Ok(()),
            Err(model::Reject::Invalid { message, .. }) => {
                Err((StatusCode::UNPROCESSABLE_ENTITY, crate::view::words::sentence(&message)))
            }
            Err(reject) => Err((StatusCode::CONFLICT, reject.to_string())),
        },
        Err(error) => Err((status_of(&error), t::unavailable(&error))),
    }
}

/// Only people have passwords and sessions.
fn who(context: &Context) -> Option<String> {
    context.visit.session.as_ref().map(|session| session.name.clone())
}

fn not_a_person(context: &Context) -> Response {
    context.problem(StatusCode::FORBIDDEN, t::NOT_ALLOWED, t::NOT_ALLOWED_TEXT)
}
