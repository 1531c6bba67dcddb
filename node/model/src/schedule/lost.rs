//! Tasks of nodes that do not answer: when they count as lost, so that others take their place.

use crate::app::{AppSpec, UnreachableStrategy};
use crate::command::Action;
use crate::task::Task;
use crate::{State, Timestamp};

/// When `task`, of `spec`, counts as lost; `None` if its node answers, or if it may never be replaced unseen: because its
/// author said so, or because two of it at once would do harm.
pub fn lost_at(state: &State, spec: &AppSpec, task: &Task) -> Option<Timestamp> {
    let since = state.members.get(&task.node)?.lost_since?;
    match spec.unreachable {
        _ if spec.is_exclusive() => None,
        UnreachableStrategy::Disabled => None,
        UnreachableStrategy::After { inactive_ms, .. } => Some(since.plus_ms(inactive_ms)),
    }
}

/// What is to be given up at `now`, and when the next is.
pub(super) fn expunge(state: &State, now: Timestamp) -> (Vec<Action>, Option<Timestamp>) {
    let (mut actions, mut wake_at) = (Vec::new(), None::<Timestamp>);
    if state.members.values().all(|member| member.lost_since.is_none()) {
        return (actions, wake_at);
    }
    for app in state.apps.values() {
        for task in app.tasks.values() {
            match lost_at(state, app.spec_of(task.version).unwrap_or(&app.spec), task) {
                Some(at) if at <= now => actions.push(Action::Expunge { task: task.id.clone() }),
                Some(at) => wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at))),
                None => {}
            }
        }
    }
    (actions, wake_at)
}
