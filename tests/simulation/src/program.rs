//! The program on one host, from its start to its crash: the loops of the agent around the decisions of `model`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Runtime, Server};
use cluster::{Member, ProposeError, ReadError, WireError};
use model::auth::Actor;
use model::command::FORMAT;
use model::desired::{self, Step};
use model::ids::{IdSource, RequestId};
use model::lease::{self, Concerns, LEASE_MS, Lease, RENEW_MS};
use model::losses::{LOOK_MS, Watched};
use model::node::Node;
use model::servers::{self, Change, Participant};
use model::task::{TaskChange, TaskUpdate};
use model::{Applied, Command, Envelope, NodeId, Origin, State, schedule, testing};

use crate::checks;
use crate::containers::{start_at, stop_at};
use crate::host::{Frozen, Host};
use crate::network::{self, Line};
use crate::world::{Bug, World, lock};

/// As the agent's loops have it.
const RETRY_MS: u64 = 250;
const PATIENCE: Duration = Duration::from_secs(10);
const READ_PATIENCE: Duration = Duration::from_secs(5);
/// In place of the events that wake the agent's loops: how late they may be.
const WAKE_MS: u64 = 30;

/// One life.
#[derive(Clone)]
pub struct Program {
    pub world: World,
    pub host: Arc<Host>,
    server: Server,
    life: u64,
}

/// Opens the disk and begins a life. The `first` makes a cluster of one of an empty disk.
pub async fn start(world: &World, host: &Arc<Host>, first: bool) {
    let line = Arc::new(Line { world: world.clone(), from: host.clone() });
    match Server::start(host.node, host.disk.clone(), line, first).await {
        Ok(server) => {
            let life = host.begin(server.clone());
            lock(&host.containers).lease = Lease::default();
            world.say(host.node, format!("life {life} begins, {}", host.boot_id()));
            let program = Program { world: world.clone(), host: host.clone(), server, life };
            Runtime::spawn(program.clone().lead());
            Runtime::spawn(program.clone().care());
            Runtime::spawn(program.clone().hold());
            Runtime::spawn(program.clone().obey());
            Runtime::spawn(program.clone().register());
            Runtime::spawn(checks::look_at(program));
        }
        Err(error) => world.violated(&format!("node {} does not start: {error}", host.node)),
    }
}

/// Init of the host: a program whose consensus failed exits, and is started anew.
pub async fn supervise(world: World, host: Arc<Host>) {
    while !world.is_over() {
        host.rest(RETRY_MS, Frozen::Machine).await;
        let Some(failure) = Program::of(&world, &host).and_then(|program| program.failure()) else {
            continue;
        };
        world.say(host.node, format!("fails: {failure}"));
        crash(&world, &host).await;
        if host.claim_start() {
            start(&world, &host, false).await;
        }
    }
}

pub async fn crash(world: &World, host: &Host) {
    if let Some(server) = host.end() {
        let finishes = world.happens(50);
        world.say(host.node, format!("crashes, its last flush done: {finishes}"));
        server.crash(finishes).await;
    }
}

impl Program {
    /// Of the host's program that runs now.
    pub fn of(world: &World, host: &Arc<Host>) -> Option<Self> {
        let (server, life) = host.server()?;
        Some(Self { world: world.clone(), host: host.clone(), server, life })
    }

    pub fn state(&self) -> Arc<State> {
        self.server.state()
    }

    pub fn leads(&self) -> bool {
        self.server.leadership().is_self
    }

    pub fn term(&self) -> u64 {
        self.server.leadership().term
    }

    pub fn voters(&self) -> Vec<NodeId> {
        self.server.members().into_iter().filter(|member| member.votes).map(|member| member.node).collect()
    }

    pub fn lives(&self) -> bool {
        self.host.lives(self.life) && !self.world.is_over()
    }

    /// Why it works no more.
    fn failure(&self) -> Option<String> {
        self.server.failure()
    }

    /// False when this life is over.
    async fn rest(&self, ms: u64) -> bool {
        self.host.rest(ms, Frozen::Program).await;
        self.lives()
    }

    fn envelope(&self, command: Command, request_id: Option<RequestId>) -> Envelope {
        Envelope {
            format: FORMAT,
            request_id,
            actor: Actor::System,
            origin: Origin::default(),
            at: self.host.cluster_time(&self.world, self.state().now),
            expected_version: None,
            command,
        }
    }

    /// As `Cluster::propose`: on the leader, here or by one question; tried again until the end of its patience. With a
    /// request id the second time changes nothing.
    pub async fn propose(&self, command: Command, id: Option<RequestId>) -> Result<Applied, ProposeError> {
        let all = async {
            let mut doubt = None;
            while self.lives() {
                match self.propose_once(command.clone(), id).await {
                    Ok(applied) => return Ok(applied),
                    Err(ProposeError::NoLeader) => {}
                    Err(ProposeError::Unknown(reason)) => doubt = Some(reason),
                    Err(error) => return Err(error),
                }
                self.rest(50).await;
            }
            Err(doubt.map_or(ProposeError::NoLeader, ProposeError::Unknown))
        };
        Runtime::timeout(PATIENCE, all).await.unwrap_or(Err(ProposeError::TimedOut))
    }

    async fn propose_once(&self, command: Command, id: Option<RequestId>) -> Result<Applied, ProposeError> {
        let leader = self.server.leadership().leader.ok_or(ProposeError::NoLeader)?;
        if leader == self.host.node {
            return self.propose_leading(command, id).await;
        }
        let Some(there) = self.world.host(leader).cloned() else { return Err(ProposeError::NoLeader) };
        let world = self.world.clone();
        let asked = network::ask(&self.world, &self.host, leader, |_| async move {
            let program = Self::of(&world, &there).ok_or(ProposeError::NoLeader)?;
            program.propose_leading(command, id).await
        });
        match asked.await {
            Ok(answer) => {
                let applied = answer?;
                self.applied(applied.index).await;
                Ok(applied)
            }
            Err(WireError::Unreachable(_)) => Err(ProposeError::NoLeader),
            Err(WireError::Broken(reason)) => Err(ProposeError::Unknown(reason)),
        }
    }

    async fn propose_leading(
        &self,
        command: Command,
        id: Option<RequestId>,
    ) -> Result<Applied, ProposeError> {
        let envelope = self.envelope(command, id);
        match Runtime::timeout(PATIENCE, self.server.propose(envelope)).await {
            Ok(answer) => answer,
            Err(_) => Err(ProposeError::TimedOut),
        }
    }

    /// As `Cluster::read`: a state with all that was acknowledged before.
    pub async fn read(&self) -> Result<Arc<State>, ReadError> {
        let all = async {
            while self.lives() {
                let index = match self.server.leadership().leader {
                    Some(leader) if leader == self.host.node => self.server.read_index().await,
                    Some(leader) => {
                        let question = |server: Server| async move { server.read_index().await };
                        network::ask(&self.world, &self.host, leader, question)
                            .await
                            .unwrap_or(Err(ReadError::NoLeader))
                    }
                    None => Err(ReadError::NoLeader),
                };
                match index {
                    Ok(index) => {
                        self.applied(index).await;
                        let state = self.state();
                        return if state.index >= index { Ok(state) } else { Err(ReadError::Behind) };
                    }
                    Err(ReadError::NoLeader) => {}
                    Err(error) => return Err(error),
                }
                self.rest(50).await;
            }
            Err(ReadError::NoLeader)
        };
        Runtime::timeout(READ_PATIENCE, all).await.unwrap_or(Err(ReadError::NoQuorum))
    }

    async fn applied(&self, index: u64) {
        while self.state().index < index && self.rest(5).await {}
    }

    /// `agent/leader.rs`
    async fn lead(self) {
        let mut led = 0;
        while self.rest(self.world.draw(1..WAKE_MS)).await {
            if !self.leads() {
                continue;
            }
            if self.term() != led {
                led = self.term();
                self.world.say(self.host.node, format!("leads in term {led}"));
                self.world.count(|counts| counts.leaders += 1);
            }
            let state = self.state();
            let now = self.host.cluster_time(&self.world, state.now);
            let plan = schedule::plan(&state, now, &mut IdSource::new(self.world.draw(0..u64::MAX)));
            if plan.actions.is_empty() {
                continue;
            }
            checks::of_plan(&self.world, &state, &plan.actions);
            let command = Command::ApplyPlan { based_on: state.index, actions: plan.actions };
            if self.propose(command, None).await.is_err() && !self.rest(RETRY_MS).await {
                return;
            }
        }
    }

    /// `agent/members.rs`
    async fn care(self) {
        let mut watched = Watched::default();
        while self.rest(LOOK_MS).await {
            if !self.leads() {
                watched = Watched::default();
                continue;
            }
            if self.look(&mut watched).await.is_err() && !self.rest(RETRY_MS).await {
                return;
            }
        }
    }

    async fn look(&self, watched: &mut Watched) -> Result<(), String> {
        let (state, own) = (self.state(), self.host.node);
        if state.members.is_empty() {
            return Ok(());
        }
        let progress = self.server.progress();
        let silence: BTreeMap<NodeId, Option<u64>> =
            progress.iter().map(|(node, progress)| (*node, progress.silent_ms)).collect();
        for (node, lost) in watched.changes(&state, own, &silence) {
            self.world.say(own, format!("node {node} lost: {lost}"));
            self.tell(Command::SetLost { node, lost }).await?;
        }
        let now = self.host.boottime(&self.world);
        watched.see(&state, now);
        // The bug: as if the wait were over.
        let hurry = if self.world.has(Bug::SkipFencing) { lease::FENCE_WAIT_MS } else { 0 };
        for (node, lost_since) in watched.over(&state, now + hurry) {
            self.world.say(own, format!("node {node} is fenced"));
            self.tell(Command::Fence { node, lost_since }).await?;
        }
        let participant = |known: &Member| Participant {
            node: known.node,
            addresses: known.addresses.clone(),
            votes: known.votes,
            matched: progress.get(&known.node).and_then(|progress| progress.matched),
        };
        let log: Vec<Participant> = self.server.members().iter().map(participant).collect();
        let (last, now) = (self.server.last(), self.host.cluster_time(&self.world, state.now));
        let Some(change) = servers::next_change(own, &state, &log, last, now) else { return Ok(()) };
        self.world.say(own, format!("{change:?}"));
        let done = async {
            match change {
                Change::Follow { node, peers } => self.server.follow(node, peers).await,
                Change::Vote(voters) => self.server.set_voters(voters).await,
                Change::Forget(node) => self.server.forget(node).await,
                // Only who does not answer is removed here, and such a node does not lead.
                Change::Leave => Ok(()),
            }
        };
        let done = Runtime::timeout(PATIENCE, done).await.map_err(|_| "no majority in time".to_owned())?;
        done.map_err(|error| error.to_string())
    }

    /// As the leader this host is now, or not at all.
    async fn tell(&self, command: Command) -> Result<(), String> {
        let applied = self.propose_leading(command, None).await.map_err(|error| error.to_string())?;
        applied.result.map(drop).map_err(|reject| reject.to_string())
    }

    /// `agent/lease.rs`
    async fn hold(self) {
        loop {
            let concerns = Concerns::of(&self.state(), self.host.node);
            let rest = self.keep(&concerns).await;
            let again = rest.map(|ms| self.host.boottime(&self.world) + ms);
            loop {
                if !self.rest(self.world.draw(1..WAKE_MS)).await {
                    return;
                }
                let is_due = again.is_some_and(|at| at <= self.host.boottime(&self.world));
                if is_due || Concerns::of(&self.state(), self.host.node) != concerns {
                    break;
                }
            }
        }
    }

    async fn keep(&self, concerns: &Concerns) -> Option<u64> {
        if concerns.exclusive.is_empty() {
            self.set_lease(Lease::Unheld);
            return None;
        }
        if !concerns.has_others {
            self.set_lease(Lease::Alone);
            return None;
        }
        let end = self.host.boottime(&self.world) + LEASE_MS;
        let state = match self.world.has(Bug::LeaseFromStaleState) {
            true => Some(self.state()),
            false => self.read().await.ok(),
        };
        let renewed = state.and_then(|state| lease::renewed(&state, self.host.node).ok());
        if !self.lives() {
            return None;
        }
        let Some(exclusive) = renewed else { return Some(RETRY_MS) };
        self.set_lease(Lease::Until(end));
        let mut containers = lock(&self.host.containers);
        for task in &exclusive {
            containers.set_deadline(task, Some(end));
        }
        Some(RENEW_MS)
    }

    fn set_lease(&self, lease: Lease) {
        lock(&self.host.containers).lease = lease;
    }

    /// `agent/node_loop`
    async fn obey(self) {
        // A state still being replayed does not know the tasks that live here.
        while self.read().await.is_err() {
            if !self.rest(RETRY_MS).await {
                return;
            }
        }
        while self.rest(self.world.draw(1..WAKE_MS)).await {
            let state = self.state();
            let is_known = |me: &Arc<Node>| me.boot_id == self.host.boot_id();
            if !state.nodes.get(&self.host.node).is_some_and(is_known) {
                continue;
            }
            let updates = self.round(&state);
            if updates.is_empty() {
                continue;
            }
            let report = Command::Report { node: self.host.node, updates };
            if self.propose(report, None).await.is_err() && !self.rest(RETRY_MS).await {
                return;
            }
        }
    }

    fn round(&self, state: &State) -> Vec<TaskUpdate> {
        let now = self.host.boottime(&self.world);
        let mut containers = lock(&self.host.containers);
        let mut updates = Vec::new();
        for step in desired::diff(state, self.host.node, &containers.observed()) {
            let (task, change) = match step {
                Step::Create { task } => {
                    let Some((app, _)) = state.task(&task) else { continue };
                    let until = match app.is_exclusive() {
                        true => match containers.lease.deadline(now) {
                            Some(deadline) => Some(deadline),
                            None => continue,
                        },
                        false => None,
                    };
                    containers.create(task, app.spec.id.clone(), until, start_at(&self.world));
                    continue;
                }
                Step::Stop { task, .. } => {
                    containers.stop(&task, stop_at(&self.world));
                    continue;
                }
                Step::Forget { task } => {
                    containers.forget(&task);
                    continue;
                }
                Step::ReportRunning { task } => (task, TaskChange::Running { addresses: Vec::new() }),
                Step::ReportKilling { task } => (task, TaskChange::Killing),
                Step::ReportEnded { task } => {
                    let exit = containers.exit(&task);
                    (task, TaskChange::Ended { exit })
                }
                Step::ReportGone { task, exit } => (task, TaskChange::Ended { exit }),
            };
            updates.push(TaskUpdate { task, change, message: String::new() });
        }
        updates
    }

    /// `agent/register.rs`
    async fn register(self) {
        let mut is_registered = false;
        while self.rest(RETRY_MS).await {
            let state = self.state();
            let known = state.nodes.get(&self.host.node);
            if !is_registered || known.is_some_and(|known| known.boot_id != self.host.boot_id()) {
                let node = Node { boot_id: self.host.boot_id(), ..testing::node(self.host.node.0) };
                let answer = self.propose(Command::RegisterNode { node }, None).await;
                is_registered = answer.is_ok_and(|applied| applied.result.is_ok());
            }
        }
    }
}
