//! Makes this node do what the state wants of it: creates and stops containers through init.
//!
//! Level-triggered: each round compares the state with init's world and gives the orders that are missing. What
//! happened is told to the cluster by [`super::report`], never here.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::Cluster;
use model::desired::{self, Observed, Phase, Step};
use model::{State, TaskId, app};
use tokio_util::sync::CancellationToken;

use super::init_link::{InitLink, World};
use super::machine::Machine;
use crate::config::Paths;
use crate::init::protocol::ToInit;
use crate::oci::bundle::{self, Launch};

/// Containers being created at once per processor: more only make each wait longer.
const CREATES_PER_CPU: usize = 2;

pub async fn run(
    cluster: Cluster,
    init: InitLink,
    machine: Arc<Machine>,
    paths: Paths,
    shutdown: CancellationToken,
) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut states = cluster.watch();
    let mut worlds = init.world();
    let mut node = NodeLoop {
        init,
        machine,
        paths,
        creating: BTreeSet::new(),
        creates_max: CREATES_PER_CPU * processors,
    };
    let mut reason = "start";
    loop {
        let (state, world) = (states.borrow_and_update().clone(), worlds.borrow_and_update().clone());
        node.round(&state, &world, reason).await;
        // Cancel safety: all are mere wake-ups.
        reason = tokio::select! {
            changed = states.changed() => match changed {
                Ok(()) => "state changed",
                Err(_) => return,
            },
            changed = worlds.changed() => match changed {
                Ok(()) => "init told something",
                Err(_) => return,
            },
            () = shutdown.cancelled() => return,
        };
    }
}

struct NodeLoop {
    init: InitLink,
    machine: Arc<Machine>,
    paths: Paths,
    /// Ordered from init and not answered yet.
    creating: BTreeSet<TaskId>,
    creates_max: usize,
}

impl NodeLoop {
    async fn round(&mut self, state: &State, world: &World, reason: &'static str) {
        let me = state.nodes.get(&self.machine.node);
        if !world.connected {
            // Orders may have been lost with the line; init answers a repeated one alike.
            self.creating.clear();
            return;
        }
        // Tasks of an earlier boot are gone: nothing is created for them until the state knows of this boot.
        if me.is_none_or(|me| me.boot_id != world.boot_id) {
            return;
        }
        self.creating.retain(|task| !is_answered(world, task));
        let steps = desired::diff(state, self.machine.node, &self.observed(world));
        if !steps.is_empty() {
            tracing::debug!(reason, steps = steps.len(), "node round");
        }
        for step in steps {
            match step {
                Step::Create { task } if self.creating.len() < self.creates_max => {
                    self.create(state, &task).await;
                }
                // Its turn comes when init answers for one of those before it.
                Step::Create { .. } => {}
                Step::Stop { task, grace_ms } => {
                    tracing::info!(%task, grace_ms, reason, "stop");
                    self.init.send(ToInit::Stop { task, grace_ms }).await;
                }
                // The report round says so from the same two sources.
                Step::ReportLost { .. } => {}
            }
        }
    }

    fn observed(&self, world: &World) -> Vec<Observed> {
        let of = |task: &TaskId, phase| Observed { task: task.clone(), phase };
        let running = world.tasks.values().map(|t| of(&t.task, Phase::Running { stopping: t.stopping }));
        let ended = world.exits.keys().chain(world.failures.keys()).map(|t| of(t, Phase::Exited));
        let creating = self.creating.iter().map(|t| of(t, Phase::Creating));
        running.chain(ended).chain(creating).collect()
    }

    async fn create(&mut self, state: &State, id: &TaskId) {
        let Some(launch) = self.launch(state, id) else { return };
        let (paths, task) = (self.paths.clone(), id.clone());
        let written = tokio::task::spawn_blocking(move || bundle::write(&paths, &launch)).await;
        let message = match written {
            Ok(Ok(bundle)) => {
                tracing::info!(%task, "create");
                self.creating.insert(id.clone());
                self.init.send(ToInit::Create { task, bundle }).await;
                return;
            }
            Ok(Err(error)) => chain(&error),
            Err(panic) => panic.to_string(),
        };
        tracing::warn!(%task, message, "not created");
        self.init.failed_to_create(task, message);
    }

    fn launch(&self, state: &State, id: &TaskId) -> Option<Launch> {
        let (app, task) = state.task(id)?;
        let spec = app.versions.iter().find(|v| v.version == task.version).unwrap_or(&app.spec);
        let me = state.nodes.get(&self.machine.node)?;
        let host = me.addresses.first()?.to_string();
        Some(Launch {
            task: task.id.clone(),
            env: app::environment(spec, task, &host),
            app: (**spec).clone(),
            hostname: me.name.clone(),
            addresses: me.addresses.clone(),
            layers: Vec::new(),
        })
    }
}

fn is_answered(world: &World, task: &TaskId) -> bool {
    world.tasks.contains_key(task) || world.exits.contains_key(task) || world.failures.contains_key(task)
}

/// The error with everything beneath it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |e| e.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
