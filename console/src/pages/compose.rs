//! `/new`, `/edit/{id}` and what they send: an application composed in a form and in JSON at once.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::app::AppSpec;
use model::command::PutMode;
use model::{AppId, Command, Reject, State, Timestamp};
use serde::Deserialize;

use super::confirm;
use super::review;
use crate::compose::{self, Draft, Form, FormView, Side, Slots};
use crate::context::{Context, Fields, Frame, Query, Tab, nonce, render, status_of};
use crate::definition::{self, Refusal};
use crate::strings as t;
use crate::view::apps::href;
use crate::view::diff::Line;
use crate::view::preview::diff_of;
use crate::view::words;

/// The app that is being changed; `None` for a new one.
pub type Target = Option<AppId>;

#[derive(Template)]
#[template(path = "compose.html")]
struct ComposePage {
    frame: Frame,
    once: String,
    target: Target,
    /// The definition in force when editing began.
    version: String,
    parts: Parts,
    notice: Option<Notice>,
    api: String,
}

/// What the page and the answers to typing share.
struct Parts {
    /// What the answer to typing carries for places other than its target.
    is_update: bool,
    is_new: bool,
    json: String,
    origin: String,
    marks: (String, String),
    /// `None`: the JSON cannot be read.
    form: Option<FormView>,
    slots: Slots,
    refusal: Option<Refusal>,
}

/// Something a person has to know before they go on, with what somebody else changed.
struct Notice {
    title: &'static str,
    text: &'static str,
    diff: Vec<Line>,
}

/// The answer to typing in the form: the JSON of it.
#[derive(Template)]
#[template(path = "compose_typed_form.html")]
struct TypedForm {
    parts: Parts,
}

/// The answer to typing in the JSON: the form of it.
#[derive(Template)]
#[template(path = "compose_typed_json.html")]
struct TypedJson {
    parts: Parts,
}

impl Parts {
    fn new(draft: Draft, target: &Target, refusal: Option<Refusal>) -> Self {
        let marks = draft.marks();
        let slots = Slots::of(refusal.as_ref());
        let form = draft.form.as_ref().map(|form| FormView::new(form, &slots));
        Self {
            is_update: false,
            is_new: target.is_none(),
            json: draft.json,
            origin: draft.origin,
            marks,
            form,
            slots,
            refusal,
        }
    }
}

impl ComposePage {
    fn new(context: &Context, target: Target, version: String, parts: Parts, notice: Option<Notice>) -> Self {
        let title = target.as_ref().map_or(t::CREATE_TITLE.to_owned(), |id| t::edit_title(id.as_str()));
        let base = context.visit.base_url();
        let api = match &target {
            None => format!("curl -u admin -d @app.json {base}/v2/apps"),
            Some(id) => format!("curl -u admin -X PUT -d @app.json '{base}/v2/apps{id}?partialUpdate=false'"),
        };
        Self { frame: context.frame(title, Tab::Apps), once: nonce(), target, version, parts, notice, api }
    }

    fn action(&self) -> String {
        action(&self.target)
    }

    fn back(&self) -> String {
        self.target.as_ref().map_or("/apps".to_owned(), href)
    }
}

pub fn action(target: &Target) -> String {
    target.as_ref().map_or("/apps".to_owned(), |id| format!("/edit{id}"))
}

/// `GET /new`
pub async fn new(context: Context) -> Response {
    let parts = Parts::new(Draft::of_json(String::new()), &None, None);
    render(&ComposePage::new(&context, None, String::new(), parts, None))
}

/// `GET /edit/{id}`
pub async fn edit(context: Context, Path(path): Path<String>) -> Response {
    let Some(app) = AppId::parse(&path).ok().and_then(|id| context.state.app(&id)) else {
        return context.not_found(t::NO_SUCH_APP);
    };
    let target = Some(app.spec.id.clone());
    let parts = Parts::new(Draft::of_json(text_of(&app.spec)), &target, None);
    render(&ComposePage::new(&context, target, app.spec.version.to_string(), parts, None))
}

/// A definition as people edit it.
pub fn text_of(spec: &AppSpec) -> String {
    compose::pretty(&compose::compact(spec))
}

#[derive(Deserialize)]
pub struct Typed {
    #[serde(default)]
    from: String,
}

/// `POST /convert`: one side was typed in; answers the other. Changes nothing.
pub async fn convert(Query(typed): Query<Typed>, _context: Context, fields: Fields) -> Response {
    let target = AppId::parse(fields.get("editing")).ok();
    let is_form = typed.from == "form";
    let draft = match compose::draft(&fields, if is_form { Side::Form } else { Side::Json }) {
        Ok(draft) => draft,
        Err(both) => Draft::of_json(both.json),
    };
    let refusal = refusal_of(&draft, &target);
    let parts = Parts { is_update: true, ..Parts::new(draft, &target, refusal) };
    if is_form { render(&TypedForm { parts }) } else { render(&TypedJson { parts }) }
}

/// What is wrong with a draft. An empty one is not wrong yet.
fn refusal_of(draft: &Draft, target: &Target) -> Option<Refusal> {
    if draft.json.trim().is_empty() {
        return None;
    }
    checked(draft, target).err().map(|refusal| *refusal)
}

/// The app of a draft, if neither the JSON nor the form itself has a fault.
fn checked(draft: &Draft, target: &Target) -> Result<AppSpec, Box<Refusal>> {
    let parsed = definition::parse(&draft.json, target.as_ref());
    let own = draft.form.as_ref().map(Form::faults).unwrap_or_default();
    if own.is_empty() {
        return parsed;
    }
    let mut by_path: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (slot, error) in own {
        by_path.entry(format!("/{slot}")).or_default().push(error);
    }
    let mut faults: Vec<model::app::Fault> =
        by_path.into_iter().map(|(path, errors)| model::app::Fault { path, errors }).collect();
    match parsed.map_err(|refusal| *refusal) {
        Err(Refusal::Invalid(more)) => faults.extend(more),
        Err(other) => return Err(Box::new(other)),
        Ok(_) => {}
    }
    Err(Box::new(Refusal::Invalid(faults)))
}

/// `POST /apps`: what the page of a new application sends.
pub async fn submit_app(context: Context, fields: Fields) -> Response {
    submit(&context, &fields, None).await
}

/// `POST /edit/{id}`
pub async fn submit_edit(context: Context, Path(path): Path<String>, fields: Fields) -> Response {
    match AppId::parse(&path) {
        Ok(id) => submit(&context, &fields, Some(id)).await,
        Err(_) => context.not_found(t::NO_SUCH_APP),
    }
}

async fn submit(context: &Context, fields: &Fields, target: Target) -> Response {
    let side = match fields.get("do") {
        "json" => Side::Form,
        "form" => Side::Json,
        "" | "save" | "review" | "edit" => Side::Changed,
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    let draft = match compose::draft(fields, side) {
        Ok(draft) => draft,
        Err(both) => return both_changed(context, fields, target, *both),
    };
    let answer = |draft, refusal, version: String| {
        let parts = Parts::new(draft, &target, refusal);
        render(&ComposePage::new(context, target.clone(), version, parts, None))
    };
    let conflict = |draft, moved: Moved| {
        let parts = Parts::new(draft, &moved.target, None);
        let page = ComposePage::new(context, moved.target, moved.version, parts, Some(moved.notice));
        (StatusCode::CONFLICT, render(&page)).into_response()
    };
    let version = fields.get("version").to_owned();
    if matches!(fields.get("do"), "json" | "form" | "edit") {
        let refusal = refusal_of(&draft, &target);
        return answer(draft, refusal, version);
    }
    let app = match checked(&draft, &target) {
        Ok(app) => app,
        Err(refusal) => {
            let status = match *refusal {
                Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            return (status, answer(draft, Some(*refusal), version)).into_response();
        }
    };
    if let Some(moved) = moved(&context.state, &target, &version) {
        return conflict(draft, moved);
    }
    let deployment = context.backend.fresh_deployment();
    let mode = if target.is_some() { PutMode::Update } else { PutMode::Create };
    let to = href(&app.id);
    let expected = target.as_ref().and_then(|_| Timestamp::parse(&version));
    let id = app.id.clone();
    let command =
        Command::PutApp { app: Box::new(app), mode, deployment, force: fields.get("force") == "yes" };
    if fields.get("do") == "review" {
        return match review::page(context, &target, &id, &draft.json, &version, command) {
            Ok(page) => page,
            Err(why) => {
                let answer = answer(draft, Some(Refusal::ByCluster(why)), version);
                (StatusCode::CONFLICT, answer).into_response()
            }
        };
    }
    let (status, why) = match context.propose(fields, expected, command).await {
        Ok(applied) => match applied.result {
            Ok(_) => return Redirect::to(&to).into_response(),
            Err(Reject::AppLocked { .. }) => {
                let page = confirm::locked(context, fields, &action(&target), &to);
                return (StatusCode::CONFLICT, page).into_response();
            }
            Err(Reject::VersionMoved { .. } | Reject::AppUnknown { .. }) if target.is_some() => {
                // Somebody was faster by a hair; the state of this request does not know yet.
                let moved = moved(&context.backend.state(), &target, &version);
                return match moved {
                    Some(moved) => conflict(draft, moved),
                    None => context.problem(StatusCode::CONFLICT, t::REFUSED, t::MOVED_TITLE),
                };
            }
            Err(reject) => (StatusCode::CONFLICT, reject.to_string()),
        },
        Err(error) => (status_of(&error), t::unavailable(&error)),
    };
    (status, answer(draft, Some(Refusal::ByCluster(why)), version)).into_response()
}

/// What to say if the app is no longer at the version that was edited, and from where editing goes on.
struct Moved {
    notice: Notice,
    target: Target,
    version: String,
}

fn moved(state: &State, target: &Target, version: &str) -> Option<Moved> {
    let id = target.as_ref()?;
    let Some(app) = state.app(id) else {
        let notice = Notice { title: t::GONE_TITLE, text: t::GONE_TEXT, diff: Vec::new() };
        return Some(Moved { notice, target: None, version: String::new() });
    };
    let from = Timestamp::parse(version)?;
    if app.spec.version == from {
        return None;
    }
    let old = app.versions.iter().find(|spec| spec.version == from);
    let diff = diff_of(old.map(|spec| &**spec), &app.spec);
    let notice = Notice { title: t::MOVED_TITLE, text: t::MOVED_TEXT, diff };
    Some(Moved { notice, target: target.clone(), version: app.spec.version.to_string() })
}

fn both_changed(context: &Context, fields: &Fields, target: Target, both: compose::DraftError) -> Response {
    let slots = Slots::default();
    let parts = Parts {
        is_update: false,
        is_new: target.is_none(),
        form: Some(FormView::new(&both.form, &slots)),
        json: both.json,
        origin: both.origin,
        marks: both.marks,
        slots,
        refusal: None,
    };
    let notice = Notice { title: t::BOTH_CHANGED_TITLE, text: t::BOTH_CHANGED_TEXT, diff: Vec::new() };
    let page = ComposePage::new(context, target, fields.get("version").to_owned(), parts, Some(notice));
    (StatusCode::CONFLICT, render(&page)).into_response()
}
