//! `/versions/{id}`: every definition an app had, what differs between two, and the way back to one.

use std::sync::Arc;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use model::app::AppSpec;
use model::command::PutMode;
use model::state::App;
use model::{AppId, Command, Timestamp};
use serde::Deserialize;

use super::app::send;
use super::compose::text_of;
use super::review::ReviewPage;
use crate::context::{Context, Fields, Frame, Query, Tab, nonce, render};
use crate::strings as t;
use crate::view::apps::href;
use crate::view::diff::{Line, diff};
use crate::view::preview::preview;
use crate::view::task::Moment;

#[derive(Deserialize, Default)]
pub struct Asked {
    /// One version to look at.
    version: Option<String>,
    /// Two to compare.
    from: Option<String>,
    to: Option<String>,
    /// One to go back to.
    back: Option<String>,
}

#[derive(Template)]
#[template(path = "versions.html")]
struct VersionsPage {
    frame: Frame,
    app_href: String,
    here: String,
    rows: Vec<VersionRow>,
    /// What was chosen to compare, and how the two differ.
    chosen: Option<(String, String)>,
    diff: Vec<Line>,
    api: String,
}

struct VersionRow {
    at: Moment,
    instances: u32,
    change: String,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "version.html")]
struct VersionPage {
    frame: Frame,
    here: String,
    version: String,
    is_current: bool,
    json: String,
    diff: Vec<Line>,
    api: String,
}

fn find(context: &Context, path: &str) -> Option<Arc<App>> {
    context.state.app(&AppId::parse(path).ok()?).cloned()
}

fn version<'a>(app: &'a App, text: &str) -> Option<&'a Arc<AppSpec>> {
    let wanted = Timestamp::parse(text)?;
    app.versions.iter().find(|spec| spec.version == wanted)
}

pub fn path_of(id: &AppId) -> String {
    format!("/versions{id}")
}

pub async fn show(context: Context, Path(path): Path<String>, Query(asked): Query<Asked>) -> Response {
    let Some(app) = find(&context, &path) else { return context.not_found(t::NO_SUCH_APP) };
    let known = |text: &Option<String>| text.as_ref().map(|text| version(&app, text).ok_or(()));
    match (known(&asked.version), known(&asked.from), known(&asked.to), known(&asked.back)) {
        (None, None, None, None) => list(&context, &app, None),
        (Some(Ok(spec)), ..) => one(&context, &app, spec),
        (_, Some(Ok(from)), Some(Ok(to)), _) => list(&context, &app, Some((from, to))),
        (.., Some(Ok(spec))) => confirm(&context, &app, spec),
        _ => context.not_found(t::VERSION_NONE),
    }
}

fn list(context: &Context, app: &App, chosen: Option<(&Arc<AppSpec>, &Arc<AppSpec>)>) -> Response {
    let id = &app.spec.id;
    let texts: Vec<String> = app.versions.iter().map(|spec| text_of(spec)).collect();
    let mut rows: Vec<VersionRow> = app
        .versions
        .iter()
        .enumerate()
        .map(|(n, spec)| VersionRow {
            at: spec.version.into(),
            instances: spec.instances,
            change: n
                .checked_sub(1)
                .map_or(t::VERSION_FIRST.to_owned(), |old| change(&texts[old], &texts[n])),
            is_current: spec.version == app.spec.version,
        })
        .collect();
    rows.reverse();
    let diff = chosen.map_or_else(Vec::new, |(from, to)| diff(&text_of(from), &text_of(to)));
    let live = format!("app={}", crate::guard::encode(id.as_str()));
    render(&VersionsPage {
        frame: Frame { live: Some(live), ..context.frame(t::versions_title(id.as_str()), Tab::Apps) },
        app_href: href(id),
        here: path_of(id),
        rows,
        chosen: chosen.map(|(from, to)| (from.version.to_string(), to.version.to_string())),
        diff,
        api: format!("curl -u admin {}/v2/apps{id}/versions", context.visit.base_url()),
    })
}

fn change(old: &str, new: &str) -> String {
    let lines = diff(old, new);
    if lines.is_empty() {
        return t::VERSION_SAME.to_owned();
    }
    let count = |wanted: fn(&Line) -> bool| lines.iter().filter(|line| wanted(line)).count();
    t::version_change(
        count(|line| matches!(line, Line::Added(_))),
        count(|line| matches!(line, Line::Removed(_))),
    )
}

fn one(context: &Context, app: &App, spec: &Arc<AppSpec>) -> Response {
    let id = &app.spec.id;
    let at = spec.version.to_string();
    render(&VersionPage {
        frame: context.frame(t::version_title(id.as_str(), &at), Tab::Apps),
        here: path_of(id),
        is_current: spec.version == app.spec.version,
        json: text_of(spec),
        diff: diff(&text_of(spec), &text_of(&app.spec)),
        api: format!("curl -u admin {}/v2/apps{id}/versions/{at}", context.visit.base_url()),
        version: at,
    })
}

/// The version's definition as the app's next one.
fn back(context: &Context, spec: &AppSpec, force: bool) -> Command {
    let deployment = context.backend.fresh_deployment();
    Command::PutApp { app: Box::new(spec.clone()), mode: PutMode::Update, deployment, force }
}

fn confirm(context: &Context, app: &App, spec: &Arc<AppSpec>) -> Response {
    let id = &app.spec.id;
    let at = spec.version.to_string();
    let preview = preview(&context.state, context.now, id, back(context, spec, false));
    if let Err(reject) = &preview.result {
        return context.problem(StatusCode::CONFLICT, t::REFUSED, reject.to_string());
    }
    let field = |name: &str, value: String| (name.to_owned(), value);
    let mut fields = vec![
        field("once", nonce()),
        field("version", at.clone()),
        field("expected", app.spec.version.to_string()),
    ];
    if preview.is_locked {
        fields.push(field("force", "yes".to_owned()));
    }
    render(&ReviewPage {
        frame: context.frame(t::version_back_title(id.as_str(), &at), Tab::Apps),
        preview,
        action: path_of(id),
        fields,
        button: t::VERSION_BACK_BUTTON,
        is_danger: false,
        type_name: String::new(),
        error: String::new(),
        go_on: None,
        back: path_of(id),
        back_word: t::CANCEL,
    })
}

/// Goes back to a version, provided that the app is still the one that was looked at.
pub async fn act(context: Context, Path(path): Path<String>, fields: Fields) -> Response {
    let Some(app) = find(&context, &path) else { return context.not_found(t::NO_SUCH_APP) };
    let Some(spec) = version(&app, fields.get("version")) else { return context.not_found(t::VERSION_NONE) };
    let Some(expected) = Timestamp::parse(fields.get("expected")) else {
        return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION);
    };
    let command = back(&context, spec, fields.get("force") == "yes");
    send(&context, &fields, Some(expected), command, &path_of(&app.spec.id), &href(&app.spec.id)).await
}
