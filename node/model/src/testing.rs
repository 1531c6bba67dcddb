//! Small clusters for tests, of this crate and of those above it (feature `testing`). No I/O here either.

use std::collections::BTreeMap;

use crate::app::{
    AppSpec, BackoffSettings, HealthCheck, HealthPort, HealthProtocol, KillSelection, Millionths, Network,
    Port, Protocol, UnreachableStrategy, UpgradeStrategy,
};
use crate::auth::{Actor, Role, SessionKey, User};
use crate::command::{Command, Envelope, FORMAT, Origin, Outcome, PutMode, Reject};
use crate::health::CheckHealth;
use crate::ids::{IdSource, RequestId};
use crate::membership::{Applicant, Authority, JoinToken, PEER_PORT};
use crate::node::{Node, Resources};
use crate::schedule::{self, Plan};
use crate::task::{Exit, Task, TaskChange, TaskState, TaskUpdate};
use crate::{AppId, ClusterId, DeploymentId, NodeId, State, TaskId, Timestamp};

/// The cluster time at which a [`Lab`] begins: 2026-01-01.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

/// One instance of `sleep 1000` with 0.1 cpus, 16 MiB and no ports, in host networking.
pub fn spec(id: &str) -> AppSpec {
    AppSpec {
        id: AppId::parse(id).expect("a valid app id"),
        version: Timestamp::default(),
        last_scaling_at: Timestamp::default(),
        last_config_change_at: Timestamp::default(),
        cmd: Some("sleep 1000".to_owned()),
        args: None,
        user: None,
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
        resources: Resources { cpu_milli: 100, mem_mib: 16, disk_mib: 0 },
        gpus: 0,
        instances: 1,
        constraints: Vec::new(),
        accepted_resource_roles: None,
        network: Network::Host,
        ports: Vec::new(),
        require_ports: false,
        container: None,
        fetch: Vec::new(),
        health_checks: Vec::new(),
        dependencies: Vec::new(),
        upgrade: UpgradeStrategy { minimum_health: Millionths::ONE, maximum_over: Millionths::ONE },
        backoff: BackoffSettings { first_ms: 1_000, factor: Millionths(1_150_000), max_ms: 300_000 },
        kill_grace_ms: None,
        kill_selection: KillSelection::YoungestFirst,
        unreachable: UnreachableStrategy::After { inactive_ms: 0, expunge_ms: 0 },
        unknown_keys: Vec::new(),
    }
}

/// A tcp port; `host_port` as in [`Port`].
pub fn port(service_port: u16, host_port: Option<u16>) -> Port {
    Port {
        service_port,
        container_port: None,
        host_port,
        protocol: Protocol::Tcp,
        name: None,
        labels: BTreeMap::new(),
    }
}

/// GET / at the first port, every 10 s after a grace period of 60 s; three failures in a row are too many.
pub fn health_check() -> HealthCheck {
    HealthCheck {
        protocol: HealthProtocol::Http,
        path: Some("/".to_owned()),
        port: Some(HealthPort::Index(0)),
        command: None,
        grace_ms: 60_000,
        interval_ms: 10_000,
        timeout_ms: 5_000,
        delay_ms: 15_000,
        max_consecutive_failures: 3,
        ignore_http_1xx: false,
    }
}

/// A staging task of `app` on node 1, launched at `staged_at` milliseconds; its id is drawn from that time.
pub fn task(app: &str, staged_at: u64) -> Task {
    let app = AppId::parse(app).expect("a valid app id");
    Task {
        id: TaskId::new(&app, u128::from(staged_at), 1),
        version: Timestamp(staged_at),
        node: NodeId(1),
        state: TaskState::Staging,
        ports: Vec::new(),
        addresses: Vec::new(),
        health: Vec::new(),
        staged_at: Timestamp(staged_at),
        started_at: None,
        kill: None,
        reach: crate::task::Reach::Here,
        epoch: 0,
        displaced: false,
        message: String::new(),
        framework: "marathon".to_owned(),
        role: "*".to_owned(),
    }
}

/// A node with 4 cpus, 4 GiB of memory, 10 GiB of disk and the usual host ports.
pub fn node(id: u64) -> Node {
    Node {
        id: NodeId(id),
        name: format!("node{id}"),
        addresses: vec![std::net::IpAddr::from([10, 0, 0, id.to_le_bytes()[0]])],
        resources: Resources { cpu_milli: 4_000, mem_mib: 4_096, disk_mib: 10_240 },
        host_ports: (31_000, 32_000),
        attributes: BTreeMap::new(),
        feature_level: crate::command::FEATURE_LEVEL,
        product_version: "0.0.0".to_owned(),
        joined_at: Timestamp::default(),
        boot_id: "boot-1".to_owned(),
    }
}

/// A log, the state it leads to, a leader that plans, and nodes that do as they are told.
#[derive(Debug, Clone)]
pub struct Lab {
    pub state: State,
    pub now: Timestamp,
    pub ids: IdSource,
    /// Everything that was applied, in order.
    pub log: Vec<Envelope>,
}

impl Lab {
    /// An unclaimed cluster without nodes.
    pub fn empty() -> Self {
        Self { state: State::default(), now: START, ids: IdSource::new(7), log: Vec::new() }
    }

    /// A claimed cluster of one node with id 1.
    pub fn new() -> Self {
        let mut lab = Self::empty();
        lab.must(claim());
        lab.must(Command::RegisterNode { node: node(1) });
        lab
    }

    /// [`Lab::new`] with an app `/a` of `instances` instances; nothing launched yet.
    pub fn with_app(instances: u32) -> Self {
        let mut lab = Self::new();
        lab.put(AppSpec { instances, ..spec("/a") });
        lab
    }

    pub fn envelope(&self, command: Command) -> Envelope {
        Envelope {
            format: FORMAT,
            request_id: None,
            actor: Actor::System,
            origin: Origin::default(),
            at: self.now,
            expected_version: None,
            command,
        }
    }

    /// Applies at the next index.
    pub fn apply(&mut self, envelope: Envelope) -> Result<Outcome, Reject> {
        let index = self.state.index + 1;
        let applied = self.state.apply(index, &envelope);
        self.log.push(envelope);
        applied.result
    }

    pub fn run(&mut self, command: Command) -> Result<Outcome, Reject> {
        let envelope = self.envelope(command);
        self.apply(envelope)
    }

    /// Runs a command that cannot be rejected.
    #[track_caller]
    pub fn must(&mut self, command: Command) -> Outcome {
        match self.run(command) {
            Ok(outcome) => outcome,
            Err(reject) => panic!("rejected: {reject}"),
        }
    }

    /// Creates or changes an app without force; a new deployment id each time.
    #[track_caller]
    pub fn put(&mut self, app: AppSpec) -> Outcome {
        let command = self.put_command(app, PutMode::Upsert, false);
        self.must(command)
    }

    pub fn put_command(&mut self, app: AppSpec, mode: PutMode, force: bool) -> Command {
        Command::PutApp { app: Box::new(app), mode, deployment: self.deployment(), force }
    }

    pub fn deployment(&mut self) -> DeploymentId {
        DeploymentId(self.ids.draw_u128())
    }

    pub fn request_id(&mut self) -> RequestId {
        RequestId(self.ids.draw_u128())
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    pub fn plan(&mut self) -> Plan {
        schedule::plan(&self.state, self.now, &mut self.ids)
    }

    /// Plans, and applies the plan if there is anything to do.
    #[track_caller]
    pub fn lead(&mut self) -> Plan {
        let plan = self.plan();
        if !plan.actions.is_empty() {
            let based_on = self.state.index;
            self.must(Command::ApplyPlan { based_on, actions: plan.actions.clone() });
        }
        plan
    }

    /// A report of one change from the task's own node.
    pub fn report(&mut self, task: &TaskId, change: TaskChange) {
        let node = self.state.task(task).map_or(NodeId(1), |(_, task)| task.node);
        let update = TaskUpdate { task: task.clone(), change, message: String::new() };
        self.must(Command::Report { node, updates: vec![update] });
    }

    pub fn ended(&mut self, task: &TaskId, exit: Exit) {
        self.report(task, TaskChange::Ended { exit });
    }

    pub fn running(&mut self, task: &TaskId) {
        self.report(task, TaskChange::Running { addresses: Vec::new() });
    }

    /// All checks of a running task pass, or all fail that often in a row.
    pub fn judged(&mut self, task: &TaskId, failures: u32) {
        let checks = self
            .state
            .task(task)
            .map_or(0, |(app, task)| app.spec_of(task.version).map_or(0, |spec| spec.health_checks.len()));
        let health = CheckHealth {
            alive: Some(failures == 0),
            consecutive_failures: failures,
            last_failure_cause: if failures == 0 { String::new() } else { "refused".to_owned() },
            ..CheckHealth::default()
        };
        self.report(task, TaskChange::Health { checks: vec![health; checks] });
    }

    /// All live tasks, in the order of their ids.
    pub fn tasks(&self) -> Vec<Task> {
        self.state.apps.values().flat_map(|app| app.tasks.values().map(|task| (**task).clone())).collect()
    }

    /// Every node that hears does what the state asks of it: starts what is staged, ends what is sentenced, finds what runs healthy.
    /// Returns whether there was anything to do.
    pub fn nodes_obey(&mut self) -> bool {
        let mut acted = false;
        for task in self.tasks().into_iter().filter(|task| task.reach.is_here()) {
            match (task.is_wanted(), task.state) {
                (false, _) => self.ended(&task.id, Exit::Signal(15)),
                (true, TaskState::Staging | TaskState::Starting) => self.running(&task.id),
                // Stopped by its node without being asked to.
                (true, TaskState::Killing) => self.ended(&task.id, Exit::Signal(15)),
                (true, TaskState::Running)
                    if self.state.task(&task.id).is_some_and(|(a, t)| !a.serves(t)) =>
                {
                    self.judged(&task.id, 0);
                }
                (true, TaskState::Running) => continue,
            }
            acted = true;
        }
        acted
    }

    /// Leader and nodes take turns until neither has anything to do; waits for back-offs. Panics if that does not end.
    #[track_caller]
    pub fn settle(&mut self) {
        self.settle_watched(|_| {});
    }

    /// The same, with a look at each state on the way.
    pub fn settle_watched(&mut self, mut look: impl FnMut(&State)) {
        for _ in 0..1_000 {
            let plan = self.lead();
            look(&self.state);
            let acted = self.nodes_obey();
            look(&self.state);
            if acted || !plan.actions.is_empty() {
                continue;
            }
            match plan.wake_at {
                Some(at) => self.now = self.now.max(at),
                None => return,
            }
        }
        panic!("the cluster does not settle: {:?}", self.plan());
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// A node that wants to come in, with a key of its own.
pub fn applicant(node: u64) -> Applicant {
    let addresses = vec![std::net::IpAddr::from([192, 0, 2, node as u8])];
    Applicant { node: NodeId(node), fingerprint: format!("{node:064x}"), addresses, port: PEER_PORT }
}

/// Makes node 1 the first member.
pub fn found() -> Command {
    Command::Found { authority: authority("certificate"), first: applicant(1) }
}

/// One with that certificate.
pub fn authority(certificate: &str) -> Authority {
    Authority { certificate: certificate.to_owned(), key: "key".to_owned(), number: 0 }
}

/// A token named `name` whose secret's hash is of `fill` alone.
pub fn join_token(name: &str, fill: char, uses_left: u32, expires_at: Timestamp) -> JoinToken {
    let secret_sha256 = fill.to_string().repeat(64);
    JoinToken {
        name: name.to_owned(),
        secret_sha256,
        uses_left,
        created_at: Timestamp::default(),
        expires_at,
    }
}

/// The claim by an administrator named `admin`, who cannot log in: the hash is none.
pub fn claim() -> Command {
    Command::Claim {
        cluster: ClusterId(1),
        admin: User {
            name: "admin".to_owned(),
            password_hash: "$argon2id$none".to_owned(),
            role: Role::Administrator,
            created_at: Timestamp::default(),
        },
        session_key: SessionKey("00".repeat(32)),
    }
}
