//! Makes this node do what the state wants of it, and tells the cluster what happened.
//!
//! Level-triggered: each round compares the state with init's world ([`desired::diff`]) and takes the steps that are
//! missing: orders to init, and one batched report to the log. Until the report is applied init keeps every exit, so a
//! crash anywhere here only repeats a round.

mod create;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use model::desired::{self, Observed, Phase, Step};
use model::{NodeId, State, TaskId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::init_link::{InitLink, World};
use crate::config::Paths;
use crate::init::protocol::ToInit;
use crate::proxy::Serving;

/// Containers being created at once per processor: more only make each wait longer.
const CREATES_PER_CPU: usize = 2;

const READ_RETRY: Duration = Duration::from_millis(250);

/// `serving`: tasks that the balancer still has requests for; none of them is stopped.
pub async fn run(
    cluster: Cluster,
    init: InitLink,
    node: NodeId,
    paths: Paths,
    mut serving: watch::Receiver<Serving>,
    shutdown: CancellationToken,
) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut states = cluster.watch();
    let mut worlds = init.world();
    let mut node = NodeLoop {
        cluster,
        init,
        node,
        paths,
        creating: BTreeSet::new(),
        creates_max: CREATES_PER_CPU * processors,
        reports: JoinSet::new(),
        serving: Serving::default(),
    };
    // A state still being replayed does not know the tasks that live here: they would look like strangers.
    tokio::select! {
        () = caught_up(&node.cluster) => {}
        () = shutdown.cancelled() => return,
    }
    let mut reason = "start";
    loop {
        let (state, world) = (states.borrow_and_update().clone(), worlds.borrow_and_update().clone());
        node.serving = serving.borrow_and_update().clone();
        node.round(&state, &world, reason).await;
        // Cancel safety: all are mere wake-ups; a report goes on in its own task.
        reason = tokio::select! {
            changed = states.changed() => match changed {
                Ok(()) => "state changed",
                Err(_) => return,
            },
            changed = worlds.changed() => match changed {
                Ok(()) => "init told something",
                Err(_) => return,
            },
            Ok(()) = serving.changed() => "the balancer's tasks changed",
            Some(_) = node.reports.join_next() => "report written",
            () = shutdown.cancelled() => return,
        };
    }
}

/// Returns once this node has applied all that was acknowledged before the agent started.
pub async fn caught_up(cluster: &Cluster) {
    let mut leadership = cluster.leadership();
    while let Err(error) = cluster.read().await {
        tracing::debug!(%error, "the state is not fresh yet");
        // Leadership tells when it is worth another try; the rest bounds the wait for what it does not tell.
        let _ = tokio::time::timeout(READ_RETRY, leadership.changed()).await;
    }
}

struct NodeLoop {
    cluster: Cluster,
    init: InitLink,
    node: NodeId,
    paths: Paths,
    /// Ordered from init and not answered yet.
    creating: BTreeSet<TaskId>,
    creates_max: usize,
    /// At most one: what happens meanwhile goes into the next.
    reports: JoinSet<()>,
    serving: Serving,
}

impl NodeLoop {
    async fn round(&mut self, state: &Arc<State>, world: &World, reason: &'static str) {
        if !world.connected {
            // Orders may have been lost with the line; init answers a repeated one alike.
            self.creating.clear();
            return;
        }
        // What ends with the node is lost, not failed: the next boot says so by its id.
        if world.going_down {
            return;
        }
        // Tasks of an earlier boot are gone: nothing is concluded before the state knows of this boot.
        if state.nodes.get(&self.node).is_none_or(|me| me.boot_id != world.boot_id) {
            return;
        }
        self.creating.retain(|task| !is_answered(world, task));
        let mut updates = Vec::new();
        for step in desired::diff(state, self.node, &self.observed(world)) {
            tracing::debug!(?step, reason, "step");
            match step {
                Step::Create { task } => self.create(state, task).await,
                // The balancer, woken by the same state, lets go of it within a bounded time.
                Step::Stop { task, .. } if self.serving.contains(&task) => {}
                Step::Stop { task, grace_ms } => self.init.send(ToInit::Stop { task, grace_ms }).await,
                Step::Forget { task } => self.init.acknowledge(task).await,
                report => updates.extend(report::update(report, state, world, self.node)),
            }
        }
        if !updates.is_empty() && self.reports.is_empty() {
            self.reports.spawn(report::write(self.cluster.clone(), self.node, updates));
        }
    }

    fn observed(&self, world: &World) -> Vec<Observed> {
        let of = |task: &TaskId, phase| Observed { task: task.clone(), phase };
        let running = world.tasks.values().map(|t| of(&t.task, Phase::Running { stopping: t.stopping }));
        let ended = world.exits.keys().chain(world.failures.keys()).map(|t| of(t, Phase::Exited));
        let creating = self.creating.iter().map(|t| of(t, Phase::Creating));
        running.chain(ended).chain(creating).collect()
    }

    /// Orders the container from init, unless enough are being made: its turn comes when init answers for one of them.
    async fn create(&mut self, state: &Arc<State>, task: TaskId) {
        if self.creating.len() >= self.creates_max {
            return;
        }
        match create::bundle(&self.paths, state, self.node, &task).await {
            Ok(bundle) => {
                tracing::info!(%task, "create");
                self.creating.insert(task.clone());
                self.init.send(ToInit::Create { task, bundle }).await;
            }
            Err(message) => {
                tracing::warn!(%task, message, "not created");
                self.init.failed_to_create(task, message);
            }
        }
    }
}

fn is_answered(world: &World, task: &TaskId) -> bool {
    world.tasks.contains_key(task) || world.exits.contains_key(task) || world.failures.contains_key(task)
}
