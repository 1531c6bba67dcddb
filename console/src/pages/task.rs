//! `/tasks/{id}`: one instance, live or remembered, with its output.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use model::{Command, TaskId};

use super::app::send;
use super::output::{self, Pane};
use crate::context::{Context, Fields, Frame, Tab, render};
use crate::view::details::{self, Details, Meter};
use crate::view::task::{self, TaskView};
use crate::{LogStream, strings as t};

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    task: TaskView,
    panes: Vec<Pane>,
    details: Option<Details>,
    /// What it uses right now; empty unless it runs here.
    meters: Vec<Meter>,
    /// Whether it may be moved, and whether it already is to be.
    moves: Option<bool>,
    /// What the kernel did about its memory, if anything.
    oom_kills: String,
}

fn find(context: &Context, id: &str) -> Option<(TaskId, TaskView)> {
    let id = TaskId::parse(id).ok()?;
    let view = task::find(&context.state, &id)?;
    Some((id, view))
}

pub async fn show(context: Context, Path(id): Path<String>) -> Response {
    let Some((id, task)) = find(&context, &id) else { return context.not_found(t::NO_SUCH_TASK) };
    let task = task.with(&context.backend.preparing().borrow());
    let mut panes = Vec::new();
    // A refresh replaces the facts only; the script keeps the output up to date by itself.
    if !context.visit.is_refresh {
        panes.push(output::tail(&context, &id, LogStream::Stdout).await);
        panes.push(output::tail(&context, &id, LogStream::Stderr).await);
    }
    let live = task.is_live.then(|| format!("task={id}"));
    let frame = Frame { live, ..context.frame(t::task_title(&task.app, &task.short), Tab::Apps) };
    let details = details::find(&context.state, &id);
    let usage = if task.is_live { context.backend.sandboxes().usage(&id).await.ok() } else { None };
    let meters = usage.as_ref().zip(details.as_ref()).map(|(usage, details)| details::meters(usage, details));
    let kills = usage.map_or(0, |usage| usage.out_of_memory_kills);
    let oom_kills = if kills > 0 { t::oom_kills(kills) } else { String::new() };
    let displaced = context.state.task(&id).map(|(_, task)| task.displaced);
    let moves = displaced.filter(|displaced| *displaced || context.state.nodes.len() > 1);
    render(&TaskPage { frame, moves, task, panes, details, meters: meters.unwrap_or_default(), oom_kills })
}

pub async fn act(context: Context, Path(id): Path<String>, fields: Fields) -> Response {
    let Some((id, task)) = find(&context, &id) else { return context.not_found(t::NO_SUCH_TASK) };
    let action = fields.get("action");
    let command = match action {
        "kill" | "kill_scale" => Command::KillTasks {
            tasks: vec![id],
            scale: action == "kill_scale",
            deployment: context.backend.fresh_deployment(),
            force: fields.get("force") == "yes",
        },
        "move" | "stay" => Command::MoveTasks { tasks: vec![id], cancel: action == "stay" },
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    send(&context, &fields, None, command, &task.href, &task.app_href).await
}
