//! Makes this node do what the state wants of it, and tells the cluster what happened.
//!
//! Level-triggered: each round compares the state with init's world ([`desired::diff`]) and takes the steps that are
//! missing: orders to init, and one batched report to the log. Until the report is applied init keeps every exit, so a
//! crash anywhere here only repeats a round.

mod create;
pub mod report;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use model::desired::{self, Observed, Phase, Step};
use model::task::{Task, TaskChange, TaskState, TaskUpdate};
use model::{NodeId, State, TaskId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::create::Made;
use super::init_link::{InitLink, World};
use crate::config::Paths;
use crate::images::Images;
use crate::init::clock;
use crate::init::protocol::ToInit;
use crate::network::Network;
use crate::proxy::Serving;
use model::lease::Lease;

/// Containers being created at once per processor: more only make each wait longer.
const CREATES_PER_CPU: usize = 2;

const READ_RETRY: Duration = Duration::from_millis(250);

/// What the loop works with.
#[derive(Clone)]
pub struct Parts {
    pub cluster: Cluster,
    pub init: InitLink,
    pub node: NodeId,
    pub paths: Paths,
    pub network: Network,
    pub images: Images,
    /// Tasks that the balancer still has requests for; none of them is stopped.
    pub serving: watch::Receiver<Serving>,
    /// Whether exclusive tasks may run here.
    pub lease: watch::Receiver<Lease>,
}

pub async fn run(parts: Parts, shutdown: CancellationToken) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut states = parts.cluster.watch();
    let mut worlds = parts.init.world();
    let mut openings = parts.network.openings();
    let mut pulled = parts.images.changed();
    let mut serving = parts.serving.clone();
    let mut lease = parts.lease.clone();
    let mut node = NodeLoop {
        parts,
        creating: BTreeSet::new(),
        creates_max: CREATES_PER_CPU * processors,
        reports: JoinSet::new(),
        serving: Serving::default(),
    };
    // A state still being replayed does not know the tasks that live here: they would look like strangers.
    tokio::select! {
        () = caught_up(&node.parts.cluster) => {}
        () = shutdown.cancelled() => return,
    }
    tokio::spawn(node.parts.network.clone().run(states.clone(), shutdown.clone()));
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
            changed = openings.changed() => match changed {
                Ok(()) => "host ports changed",
                Err(_) => return,
            },
            Ok(()) = lease.changed() => "the lease for exclusive tasks changed",
            Ok(()) = serving.changed() => "the balancer's tasks changed",
            Some(_) = node.reports.join_next() => "report written",
            // Never closed: the node holds the images.
            Ok(()) = pulled.changed() => "an image was pulled, or was not to be had",
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
    parts: Parts,
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
        if state.nodes.get(&self.parts.node).is_none_or(|me| me.boot_id != world.boot_id) {
            return;
        }
        self.creating.retain(|task| !is_answered(world, task));
        // What runs has its layers named in its bundle; until the state says so they are held here.
        let is_launching = |task: &Task| task.is_wanted() && task.state < TaskState::Running;
        self.parts.images.retain(|id| state.task(id).is_some_and(|(_, task)| is_launching(task)));
        let mut updates = Vec::new();
        for step in desired::diff(state, self.parts.node, &self.observed(world)) {
            tracing::debug!(?step, reason, "step");
            match step {
                Step::Create { task } => updates.extend(self.create(state, task).await),
                // The balancer, woken by the same state, lets go of it within a bounded time.
                Step::Stop { task, .. } if self.serving.contains(&task) => {}
                Step::Stop { task, grace_ms } => self.parts.init.send(ToInit::Stop { task, grace_ms }).await,
                Step::Forget { task } => self.parts.init.acknowledge(task).await,
                // Who hears that it runs finds its ports open.
                Step::ReportRunning { task } if !self.parts.network.is_open(&task) => {
                    updates.extend(self.closed(state, task));
                }
                report => updates.extend(report::update(report, world, |task| self.addresses(state, task))),
            }
        }
        let is_known = |task: &TaskId| state.task_apps.contains_key(task) || is_answered(world, task);
        self.parts.network.retain(|task| is_known(task) || self.creating.contains(task));
        if !updates.is_empty() && self.reports.is_empty() {
            self.reports.spawn(report::write(self.parts.cluster.clone(), self.parts.node, updates));
        }
    }

    /// What is said of a task that runs and cannot be reached: why, if it is not only a matter of a moment.
    fn closed(&self, state: &State, task: TaskId) -> Option<TaskUpdate> {
        let message = Some(self.parts.network.fault()).filter(|fault| !fault.is_empty())?;
        let is_news = state.task(&task).is_some_and(|(_, known)| known.message != message);
        is_news.then_some(TaskUpdate { task, change: TaskChange::Starting, message })
    }

    /// A task's own address, or those of the node it shares.
    fn addresses(&self, state: &State, task: &TaskId) -> Vec<IpAddr> {
        let own = self.parts.network.address_of(task).map(|address| vec![IpAddr::V4(address)]);
        let of_node = || state.nodes.get(&self.parts.node).map(|n| n.addresses.clone()).unwrap_or_default();
        own.unwrap_or_else(of_node)
    }

    fn observed(&self, world: &World) -> Vec<Observed> {
        let of = |task: &TaskId, phase| Observed { task: task.clone(), phase };
        let running = world.tasks.values().map(|t| of(&t.task, Phase::Running { stopping: t.stopping }));
        let ended = world.exits.keys().chain(world.failures.keys()).map(|t| of(t, Phase::Exited));
        let creating = self.creating.iter().map(|t| of(t, Phase::Creating));
        running.chain(ended).chain(creating).collect()
    }

    /// Orders the container from init, unless enough are being made: its turn comes when init answers for one of them.
    /// For a task whose image is not here yet, what is to be reported of it.
    async fn create(&mut self, state: &Arc<State>, task: TaskId) -> Option<TaskUpdate> {
        if self.creating.len() >= self.creates_max {
            return None;
        }
        let is_exclusive = state.task(&task).is_some_and(|(app, _)| app.is_exclusive());
        let exclusive_until = match is_exclusive {
            true => (*self.parts.lease.borrow()).deadline(clock::now())?,
            false => None,
        };
        match create::bundle(&self.parts, state, &task).await {
            Made::Bundle(bundle) => {
                tracing::info!(%task, "create");
                self.creating.insert(task.clone());
                self.parts.init.send(ToInit::Create { task, bundle, exclusive_until }).await;
                None
            }
            Made::Waits(message) => report::starting(task, message, state),
            Made::Failed(message) => {
                tracing::warn!(%task, message, "not created");
                self.parts.init.failed_to_create(task, message);
                None
            }
        }
    }
}

fn is_answered(world: &World, task: &TaskId) -> bool {
    world.tasks.contains_key(task) || world.exits.contains_key(task) || world.failures.contains_key(task)
}
