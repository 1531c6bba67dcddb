//! Tells the cluster what happened to this node's tasks, and init what the cluster has made durable.
//!
//! Level-triggered and batched: each round compares init's world with the state and proposes all that differs in one
//! command. Until that is applied init keeps every exit, so a crash anywhere here only repeats a round.

use std::time::Duration;

use cluster::{Cluster, Proposal};
use model::auth::Actor;
use model::task::{Exit, TaskChange, TaskState, TaskUpdate};
use model::{Command, NodeId, Origin, State, TaskId, limits};
use tokio_util::sync::CancellationToken;

use super::init_link::{InitLink, World};

/// Wait after a report that did not go through.
const RETRY: Duration = Duration::from_millis(250);

/// What one round has to do.
#[derive(Debug, Default, PartialEq)]
struct Round {
    updates: Vec<TaskUpdate>,
    /// Ends that the state knows, or never will: init may forget them.
    settled: Vec<TaskId>,
}

pub async fn run(cluster: Cluster, init: InitLink, node: NodeId, shutdown: CancellationToken) {
    let mut states = cluster.watch();
    let mut worlds = init.world();
    loop {
        let round = round(&states.borrow_and_update(), &worlds.borrow_and_update(), node);
        for task in round.settled {
            init.acknowledge(task).await;
        }
        if !round.updates.is_empty() && !report(&cluster, node, round.updates).await {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        // Cancel safety: both are mere wake-ups.
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            changed = worlds.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
    }
}

async fn report(cluster: &Cluster, node: NodeId, updates: Vec<TaskUpdate>) -> bool {
    tracing::info!(updates = updates.len(), "report");
    let proposal = Proposal {
        actor: Actor::System,
        origin: Origin::default(),
        request_id: None,
        expected_version: None,
        command: Command::Report { node, updates },
    };
    match cluster.propose(proposal).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "the report was not written");
            false
        }
    }
}

fn round(state: &State, world: &World, node: NodeId) -> Round {
    let mut round = Round::default();
    let registered = state.nodes.get(&node).is_some_and(|n| n.boot_id == world.boot_id);
    if !world.connected || !registered {
        return round;
    }
    for id in world.tasks.keys() {
        let staged =
            state.task(id).is_some_and(|(_, t)| matches!(t.state, TaskState::Staging | TaskState::Starting));
        if staged {
            let addresses = state.nodes.get(&node).map(|n| n.addresses.clone()).unwrap_or_default();
            round.push(id, TaskChange::Running { addresses }, String::new());
        }
    }
    for (id, record) in &world.exits {
        round.end(state, id, record.exit.clone(), String::new());
    }
    for (id, message) in &world.failures {
        round.end(state, id, Exit::NeverRan, message.clone());
    }
    round
}

impl Round {
    fn push(&mut self, task: &TaskId, change: TaskChange, message: String) {
        if self.updates.len() < limits::REPORT_UPDATES_MAX {
            self.updates.push(TaskUpdate { task: task.clone(), change, message });
        }
    }

    fn end(&mut self, state: &State, task: &TaskId, exit: Exit, mut message: String) {
        if state.task(task).is_none() {
            self.settled.push(task.clone());
            return;
        }
        truncate(&mut message, limits::MESSAGE_BYTES_MAX);
        self.push(task, TaskChange::Ended { exit }, message);
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
    fn an_end_that_the_state_does_not_know_is_settled() {
        let (state, mut world) =
            (registered(), World { connected: true, boot_id: "b".into(), ..World::default() });
        let task = TaskId::parse("a.instance-1._app.1").unwrap();
        let record = ExitRecord { task: task.clone(), exit: Exit::Code(0), at_boottime_ms: 1 };
        world.exits.insert(task.clone(), record);
        assert_eq!(round(&state, &world, NodeId(1)), Round { updates: vec![], settled: vec![task] });
    }

    #[test]
    fn nothing_is_concluded_before_this_boot_is_registered() {
        let mut world = World { connected: true, boot_id: "later".into(), ..World::default() };
        world.failures.insert(TaskId::parse("a.1").unwrap(), "x".into());
        assert_eq!(round(&registered(), &world, NodeId(1)), Round::default());
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let mut text = "ää".to_owned();
        truncate(&mut text, 3);
        assert_eq!(text, "ä");
    }

    fn registered() -> State {
        let mut state = State::default();
        let node = model::node::Node {
            id: NodeId(1),
            name: "n".into(),
            addresses: vec![],
            resources: Default::default(),
            host_ports: (31_000, 32_000),
            attributes: Default::default(),
            feature_level: 1,
            product_version: String::new(),
            joined_at: Default::default(),
            boot_id: "b".into(),
        };
        state.nodes.insert(NodeId(1), std::sync::Arc::new(node));
        state
    }
}
