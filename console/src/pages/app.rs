//! `/apps/{id}`: one application and what can be done with it.

use std::sync::Arc;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::app::AppSpec;
use model::command::PutMode;
use model::state::App;
use model::{AppId, Command, Reject, Timestamp, limits};
use serde::Deserialize;

use super::confirm;
use super::review::ReviewPage;
use crate::context::{Context, Fields, Frame, Query, Tab, nonce, render};
use crate::definition;
use crate::strings as t;
use crate::view::app::{self, AppView};
use crate::view::apps::href;
use crate::view::preview;
use crate::view::words;

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    confirm: String,
    /// Of `confirm=scale`.
    #[serde(default)]
    instances: String,
}

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage {
    frame: Frame,
    app: AppView,
    json: String,
    api: String,
    /// What labels and ports do not get from the balancer.
    balancer_faults: Vec<String>,
    once: String,
    instances_max: u32,
}

fn find(context: &Context, path: &str) -> Option<Arc<App>> {
    context.state.app(&AppId::parse(path).ok()?).cloned()
}

pub async fn show(context: Context, Path(path): Path<String>, Query(asked): Query<Asked>) -> Response {
    let Some(app) = find(&context, &path) else { return context.not_found(t::NO_SUCH_APP) };
    let id = &app.spec.id;
    if !asked.confirm.is_empty() {
        return confirm(&context, &app, &asked, String::new());
    }
    let live = format!("app={}", crate::guard::encode(id.as_str()));
    render(&AppPage {
        frame: Frame { live: Some(live), ..context.frame(id.as_str(), Tab::Apps) },
        json: definition::emit(&app.spec),
        api: format!("curl -u admin {}/v2/apps{id}", context.visit.base_url()),
        balancer_faults: context.backend.balancer_faults(id),
        app: app::view(&context.state, &app, context.now).with(&context.backend.preparing().borrow()),
        once: nonce(),
        instances_max: limits::INSTANCES_PER_APP_MAX,
    })
}

/// The consequence of a button, shown before it is pressed for good.
fn confirm(context: &Context, app: &App, asked: &Asked, error: String) -> Response {
    let id = app.spec.id.as_str();
    let (command, action, title, button) = match asked.confirm.as_str() {
        "destroy" => ("destroy", None, t::destroy_title(id), t::DESTROY_BUTTON),
        "suspend" => ("suspend", Some(0), t::suspend_title(id), t::SUSPEND),
        "restart" => ("restart", None, t::restart_title(id), t::RESTART),
        "scale" => match instances(&asked.instances) {
            Some(0) => ("suspend", Some(0), t::suspend_title(id), t::SUSPEND),
            Some(n) => ("scale", Some(n), t::scale_title(id, n), t::SCALE),
            None => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return context.problem(status, t::SCALE_NOT_A_NUMBER, t::scale_rule());
            }
        },
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    let deployment = context.backend.fresh_deployment();
    let wish = match (command, action) {
        ("destroy", _) => Command::DeleteApp { app: app.spec.id.clone(), deployment, force: false },
        (_, Some(instances)) => scaled(context, &app.spec, instances, false).1,
        _ => Command::RestartApp { app: app.spec.id.clone(), deployment, force: false },
    };
    let mut preview = preview::preview(&context.state, context.now, &app.spec.id, wish);
    // A number or nothing says it all; the whole definition would only hide it.
    preview.diff.clear();
    let is_destroy = command == "destroy";
    if is_destroy {
        preview.sentences.push(t::PREVIEW_GONE_FOR_GOOD.to_owned());
    }
    let field = |name: &str, value: String| (name.to_owned(), value);
    let mut fields = vec![field("action", command.to_owned()), field("once", nonce())];
    fields.extend(action.map(|n| field("instances", n.to_string())));
    if preview.is_locked {
        fields.push(field("force", "yes".to_owned()));
    }
    let back = href(&app.spec.id);
    render(&ReviewPage {
        frame: context.frame(title, Tab::Apps),
        preview,
        action: back.clone(),
        fields,
        button,
        is_danger: is_destroy,
        type_name: if is_destroy { id.to_owned() } else { String::new() },
        error,
        go_on: None,
        back,
        back_word: if is_destroy { t::KEEP } else { t::CANCEL },
    })
}

/// Every button of the page, by the field `action`.
pub async fn act(context: Context, Path(path): Path<String>, fields: Fields) -> Response {
    let Some(app) = find(&context, &path) else { return context.not_found(t::NO_SUCH_APP) };
    if fields.get("action") == "destroy" && !is_named(&app.spec.id, fields.get("name")) {
        let asked = Asked { confirm: "destroy".to_owned(), instances: String::new() };
        let page = confirm(&context, &app, &asked, t::DESTROY_NAME_WRONG.to_owned());
        return (StatusCode::UNPROCESSABLE_ENTITY, page).into_response();
    }
    let id = app.spec.id.clone();
    let force = fields.get("force") == "yes";
    let deployment = context.backend.fresh_deployment();
    let (expected, command) = match fields.get("action") {
        "scale" => match instances(fields.get("instances")) {
            Some(instances) => scaled(&context, &app.spec, instances, force),
            None => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return context.problem(status, t::SCALE_NOT_A_NUMBER, t::scale_rule());
            }
        },
        "suspend" => scaled(&context, &app.spec, 0, force),
        "restart" => (None, Command::RestartApp { app: id.clone(), deployment, force }),
        "destroy" => (None, Command::DeleteApp { app: id.clone(), deployment, force }),
        "reset" => (None, Command::ResetDelay { app: id.clone() }),
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    let page = href(&id);
    let after = if fields.get("action") == "destroy" { "/apps" } else { &page };
    send(&context, &fields, expected, command, &page, after).await
}

/// Typed with or without the slash before it.
fn is_named(id: &AppId, typed: &str) -> bool {
    let typed = typed.trim();
    typed == id.as_str() || Some(typed) == id.as_str().strip_prefix('/')
}

fn instances(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|n| *n <= limits::INSTANCES_PER_APP_MAX)
}

/// The same definition with another number of instances, provided that nobody changed it meanwhile.
fn scaled(context: &Context, spec: &AppSpec, instances: u32, force: bool) -> (Option<Timestamp>, Command) {
    let app = Box::new(AppSpec { instances, ..spec.clone() });
    let deployment = context.backend.fresh_deployment();
    (Some(spec.version), Command::PutApp { app, mode: PutMode::Update, deployment, force })
}

/// Proposes what a button of `page` stands for, then leads to `after`, or says why not.
pub async fn send(
    context: &Context,
    fields: &Fields,
    expected: Option<Timestamp>,
    command: Command,
    page: &str,
    after: &str,
) -> Response {
    match context.propose(fields, expected, command).await {
        Ok(applied) => match applied.result {
            Ok(_) => Redirect::to(after).into_response(),
            Err(Reject::AppLocked { .. }) => {
                let action = context.visit.uri.path();
                (StatusCode::CONFLICT, confirm::locked(context, fields, action, page)).into_response()
            }
            Err(reject) => context.problem(StatusCode::CONFLICT, t::REFUSED, reject.to_string()),
        },
        Err(error) => context.unavailable(&error),
    }
}
