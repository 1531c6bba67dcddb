//! Which tasks go first when some must (spec/marathon.md §3.3).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::constraints;
use crate::app::{ConstraintOperator, KillSelection};
use crate::deploy::Next;
use crate::state::App;
use crate::task::{KillReason, Reach, Task, TaskState};
use crate::{State, TaskId, Timestamp};

/// Tasks of an outdated configuration, or that are to move, that may go now: all that do not run, and as many running
/// ones as `next` allows.
pub(super) fn outdated(app: &App, next: &Next) -> Vec<(TaskId, KillReason)> {
    if next.kill_old_other + next.kill_old_running == 0 {
        return Vec::new();
    }
    let mut old: Vec<&Arc<Task>> =
        app.tasks.values().filter(|task| is_counted(task) && !app.stays(task)).collect();
    old.sort_by_key(|task| order(app, task));
    let (running, others): (Vec<_>, Vec<_>) = old.into_iter().partition(|task| app.serves(task));
    let allowed = running.into_iter().take(next.kill_old_running as usize);
    let reason = |task: &Task| match app.is_current(task.version) {
        true => KillReason::Moved,
        false => KillReason::Replaced,
    };
    others.into_iter().chain(allowed).map(|task| (task.id.clone(), reason(task))).collect()
}

/// Current tasks beyond the wanted instances: those whose going best evens out GROUP_BY, then those not running yet,
/// then by age. Of running ones no more than `next` allows, however uneven that leaves the groups.
pub(super) fn surplus(state: &State, app: &App, next: &Next) -> Vec<TaskId> {
    if next.kill_surplus == 0 {
        return Vec::new();
    }
    let mut left: Vec<&Arc<Task>> =
        app.tasks.values().filter(|task| is_counted(task) && app.stays(task)).collect();
    left.sort_by_key(|task| order(app, task));
    let group = group_of(state, app);
    let mut victims = Vec::new();
    let mut spare = next.kill_surplus_running;
    for _ in 0..next.kill_surplus {
        if spare == 0 {
            left.retain(|task| !app.serves(task));
        }
        let mut sizes: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for task in &left {
            *sizes.entry(group(task)).or_default() += 1;
        }
        // The first of the largest group; without GROUP_BY all are in one group.
        let largest = sizes.values().max().copied();
        let Some(at) = left.iter().position(|task| sizes.get(&group(task)).copied() == largest) else {
            break;
        };
        let victim = left.remove(at);
        spare -= u32::from(app.serves(victim));
        victims.push(victim.id.clone());
    }
    victims
}

/// One whose node is silent could not hear that it is to end.
fn is_counted(task: &Task) -> bool {
    task.is_wanted() && task.reach != Reach::Inactive
}

/// The value of the app's GROUP_BY field on a task's node.
fn group_of<'a>(state: &'a State, app: &'a App) -> impl Fn(&Task) -> Option<String> + 'a {
    let constraint = app.spec.constraints.iter().find(|c| c.operator == ConstraintOperator::GroupBy);
    move |task| {
        let node = state.nodes.get(&task.node)?;
        constraints::value(node, &constraint?.field).map(str::to_owned)
    }
}

/// Ascending: who goes first. The id settles ties, so that every server would choose alike.
/// A task that its node stops already goes before all: it serves nobody, though its state comes after running. Then
/// those that serve nobody for another reason, the unhealthy among them.
fn order(app: &App, task: &Task) -> (bool, bool, TaskState, Timestamp, Reverse<Timestamp>, TaskId) {
    let since = task.started_at.unwrap_or(task.staged_at);
    let (oldest, youngest) = match app.spec.kill_selection {
        KillSelection::OldestFirst => (since, Timestamp::default()),
        KillSelection::YoungestFirst => (Timestamp::default(), since),
    };
    (
        task.state != TaskState::Killing,
        app.serves(task),
        task.state,
        oldest,
        Reverse(youngest),
        task.id.clone(),
    )
}
