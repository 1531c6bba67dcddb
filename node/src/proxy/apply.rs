//! The balancer's loop: makes HAProxy offer what the state says.
//!
//! Level-triggered: each round asks HAProxy what it has and takes the steps that are missing. Servers are changed over
//! the runtime socket; a structure that differs is checked by HAProxy itself first and then loaded, and what it refuses
//! never replaces what works.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use console::{BalancerChange, BalancerStep};
use model::balancer::{self, Plan, Running, Services, Settings, SlotState, slot_name};
use model::{NodeId, State, TaskId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cli::{self, Session};
use super::files::Files;
use super::report::{Table, running};
use super::{Known, Serving, bound};

/// Reloads are at least this far apart: each leaves a process behind until its connections are done.
const BETWEEN_RELOADS: Duration = Duration::from_secs(1);
/// HAProxy tells nobody when it is up, or when a new worker has taken over: it is asked until it answers.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 200;
/// After something refused: a stranger may have given back a port, a person may have mended the program.
const RETRY: Duration = Duration::from_secs(5);
/// How long a task that is to end may finish the requests it has, in looks.
const DRAIN_LOOKS_MAX: u32 = 100;

pub struct Proxy {
    cluster: Cluster,
    node: NodeId,
    files: Files,
    settings: Settings,
    known: watch::Sender<Arc<Known>>,
    serving: watch::Sender<Serving>,
    /// What the file says that HAProxy runs or starts from.
    text: Option<String>,
    /// A structure that could not be loaded, and why.
    refused: Option<(String, String)>,
    reloaded: Option<Pin<Box<tokio::time::Sleep>>>,
    /// How often each draining task was looked at.
    draining: BTreeMap<TaskId, u32>,
    looks: u32,
}

/// When to look again if the state does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Soon,
    AfterReload,
    Later,
    Never,
}

impl Proxy {
    pub fn new(
        cluster: Cluster,
        node: NodeId,
        files: Files,
        settings: Settings,
        known: watch::Sender<Arc<Known>>,
        serving: watch::Sender<Serving>,
    ) -> Self {
        let text = files.read_configuration();
        Self {
            cluster,
            node,
            files,
            settings,
            known,
            serving,
            text,
            refused: None,
            reloaded: None,
            draining: BTreeMap::new(),
            looks: 0,
        }
    }

    pub async fn run(mut self, shutdown: CancellationToken) {
        if !self.files.program().exists() {
            tracing::info!(program = %self.files.program().display(), "no balancer: the program is missing");
            return self.tell_without_program(&shutdown).await;
        }
        tokio::select! {
            () = crate::agent::caught_up(&self.cluster) => {}
            () = shutdown.cancelled() => return,
        }
        let mut states = self.cluster.watch();
        let mut reason = "start";
        loop {
            let state = states.borrow_and_update().clone();
            let next = self.round(&state, reason).await;
            // Cancel safety: all are mere wake-ups.
            reason = tokio::select! {
                changed = states.changed() => match changed {
                    Ok(()) => "the state changed",
                    Err(_) => break,
                },
                () = self.wait(next) => match next {
                    Next::Soon => "a look again",
                    Next::AfterReload => "the last reload is long enough ago",
                    Next::Later | Next::Never => "another try",
                },
                () = shutdown.cancelled() => break,
            };
        }
        // Whoever waits for a task to be drained waits no longer.
        self.serving.send_replace(Serving::default());
    }

    /// What is wrong with labels is worth knowing also where nothing can be balanced.
    async fn tell_without_program(&self, shutdown: &CancellationToken) {
        let mut states = self.cluster.watch();
        loop {
            let services = {
                let state = states.borrow_and_update().clone();
                balancer::services(&state, &self.settings)
            };
            let known = Known { faults: services.faults, ..Known::default() };
            self.publish(known);
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn wait(&mut self, next: Next) {
        match next {
            Next::Soon => tokio::time::sleep(LOOK_AGAIN).await,
            Next::Later => tokio::time::sleep(RETRY).await,
            Next::AfterReload => {
                if let Some(rest) = &mut self.reloaded {
                    rest.as_mut().await;
                }
            }
            Next::Never => std::future::pending().await,
        }
    }

    async fn round(&mut self, state: &State, reason: &'static str) -> Next {
        let mut known = (**self.known.borrow()).clone();
        let (settings, held, is_any_held) = self.without_held(state);
        let services = balancer::services(state, &settings);
        known.faults.clone_from(&services.faults);
        let next = if services.list.is_empty() && self.text.is_none() {
            known.error.clear();
            Next::Never
        } else {
            match self.compare(&services, &settings, &mut known, reason).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(error, reason, "the balancer is not as it should be");
                    known.error = error;
                    self.serve(BTreeSet::new());
                    Next::Later
                }
            }
        };
        if !held.is_empty() && known.error.is_empty() {
            known.error = held;
        }
        // Nobody tells when a port is given back.
        let next = if known.error.is_empty() && !is_any_held { next } else { next.min(Next::Later) };
        self.publish(known);
        next
    }

    fn publish(&self, known: Known) {
        self.known.send_if_modified(|old| {
            let differs = **old != known;
            if differs {
                *old = Arc::new(known);
            }
            differs
        });
    }

    fn serve(&self, tasks: BTreeSet<TaskId>) {
        self.serving.send_if_modified(|old| {
            let differs = **old != tasks;
            if differs {
                *old = Arc::new(tasks);
            }
            differs
        });
    }

    /// Settings without the ports that somebody else on this machine listens on: one of them would keep HAProxy from
    /// loading anything. The sentence is about those that no app has; whether any port is held comes last.
    fn without_held(&self, state: &State) -> (Settings, String, bool) {
        let ours = bound::ports_in(self.text.as_deref().unwrap_or(""));
        let mut settings = self.settings.clone();
        let services = balancer::services(state, &settings);
        let has_vhosts = services.list.iter().any(|service| !service.vhosts.is_empty());
        let bind = settings.bind;
        let holder = |port: u16| if ours.contains(&port) { None } else { bound::stranger_on(bind, port) };
        let mut held = Vec::new();
        let mut fixed = [settings.http, settings.https, settings.app_id];
        for slot in fixed.iter_mut().filter(|_| has_vhosts) {
            if let Some((port, who)) = slot.and_then(|port| Some((port, holder(port)?))) {
                held.push(format!("port {port} is held by {who}: no virtual host is reached by it"));
                *slot = None;
            }
        }
        let listens = services.list.iter().filter_map(|service| service.listen);
        let taken: Vec<(u16, String)> = listens.filter_map(|port| Some((port, holder(port)?))).collect();
        [settings.http, settings.https, settings.app_id] = fixed;
        let is_any_held = !held.is_empty() || !taken.is_empty();
        settings.taken.extend(taken);
        (settings, held.join("; "), is_any_held)
    }

    async fn compare(
        &mut self,
        services: &Services,
        settings: &Settings,
        known: &mut Known,
        reason: &'static str,
    ) -> Result<Next, String> {
        self.files.make_folder().map_err(|e| format!("{}: {e}", self.files.folder().display()))?;
        self.files.write_certificate().map_err(|e| format!("the node's certificate: {e}"))?;
        let mut session = Session::open(&self.files.socket()).await.ok();
        let found = match &mut session {
            Some(session) => Some(ask(session).await.map_err(|e| format!("HAProxy: {e}"))?),
            None => None,
        };
        known.runs = found.is_some();
        let plan = balancer::plan(services, settings, found.as_ref());
        known.seats.clone_from(&plan.seats);
        known.apps = services.list.iter().map(|s| (s.name.clone(), s.app.clone())).collect();
        let Some((mut session, found)) = session.zip(found) else {
            return self.prepare(&plan, known, reason).await;
        };
        self.looks = 0;
        // What is about to get requests is in the set before it does.
        let so_far = self.serving.borrow().clone();
        self.serve(serving(&plan).chain(so_far.iter().cloned()).collect());
        self.give(&mut session, &plan, known, reason).await?;
        let next = if plan.reload { self.load(&plan, &found, known, reason).await? } else { Next::Never };
        if !plan.reload {
            self.refused = None;
            known.error.clear();
            self.keep(&plan, known)?;
        }
        let busy = self.still_busy(&plan, reason).await.map_err(|e| format!("HAProxy: {e}"))?;
        let next = if busy.is_empty() { next } else { Next::Soon };
        self.serve(serving(&plan).chain(busy).collect());
        Ok(next)
    }

    /// No HAProxy answers: the role starts it once there is a configuration.
    async fn prepare(
        &mut self,
        plan: &Plan,
        known: &mut Known,
        reason: &'static str,
    ) -> Result<Next, String> {
        self.serve(BTreeSet::new());
        if self.text.as_ref() != Some(&plan.text) {
            self.files.check(&plan.text).await?;
            self.keep(plan, known)?;
            known.change = Some(self.change(BalancerStep::Written, reason));
        }
        self.looks += 1;
        if self.looks <= LOOKS_MAX {
            return Ok(Next::Soon);
        }
        Err("HAProxy does not answer; its last end is on the node's page".to_owned())
    }

    /// Orders for the runtime socket.
    async fn give(
        &self,
        session: &mut Session,
        plan: &Plan,
        known: &mut Known,
        reason: &'static str,
    ) -> Result<(), String> {
        let mut said = String::new();
        for order in &plan.orders {
            for command in order.commands() {
                let answer = session.ask(&command).await.map_err(|e| format!("HAProxy: {e}"))?;
                tracing::debug!(command, answer, "order");
                said = if answer.trim().is_empty() { said } else { answer.trim().to_owned() };
            }
        }
        if !plan.orders.is_empty() {
            let orders = plan.orders.len();
            tracing::info!(orders, reason, "servers changed");
            known.change = Some(self.change(BalancerStep::Servers(orders), reason));
            // An answer is only words: what counts is what HAProxy has now.
            let now = ask(session).await.map_err(|e| format!("HAProxy: {e}"))?;
            if let Some(order) = plan.orders.iter().find(|order| !is_obeyed(&now, order)) {
                return Err(format!("HAProxy did not take {order:?}: {said}"));
            }
        }
        Ok(())
    }

    /// A new structure: checked, written, loaded, and looked at until the new worker answers.
    async fn load(
        &mut self,
        plan: &Plan,
        found: &Running,
        known: &mut Known,
        reason: &'static str,
    ) -> Result<Next, String> {
        if let Some((structure, why)) = &self.refused
            && *structure == plan.structure
            && reason != "another try"
        {
            return Err(why.clone());
        }
        if self.reloaded.as_ref().is_some_and(|rest| !rest.is_elapsed()) {
            return Ok(Next::AfterReload);
        }
        let before = self.text.clone();
        let loaded = match self.files.check(&plan.text).await {
            Ok(()) => {
                self.keep(plan, known)?;
                self.reload(plan).await
            }
            Err(why) => Err(why),
        };
        self.reloaded = Some(Box::pin(tokio::time::sleep(BETWEEN_RELOADS)));
        match loaded {
            Ok(()) => {
                tracing::info!(reason, from = found.structure, to = plan.structure, "configuration loaded");
                known.reloads += 1;
                known.error.clear();
                known.change = Some(self.change(BalancerStep::Loaded, reason));
                self.refused = None;
                Ok(Next::Never)
            }
            Err(why) => {
                // What HAProxy would start from must be what it runs.
                if let Some(text) = before {
                    self.files.write_configuration(&text).map_err(|e| e.to_string())?;
                    known.configuration.clone_from(&text);
                    self.text = Some(text);
                }
                let why = format!("HAProxy refuses the new configuration, the one before stays: {why}");
                self.refused = Some((plan.structure.clone(), why.clone()));
                Err(why)
            }
        }
    }

    async fn reload(&self, plan: &Plan) -> Result<(), String> {
        cli::reload(&self.files.control()).await.map_err(|e| format!("its master does not answer: {e}"))?;
        for _ in 0..LOOKS_MAX {
            if let Ok(mut session) = Session::open(&self.files.socket()).await
                && let Ok(now) = ask(&mut session).await
                && now.structure == plan.structure
            {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err("it was not taken over; a port may be in use".to_owned())
    }

    /// The file says what runs, so that a HAProxy that is started anew begins with the servers of now.
    fn keep(&mut self, plan: &Plan, known: &mut Known) -> Result<(), String> {
        if self.text.as_ref() != Some(&plan.text) {
            let path = self.files.configuration();
            self.files.write_configuration(&plan.text).map_err(|e| format!("{}: {e}", path.display()))?;
            self.text = Some(plan.text.clone());
        }
        known.configuration.clone_from(&plan.text);
        Ok(())
    }

    fn change(&self, step: BalancerStep, why: &'static str) -> BalancerChange {
        BalancerChange { at: self.cluster.now(), step, why: why.to_owned() }
    }

    /// Tasks that drain and still have requests, each for a bounded time.
    async fn still_busy(&mut self, plan: &Plan, reason: &'static str) -> io::Result<Vec<TaskId>> {
        let seats = plan.seats.iter().flat_map(|(backend, row)| {
            row.iter()
                .enumerate()
                .filter_map(move |(at, seat)| Some((backend, slot_name(at), seat.as_ref()?)))
        });
        let draining: Vec<_> = seats.filter(|(.., server)| server.draining).collect();
        self.draining.retain(|task, _| draining.iter().any(|(.., server)| server.task == *task));
        if draining.is_empty() {
            return Ok(Vec::new());
        }
        let stat = Session::open(&self.files.socket()).await?.ask("show stat").await?;
        let table = Table::read(&stat, ',');
        let mut busy = Vec::new();
        for (backend, slot, server) in draining {
            let looks = self.draining.entry(server.task.clone()).or_default();
            *looks += u32::from(reason == "a look again");
            let is_it = |name: &str, slot_of: &str| name == backend && slot_of == slot;
            let row = table.rows().find(|row| is_it(row.get("pxname"), row.get("svname")));
            let sessions = row.map_or(0, |row| row.number("scur"));
            if (sessions > 0 || plan.kept.contains(&server.task)) && *looks < DRAIN_LOOKS_MAX {
                busy.push(server.task.clone());
            }
        }
        tracing::debug!(node = %self.node, busy = busy.len(), "draining");
        Ok(busy)
    }
}

/// Tasks that get requests once the plan is carried out.
fn serving(plan: &Plan) -> impl Iterator<Item = TaskId> + '_ {
    plan.seats
        .values()
        .flatten()
        .flatten()
        .filter(|server| !server.draining)
        .map(|server| server.task.clone())
}

async fn ask(session: &mut Session) -> io::Result<Running> {
    let info = session.ask("show info").await?;
    Ok(running(&info, &session.ask("show servers state").await?))
}

fn is_obeyed(now: &Running, order: &balancer::Order) -> bool {
    let slots = now.backends.get(&order.backend).map_or(&[][..], Vec::as_slice);
    let slot = slots.iter().enumerate().find(|(at, _)| slot_name(*at) == order.slot).map(|(_, slot)| slot);
    slot.is_some_and(|slot| match order.change {
        balancer::Change::Fill { address, port, .. } => {
            (slot.address, slot.port, slot.state) == (address, port, SlotState::Ready)
        }
        balancer::Change::Ready => slot.state == SlotState::Ready,
        balancer::Change::Drain => slot.state == SlotState::Drain,
        balancer::Change::Empty => slot.state == SlotState::Maintenance,
    })
}
