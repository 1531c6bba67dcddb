//! A node without processes: the real model, a log in memory, tasks that run as soon as they are told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use console::{
    Backend, ClaimError, LeaderInfo, LogChunk, LogStream, LoginError, NodeStatus, Power, Request,
    SandboxError, Unavailable,
};
use futures::stream::{self, BoxStream, StreamExt};
use model::auth::{Actor, Role, SessionKey, User};
use model::command::FORMAT;
use model::ids::IdSource;
use model::node::{Node, Resources};
use model::task::{Exit, TaskChange, TaskState, TaskUpdate};
use model::{Applied, ClusterId, Command, DeploymentId, Envelope, NodeId, Origin, State, TaskId, Timestamp};
use tokio::sync::watch;

use crate::api::auth::{code, tries::Tries};

pub const PASSWORD: &str = "correct horse";
pub const CODE: &str = "AB2C-XY9Z";
const NODE: NodeId = NodeId(1);
/// 2026-01-01; each command comes a second after the one before.
const START: Timestamp = Timestamp(1_767_225_600_000);

pub struct Fake {
    states: watch::Sender<Arc<State>>,
    ids: Mutex<IdSource>,
    tries: Mutex<Tries>,
    /// Slow password checks that were asked for.
    pub logins: AtomicUsize,
    /// What proposals and fresh reads answer instead, if set.
    pub fault: Mutex<Option<Unavailable>>,
    pub powered: Mutex<Option<Power>>,
}

impl Fake {
    /// Unclaimed, with one registered node.
    pub fn new() -> Self {
        let fake = Self {
            states: watch::Sender::new(Arc::default()),
            ids: Mutex::new(IdSource::new(7)),
            tries: Mutex::default(),
            logins: AtomicUsize::new(0),
            fault: Mutex::default(),
            powered: Mutex::default(),
        };
        fake.apply(Actor::System, Command::RegisterNode { node: node() });
        fake
    }

    pub fn claim_now(&self) {
        let admin = User {
            name: "admin".to_owned(),
            // The fake's hash is the password: its login compares texts.
            password_hash: PASSWORD.to_owned(),
            role: Role::Administrator,
            created_at: Timestamp::default(),
        };
        let session_key = SessionKey("00".repeat(32));
        let claim = Command::Claim { cluster: ClusterId(5), admin, session_key };
        self.apply(Actor::Claimant, claim).result.expect("claimed");
    }

    pub fn apply(&self, actor: Actor, command: Command) -> Applied {
        let origin = Origin { client_ip: "10.0.0.9".to_owned(), uri: "/test".to_owned() };
        self.commit(Request { actor, origin, request_id: None, expected_version: None, command })
    }

    fn commit(&self, request: Request) -> Applied {
        let mut applied = None;
        self.states.send_modify(|state| {
            let mut next = (**state).clone();
            let index = next.index + 1;
            let envelope = Envelope {
                format: FORMAT,
                request_id: request.request_id,
                actor: request.actor.clone(),
                origin: request.origin.clone(),
                at: START.plus_ms(1_000 * index),
                expected_version: request.expected_version,
                command: request.command.clone(),
            };
            applied = Some(next.apply(index, &envelope));
            *state = Arc::new(next);
        });
        applied.expect("applied")
    }

    /// Plans and obeys until nothing is left to do: what was launched runs, what was sentenced has ended.
    pub fn settle(&self) {
        for _ in 0..1_000 {
            let state = self.state();
            let plan = model::schedule::plan(&state, state.now, &mut self.ids.lock().expect("alone"));
            let updates = updates(&state);
            if plan.actions.is_empty() && updates.is_empty() {
                return;
            }
            let based_on = state.index;
            if !plan.actions.is_empty() {
                let applied =
                    self.apply(Actor::System, Command::ApplyPlan { based_on, actions: plan.actions });
                applied.result.expect("the plan is fresh");
            } else {
                let report = Command::Report { node: NODE, updates };
                self.apply(Actor::System, report).result.expect("reported");
            }
        }
        panic!("the cluster never settles");
    }

    pub fn tasks(&self) -> Vec<TaskId> {
        self.state().task_apps.keys().cloned().collect()
    }

    /// The task ends by itself.
    pub fn end(&self, task: &TaskId, exit: Exit) {
        let update =
            TaskUpdate { task: task.clone(), change: TaskChange::Ended { exit }, message: String::new() };
        self.apply(Actor::System, Command::Report { node: NODE, updates: vec![update] });
    }

    pub fn state_is_empty(&self) -> bool {
        self.state().apps.is_empty()
    }

    fn unavailable(&self) -> Result<(), Unavailable> {
        self.fault.lock().expect("alone").clone().map_or(Ok(()), Err)
    }
}

/// What the node would report next about each task.
fn updates(state: &State) -> Vec<TaskUpdate> {
    let tasks = state.apps.values().flat_map(|app| app.tasks.values());
    let change = |task: &model::task::Task| match (task.kill, task.state) {
        (Some(_), _) => Some(TaskChange::Ended { exit: Exit::Signal(15) }),
        (None, TaskState::Staging | TaskState::Starting) => {
            Some(TaskChange::Running { addresses: vec!["10.0.0.1".parse().expect("an address")] })
        }
        (None, _) => None,
    };
    let update = |task: &Arc<model::task::Task>| {
        let change = change(task)?;
        Some(TaskUpdate { task: task.id.clone(), change, message: String::new() })
    };
    tasks.filter_map(update).take(model::limits::REPORT_UPDATES_MAX).collect()
}

fn node() -> Node {
    Node {
        id: NODE,
        name: "node1".to_owned(),
        addresses: vec!["10.0.0.1".parse().expect("an address")],
        resources: Resources { cpu_milli: 10_000_000, mem_mib: 10_000_000, disk_mib: 10_000_000 },
        host_ports: (31_000, 38_000),
        attributes: BTreeMap::new(),
        feature_level: model::command::FEATURE_LEVEL,
        product_version: "0.1.0".to_owned(),
        joined_at: Timestamp::default(),
        boot_id: "boot-1".to_owned(),
    }
}

#[async_trait::async_trait]
impl Backend for Fake {
    fn state(&self) -> Arc<State> {
        self.states.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.states.subscribe()
    }

    async fn read(&self) -> Result<Arc<State>, Unavailable> {
        self.unavailable()?;
        Ok(self.state())
    }

    async fn propose(&self, request: Request) -> Result<Applied, Unavailable> {
        self.unavailable()?;
        Ok(self.commit(request))
    }

    fn leader(&self) -> Option<LeaderInfo> {
        Some(LeaderInfo { node: NODE, address: "10.0.0.1:8080".to_owned(), is_self: true })
    }

    fn fresh_deployment(&self) -> DeploymentId {
        DeploymentId(self.ids.lock().expect("alone").draw_u128())
    }

    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn claim(&self, typed: &str, password: &str, origin: Origin) -> Result<(), ClaimError> {
        let taken = self.tries.lock().expect("alone").take(&origin.client_ip, 0);
        taken.map_err(|seconds| ClaimError::TooManyTries { seconds })?;
        if self.state().is_claimed() {
            return Err(ClaimError::AlreadyClaimed);
        }
        if !code::matches(CODE, typed) {
            return Err(ClaimError::WrongCode);
        }
        if password.len() < model::limits::PASSWORD_BYTES_MIN {
            return Err(ClaimError::BadPassword);
        }
        self.claim_now();
        Ok(())
    }

    async fn login(&self, name: &str, password: &str, client_ip: &str) -> Result<Actor, LoginError> {
        self.logins.fetch_add(1, Ordering::SeqCst);
        let taken = self.tries.lock().expect("alone").take(client_ip, 0);
        taken.map_err(|seconds| LoginError::TooManyTries { seconds })?;
        let state = self.state();
        let user =
            state.users.get(name).filter(|user| user.password_hash == password).ok_or(LoginError::Wrong)?;
        self.tries.lock().expect("alone").forgive(client_ip);
        Ok(Actor::User { name: user.name.clone(), role: user.role })
    }

    fn node(&self) -> NodeStatus {
        NodeStatus {
            id: NODE,
            name: "node1".to_owned(),
            product_version: "0.1.0".to_owned(),
            kernel: "6.12".to_owned(),
            addresses: vec!["10.0.0.1".parse().expect("an address")],
            resources: node().resources,
            used: Resources::default(),
            uptime_s: 5,
            memory_total_kib: 1024,
            memory_available_kib: 512,
            state_bytes_free: 1,
            state_bytes_total: 2,
            phases: Vec::new(),
            services: Vec::new(),
            last_error: String::new(),
            out_of_touch_s: None,
            host: Default::default(),
        }
    }

    /// Every task wrote the same 20 bytes, of which the first five are gone.
    async fn read_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: Option<u64>,
        limit: usize,
    ) -> Result<LogChunk, SandboxError> {
        if self.state().task(task).is_none() {
            return Err(SandboxError::NotFound);
        }
        let whole: &[u8] = if stream == LogStream::Stdout { b"0123456789abcdefghij" } else { b"" };
        let first = whole.len().min(5);
        let tail = whole.len().saturating_sub(limit);
        let from =
            offset.map_or(tail, |offset| usize::try_from(offset).expect("small")).clamp(first, whole.len());
        let to = (from + limit).min(whole.len());
        Ok(LogChunk { offset: from as u64, first_offset: first as u64, data: whole[from..to].to_vec() })
    }

    async fn follow_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: u64,
    ) -> Result<BoxStream<'static, LogChunk>, SandboxError> {
        let one = self.read_log(task, stream, Some(offset), 4).await?;
        let two = self.read_log(task, stream, Some(one.end()), 100).await?;
        Ok(stream::iter([one, two]).boxed())
    }

    async fn power(&self, power: Power) -> Result<(), String> {
        *self.powered.lock().expect("alone") = Some(power);
        Ok(())
    }
}
