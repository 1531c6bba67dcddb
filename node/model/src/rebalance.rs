//! What would have to move so that nodes are loaded alike: a plan for people to look at and to start.
//!
//! Each step asks the scheduler itself, on a scratch state, where the task's successor would go. So constraints, ports
//! and room are kept, and what is shown is what would happen now. A task moves only if its successor may serve before
//! it ends; exclusive ones stay, and so does what is being deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::command::Action;
use crate::ids::IdSource;
use crate::node::Resources;
use crate::schedule::{self, Usage};
use crate::state::App;
use crate::task::Task;
use crate::{AppId, NodeId, State, TaskId};

/// Moves of one plan: each costs a start and an end.
pub const MOVES_MAX: usize = 20;
/// Tasks looked at for each move.
const CANDIDATES_MAX: usize = 8;
/// A move that lowers the higher of the two loads by less is not worth it.
const GAIN_PERMILLE: u64 = 20;

/// One task that would move. Loads are thousandths: the mean of used processors and used memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    pub app: AppId,
    pub task: TaskId,
    pub from: NodeId,
    pub to: NodeId,
    pub from_load: Change,
    pub to_load: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change {
    pub before: u64,
    pub after: u64,
}

/// In the order in which they help most; empty if nothing is to be gained.
pub fn plan(state: &State) -> Vec<Move> {
    let mut scratch = state.clone();
    let mut moves = Vec::new();
    while moves.len() < MOVES_MAX
        && let Some((step, next)) = best(&scratch)
    {
        moves.push(step);
        scratch = next;
    }
    moves
}

/// The next step of a cluster that evens itself out: one at a time, and none while a node is lost. Apps that wait or are
/// being deployed hold nobody up, they only stay where they are.
pub fn next(state: &State) -> Option<Move> {
    let is_lost = state.members.values().any(|member| member.lost_since.is_some());
    let moves = state.apps.values().any(|app| app.tasks.values().any(|task| task.displaced));
    if is_lost || moves { None } else { best(state).map(|(step, _)| step) }
}

/// The move off the most loaded node after which the higher load is lowest, and the state after it.
fn best(state: &State) -> Option<(Move, State)> {
    let before = loads(state);
    let (from, load) = before.iter().max_by_key(|(_, load)| **load)?;
    let mut best: Option<(u64, Move, State)> = None;
    for (app, task) in candidates(state, *from) {
        let Some((to, next)) = moved(state, &app.spec.id, task) else { continue };
        let after = loads(&next);
        let change = |node: &NodeId| Change { before: before[node], after: after[node] };
        let (from_load, to_load) = (change(from), change(&to));
        let highest = from_load.after.max(to_load.after);
        let gains = highest + GAIN_PERMILLE <= *load;
        if gains && best.as_ref().is_none_or(|(lowest, ..)| highest < *lowest) {
            let app = app.spec.id.clone();
            let step = Move { app, task: task.id.clone(), from: *from, to, from_load, to_load };
            best = Some((highest, step, next));
        }
    }
    best.map(|(_, step, next)| (step, next))
}

/// One task of each app on `node` that may move at all.
fn candidates(state: &State, node: NodeId) -> impl Iterator<Item = (&Arc<App>, &Arc<Task>)> {
    let busy: BTreeSet<&AppId> = state.deployments.values().map(|deployment| &deployment.app).collect();
    let may_move =
        move |app: &&Arc<App>| !app.deleted && !app.spec.is_exclusive() && !busy.contains(&app.spec.id);
    let one_of = move |app| {
        let app: &Arc<App> = app;
        let here =
            |task: &&Arc<Task>| task.node == node && task.is_wanted() && app.serves(task) && app.stays(task);
        app.tasks.values().find(here).map(|task| (app, task))
    };
    state.apps.values().filter(may_move).filter_map(one_of).take(CANDIDATES_MAX)
}

/// Where the scheduler would put the successor of `task`, and the state once it runs there.
fn moved(state: &State, app: &AppId, task: &Task) -> Option<(NodeId, State)> {
    let mut next = state.clone();
    next.move_tasks(std::slice::from_ref(&task.id), false).ok()?;
    let plan = schedule::plan(&next, next.now, &mut IdSource::new(0));
    let launched = plan.actions.into_iter().find_map(|action| match action {
        Action::Launch { app: of, node, ports, .. } if of == *app => Some((node, ports)),
        _ => None,
    });
    let (node, ports) = launched?;
    next.relocate(&task.id, node, ports);
    Some((node, next))
}

fn loads(state: &State) -> BTreeMap<NodeId, u64> {
    let usage = Usage::of(state);
    let load = |all: &Resources, free: &Resources| {
        let used = |all: u64, free: u64| 1_000 - free.saturating_mul(1_000) / all.max(1);
        u64::midpoint(used(all.cpu_milli, free.cpu_milli), used(all.mem_mib, free.mem_mib))
    };
    let one = |(id, node): (&NodeId, &Arc<crate::node::Node>)| {
        Some((*id, load(&node.resources, &usage.node(*id)?.free)))
    };
    state.nodes.iter().filter_map(one).collect()
}
