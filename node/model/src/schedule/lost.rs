//! Tasks of nodes that do not answer: when others take their place, and when they are forgotten (spec/marathon.md §3.5).

use crate::app::UnreachableStrategy;
use crate::command::Action;
use crate::state::{App, LEASES_FROM};
use crate::task::{Reach, Task};
use crate::{State, Timestamp};

/// What becomes of a task whose node does not answer, if it does not come back before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// From then on another task may run in its place.
    pub inactive_at: Timestamp,
    /// Then it is forgotten, and stopped should its node come back.
    pub expunged_at: Timestamp,
}

/// `None` if the task's node answers, if its author says that it is to be waited for, or if two of it at once would do
/// harm and it may still run there.
pub fn fate(state: &State, app: &App, task: &Task) -> Option<Fate> {
    let member = state.members.get(&task.node)?;
    let since = member.lost_since?;
    let spec = app.spec_of(task.version).unwrap_or(&app.spec);
    let UnreachableStrategy::After { inactive_ms, expunge_ms } = spec.unreachable else { return None };
    let (inactive_at, expunged_at) = (since.plus_ms(inactive_ms), since.plus_ms(expunge_ms));
    if state.feature_level < LEASES_FROM {
        return (!spec.is_exclusive()).then_some(Fate { inactive_at, expunged_at: inactive_at });
    }
    if app.is_exclusive() {
        // It must not be there when its node comes back: forgotten at once.
        let at = member.fenced_at?.max(inactive_at);
        return Some(Fate { inactive_at: at, expunged_at: at });
    }
    Some(Fate { inactive_at, expunged_at: expunged_at.max(inactive_at) })
}

/// What is to be given up at `now`, and when the next is.
pub(super) fn give_up(state: &State, now: Timestamp) -> (Vec<Action>, Option<Timestamp>) {
    let (mut actions, mut wake_at) = (Vec::new(), None::<Timestamp>);
    if state.members.values().all(|member| member.lost_since.is_none()) {
        return (actions, wake_at);
    }
    for app in state.apps.values() {
        for task in app.tasks.values() {
            let Some(fate) = fate(state, app, task) else { continue };
            let next = if task.reach == Reach::Inactive { fate.expunged_at } else { fate.inactive_at };
            if fate.expunged_at <= now {
                actions.push(Action::Expunge { task: task.id.clone() });
            } else if next <= now {
                actions.push(Action::Inactivate { task: task.id.clone() });
            } else {
                wake_at = Some(wake_at.map_or(next, |earlier| earlier.min(next)));
            }
        }
    }
    (actions, wake_at)
}
