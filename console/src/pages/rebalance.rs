//! The plan by which load would be evened out, and starting it: part of `/nodes`.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use model::rebalance::{self, Change, Move};
use model::{Command, State, TaskId};

use super::nodes;
use crate::context::{Context, Fields, Frame, Tab, render};
use crate::strings as t;

#[derive(Template)]
#[template(path = "rebalance.html")]
struct RebalancePage {
    frame: Frame,
    moves: Vec<MoveRow>,
}

struct MoveRow {
    app: String,
    task: String,
    from: String,
    to: String,
    from_load: String,
    to_load: String,
}

pub async fn show(context: &Context) -> Response {
    let state = context.state.clone();
    // Many plans of the scheduler: not on a thread that answers others. Empty if that thread died.
    let moves = tokio::task::spawn_blocking(move || rebalance::plan(&state)).await.unwrap_or_default();
    let rows = moves.iter().map(|step| row(&context.state, step)).collect();
    render(&RebalancePage { frame: context.frame(t::REBALANCE_TITLE, Tab::Node), moves: rows })
}

fn row(state: &State, step: &Move) -> MoveRow {
    let percent = |Change { before, after }| format!("{} → {} %", before / 10, after / 10);
    MoveRow {
        app: step.app.to_string(),
        task: step.task.to_string(),
        from: state.node_name(step.from),
        to: state.node_name(step.to),
        from_load: percent(step.from_load),
        to_load: percent(step.to_load),
    }
}

/// Moves what was shown, not what a plan of this moment would say.
pub async fn act(context: &Context, fields: &Fields) -> Response {
    let shown = fields.others().filter(|(name, _)| *name == "task").take(rebalance::MOVES_MAX);
    let tasks = shown.filter_map(|(_, task)| TaskId::parse(task).ok()).collect();
    match nodes::change(context, Command::MoveTasks { tasks, cancel: false }).await {
        Ok(()) => nodes::back(),
        Err((StatusCode::CONFLICT, error)) => {
            context.problem(StatusCode::CONFLICT, t::REBALANCE_TITLE, error)
        }
        Err((status, error)) => context.problem(status, t::UNAVAILABLE, error),
    }
}
