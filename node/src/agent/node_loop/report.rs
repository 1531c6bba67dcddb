//! What this node tells the cluster of its tasks: a batch for each round, written to the log.

use std::net::IpAddr;
use std::time::Duration;

use cluster::{Cluster, Proposal};
use model::desired::Step;
use model::task::{Exit, TaskChange, TaskState, TaskUpdate};
use model::{Command, NodeId, State, TaskId, limits};

use crate::agent::init_link::World;

/// Wait after a report that did not go through; the next round makes it anew.
const RETRY: Duration = Duration::from_millis(250);

const FENCED: &str =
    "it is exclusive, and its node had no contact with a majority of the cluster for too long";

/// The line of a report for a step that asks for one; `None` for other steps.
/// `addresses` are those under which a running task is reached.
pub fn update(
    step: Step,
    world: &World,
    addresses: impl FnOnce(&TaskId) -> Vec<IpAddr>,
) -> Option<TaskUpdate> {
    let (task, change) = match step {
        Step::ReportRunning { task } => {
            let addresses = addresses(&task);
            (task, TaskChange::Running { addresses })
        }
        Step::ReportKilling { task } => (task, TaskChange::Killing),
        Step::ReportGone { task, exit } => (task, TaskChange::Ended { exit }),
        Step::ReportEnded { task } => {
            let exit = world.exits.get(&task).map_or(Exit::NeverRan, |record| record.exit.clone());
            (task, TaskChange::Ended { exit })
        }
        Step::Create { .. } | Step::Stop { .. } | Step::Forget { .. } => return None,
    };
    let is_fenced = world.exits.get(&task).is_some_and(|record| record.fenced);
    let failure = || world.failures.get(&task).cloned().unwrap_or_default();
    let mut message = if is_fenced { FENCED.to_owned() } else { failure() };
    truncate(&mut message, limits::MESSAGE_BYTES_MAX);
    Some(TaskUpdate { task, change, message })
}

/// That a task waits for its image; told once, how far it is only this node knows.
pub fn starting(task: TaskId, mut message: String, state: &State) -> Option<TaskUpdate> {
    let is_news = state.task(&task).is_some_and(|(_, task)| task.state == TaskState::Staging);
    truncate(&mut message, limits::MESSAGE_BYTES_MAX);
    is_news.then_some(TaskUpdate { task, change: TaskChange::Starting, message })
}

/// Proposes the report; returns once it is applied, or after a rest if it could not be.
pub async fn write(cluster: Cluster, node: NodeId, mut updates: Vec<TaskUpdate>) {
    updates.truncate(limits::REPORT_UPDATES_MAX);
    tracing::info!(updates = updates.len(), "report");
    let proposal = Proposal::of_system(Command::Report { node, updates });
    let refused = match cluster.propose(proposal).await {
        Ok(applied) => applied.result.err().map(|reject| reject.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(error) = refused {
        tracing::warn!(error, "the report was not written");
        tokio::time::sleep(RETRY).await;
    }
}

/// Cuts at a character's boundary.
fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::protocol::ExitRecord;

    #[test]
    fn an_end_is_told_as_init_saw_it() {
        let task = TaskId::parse("a.instance-1._app.1").unwrap();
        let mut world = World::default();
        let of = |world: &World| {
            let step = Step::ReportEnded { task: task.clone() };
            update(step, world, |_| Vec::new()).unwrap()
        };
        world.failures.insert(task.clone(), "no such command".into());
        let ended = |exit| TaskChange::Ended { exit };
        assert_eq!(
            (of(&world).change, of(&world).message),
            (ended(Exit::NeverRan), "no such command".into())
        );
        let record = ExitRecord { task: task.clone(), exit: Exit::Code(3), at_boottime_ms: 1, fenced: false };
        world.exits.insert(task.clone(), record);
        assert_eq!(of(&world).change, ended(Exit::Code(3)));
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let mut text = "ää".to_owned();
        truncate(&mut text, 3);
        assert_eq!(text, "ä");
    }
}
