//! Looks after the tasks of this node that have health checks, and tells the cluster when one turns.
//!
//! Level-triggered: each round compares which tasks are to be watched with which are, and what was seen with what the
//! state says. Samples stay here; after a restart the state's last word is where it goes on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::app::{AppSpec, HealthCheck};
use model::health::{self, CheckHealth, Sample};
use model::task::{Task, TaskChange, TaskState, TaskUpdate};
use model::{State, TaskId, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::init_link::World;
use super::node_loop::{Parts, caught_up, report};
use crate::config::Paths;
use crate::health::{Target, probe, target};

/// Samples waiting to be taken in; who has another waits.
const SAMPLES_MAX: usize = 256;
/// Looks under way at once.
const PROBES_MAX: usize = 256;
/// Nobody looks more often, whatever an app asks for.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Until a check passes for the first time it is looked at at least this often: deployments wait for it.
const WARM_UP: Duration = Duration::from_millis(500);

/// A task that is being watched; its probes end with it.
struct Watched {
    spec: Arc<AppSpec>,
    started_at: Timestamp,
    checks: Vec<CheckHealth>,
    _probes: JoinSet<()>,
}

type Seen = (TaskId, usize, Sample);

struct Watch {
    parts: Parts,
    watched: BTreeMap<TaskId, Watched>,
    samples: mpsc::Sender<Seen>,
    slots: Arc<Semaphore>,
    reports: JoinSet<()>,
}

pub async fn run(parts: Parts, shutdown: CancellationToken) {
    let (mut states, mut worlds) = (parts.cluster.watch(), parts.init.world());
    let (samples, mut seen) = mpsc::channel(SAMPLES_MAX);
    let slots = Arc::new(Semaphore::new(PROBES_MAX));
    let mut watch = Watch { parts, watched: BTreeMap::new(), samples, slots, reports: JoinSet::new() };
    tokio::select! {
        () = caught_up(&watch.parts.cluster) => {}
        () = shutdown.cancelled() => return,
    }
    loop {
        let state = states.borrow_and_update().clone();
        watch.follow(&state, &worlds.borrow_and_update());
        watch.tell(&state);
        // Cancel safety: `recv` takes a sample only when it returns it; the others are mere wake-ups.
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            changed = worlds.changed() => if changed.is_err() { return },
            Some(sample) = seen.recv() => watch.take(sample),
            Some(_) = watch.reports.join_next() => {}
            () = shutdown.cancelled() => return,
        }
    }
}

impl Watch {
    /// Watches exactly the running tasks of this node that have checks and are wanted.
    fn follow(&mut self, state: &State, world: &World) {
        let runs = |id: &TaskId| world.tasks.get(id).is_some_and(|process| !process.stopping);
        let mut wanted = BTreeMap::new();
        for app in state.apps.values() {
            let here = app.tasks.values().filter(|t| t.node == self.parts.node && t.is_wanted());
            for task in here.filter(|t| t.state == TaskState::Running && runs(&t.id)) {
                let spec = app.spec_of(task.version).unwrap_or(&app.spec);
                if !spec.health_checks.is_empty() {
                    wanted.insert(task.id.clone(), (spec.clone(), task.clone()));
                }
            }
        }
        self.watched.retain(|id, _| wanted.contains_key(id));
        let node = state.nodes.get(&self.parts.node).and_then(|node| node.addresses.first().copied());
        for (id, (spec, task)) in wanted {
            if let Some(node) = node
                && !self.watched.contains_key(&id)
            {
                let watched = self.watch(spec, &task, node);
                self.watched.insert(id, watched);
            }
        }
    }

    fn watch(&self, spec: Arc<AppSpec>, task: &Task, node: IpAddr) -> Watched {
        let mut checks = task.health.clone();
        checks.resize(spec.health_checks.len(), CheckHealth::default());
        let started_at = task.started_at.unwrap_or(task.staged_at);
        let own = self.parts.network.address_of(&task.id);
        let mut probes = JoinSet::new();
        for (at, check) in spec.health_checks.iter().enumerate() {
            let probe = Probe {
                paths: self.parts.paths.clone(),
                cluster: self.parts.cluster.clone(),
                task: task.id.clone(),
                at,
                check: check.clone(),
                target: target(&spec, check, task, own, node),
                started_at,
                has_passed: checks[at].first_success.is_some(),
            };
            probes.spawn(probe.run(self.samples.clone(), self.slots.clone()));
        }
        tracing::info!(task = %task.id, checks = checks.len(), "watching its health");
        Watched { spec, started_at, checks, _probes: probes }
    }

    fn take(&mut self, (task, at, sample): Seen) {
        let Some(watched) = self.watched.get_mut(&task) else { return };
        let (Some(seen), Some(check)) = (watched.checks.get_mut(at), watched.spec.health_checks.get(at))
        else {
            return;
        };
        tracing::debug!(%task, at, result = ?sample.result, "health");
        seen.observe(check, watched.started_at, sample);
    }

    /// At most one report is under way: what turns meanwhile goes into the next.
    fn tell(&mut self, state: &State) {
        if !self.reports.is_empty() {
            return;
        }
        let turned = |(id, watched): (&TaskId, &Watched)| {
            let (_, task) = state.task(id)?;
            if !health::is_news(&watched.spec, &task.health, &watched.checks) {
                return None;
            }
            tracing::info!(task = %id, verdict = ?health::verdict(&watched.spec, &watched.checks), "its health turned");
            let change = TaskChange::Health { checks: watched.checks.clone() };
            Some(TaskUpdate { task: id.clone(), change, message: String::new() })
        };
        let updates: Vec<TaskUpdate> = self.watched.iter().filter_map(turned).collect();
        if !updates.is_empty() {
            self.reports.spawn(report::write(self.parts.cluster.clone(), self.parts.node, updates));
        }
    }
}

/// Looks at one check of one task again and again.
struct Probe {
    paths: Paths,
    cluster: cluster::Cluster,
    task: TaskId,
    at: usize,
    check: HealthCheck,
    target: Result<Target, String>,
    started_at: Timestamp,
    has_passed: bool,
}

impl Probe {
    async fn run(mut self, samples: mpsc::Sender<Seen>, slots: Arc<Semaphore>) {
        let begins = self.started_at.plus_ms(health::delay_ms(&self.check));
        tokio::time::sleep(Duration::from_millis(begins.ms_since(self.cluster.now()))).await;
        let timeout = Duration::from_millis(self.check.timeout_ms);
        loop {
            // Never closed: the semaphore lives as long as whoever holds it.
            let Ok(slot) = slots.acquire().await else { return };
            let result = match &self.target {
                Ok(target) => probe::look(&self.paths, &self.task, target, timeout).await,
                Err(fault) => Err(fault.clone()),
            };
            drop(slot);
            self.has_passed |= result.is_ok();
            let sample = Sample { at: self.cluster.now(), result };
            if samples.send((self.task.clone(), self.at, sample)).await.is_err() {
                return;
            }
            tokio::time::sleep(self.pause()).await;
        }
    }

    fn pause(&self) -> Duration {
        let interval = Duration::from_millis(self.check.interval_ms).max(INTERVAL_MIN);
        let grace_ends = self.started_at.plus_ms(health::delay_ms(&self.check)).plus_ms(self.check.grace_ms);
        let is_starting = !self.has_passed && self.cluster.now() < grace_ends;
        if is_starting { interval.min(WARM_UP) } else { interval }
    }
}
