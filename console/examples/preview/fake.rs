//! A node that is not there: enough of one to look at every page, and to test them. No disk, no processes.

#[path = "inside.rs"]
mod inside;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use console::*;
use futures::stream::{self, BoxStream, StreamExt};
use model::app::AppSpec;
use model::auth::{Actor, Role, SessionKey, User};
use model::backup::Key;
use model::command::Envelope;
use model::node::{Node, Resources};
use model::state::{App, Backoff, Deployment, DeploymentKind};
use model::task::{EndState, Ended, Exit, Task, TaskState};
use model::{
    AppId, Applied, ClusterId, Command, DeploymentId, NodeId, Origin, State, TaskId, Timestamp, command,
};
use tokio::sync::watch;

#[path = "balancer.rs"]
mod balancer;
#[path = "members.rs"]
mod members;

pub const CODE: &str = "K7QM-2XVD";
pub const PASSWORD: &str = "correct horse";
const NODE: NodeId = NodeId(0x1d4f_90a2_77c3_e5b1);

pub struct Fake {
    state: watch::Sender<Arc<State>>,
    /// What tasks wait for.
    pub preparing: watch::Sender<Arc<Preparing>>,
    /// What was asked of `power`.
    pub power: Mutex<Vec<Power>>,
    /// What every `propose` answers instead of applying, if set.
    pub refuse: Mutex<Option<Unavailable>>,
    /// For how long it has heard nothing of its cluster.
    pub out_of_touch_s: Mutex<Option<u64>>,
    /// Cluster time stands still, so that pages can be compared.
    now: Timestamp,
    /// Appended to each task's output as it is followed; the preview lets it tick.
    pub ticking: bool,
    inside: inside::Inside,
}

impl Fake {
    pub fn unclaimed(now: Timestamp) -> Self {
        let state = State { now, ..State::default() };
        Self {
            state: watch::Sender::new(Arc::new(state)),
            preparing: watch::Sender::default(),
            power: Mutex::default(),
            refuse: Mutex::default(),
            out_of_touch_s: Mutex::default(),
            now,
            ticking: false,
            inside: inside::Inside,
        }
    }

    /// Claimed, without apps.
    pub fn claimed(now: Timestamp) -> Self {
        let fake = Self::unclaimed(now);
        fake.change(take);
        fake
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| change(Arc::make_mut(state)));
    }
}

fn take(state: &mut State) {
    let admin = User {
        name: "admin".into(),
        password_hash: "$argon2id$not-a-hash".into(),
        role: Role::Administrator,
        created_at: state.now,
    };
    state.cluster = Some(ClusterId(7));
    state.session_key = Some(SessionKey("0f".repeat(32)));
    state.users.insert("admin".into(), admin);
    let node = Node {
        id: NODE,
        name: "rock-1".into(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 168, 7, 21))],
        resources: Resources { cpu_milli: 4000, mem_mib: 7_680, disk_mib: 40_000 },
        host_ports: (31000, 32000),
        attributes: BTreeMap::new(),
        feature_level: 1,
        product_version: "0.1.0".into(),
        joined_at: state.now,
        boot_id: "boot".into(),
    };
    state.nodes.insert(NODE, Arc::new(node));
    members::belong(state);
}

/// Adds an app as a definition says, without any task.
pub fn put(state: &mut State, definition: &str) -> AppId {
    let mut spec = AppSpec::parse(definition).expect("a definition of the fake is valid");
    spec.version = state.now;
    // As the cluster gives them.
    for (port, service) in spec.ports.iter_mut().filter(|port| port.service_port == 0).zip(10_000..) {
        port.service_port = service;
    }
    let (id, spec) = (spec.id.clone(), Arc::new(spec));
    let app = App {
        versions: [spec.clone()].into_iter().collect(),
        spec,
        tasks: Default::default(),
        history: Default::default(),
        last_failure: None,
        backoff: Backoff::default(),
        waiting: String::new(),
        deleted: false,
    };
    state.apps.insert(id.clone(), Arc::new(app));
    id
}

pub fn edit(state: &mut State, id: &AppId, change: impl FnOnce(&mut App)) {
    change(Arc::make_mut(state.apps.get_mut(id).expect("the app was put before")));
}

/// A live task staged `age_s` ago.
pub fn launch(state: &mut State, id: &AppId, n: u128, task_state: TaskState, age_s: u64) -> TaskId {
    let task = task(state, id, n, task_state, age_s);
    let task_id = task.id.clone();
    state.task_apps.insert(task_id.clone(), id.clone());
    edit(state, id, |app| drop(app.tasks.insert(task_id.clone(), Arc::new(task))));
    task_id
}

fn task(state: &State, id: &AppId, n: u128, task_state: TaskState, age_s: u64) -> Task {
    let app = &state.apps[id];
    let at = Timestamp(state.now.0.saturating_sub(age_s * 1000));
    Task {
        id: TaskId::new(id, n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), 1),
        version: app.spec.version,
        node: NODE,
        state: task_state,
        ports: app.spec.ports.iter().enumerate().map(|(i, _)| 31_200 + (n % 700) as u16 + i as u16).collect(),
        addresses: vec![],
        staged_at: at,
        started_at: (task_state != TaskState::Staging).then(|| at.plus_ms(40)),
        kill: None,
        reach: model::task::Reach::Here,
        epoch: 0,
        displaced: false,
        message: String::new(),
        health: Vec::new(),
        framework: "marathon".into(),
        role: "*".into(),
    }
}

/// An ended task that began `age_s` ago and ran for `ran_ms`. Call from the oldest to the newest.
pub fn end(
    state: &mut State,
    id: &AppId,
    n: u128,
    (age_s, ran_ms): (u64, u64),
    exit: Exit,
    message: &str,
) -> TaskId {
    let task = task(state, id, n, TaskState::Running, age_s);
    let task_id = task.id.clone();
    let ended = Arc::new(Ended {
        ended_at: task.staged_at.plus_ms(ran_ms),
        state: if exit == Exit::Code(0) { EndState::Finished } else { EndState::Failed },
        task,
        exit,
        message: message.into(),
    });
    edit(state, id, |app| {
        if ended.state == EndState::Failed {
            app.last_failure = Some(ended.clone());
        }
        app.history.push_front(ended);
    });
    task_id
}

/// Apps in every state there is.
pub fn furnish(state: &mut State) {
    let hello = put(state, include_str!("../../../tests/seed/hello2.json"));
    for n in 0..6 {
        let ago = 120 - n as u64 * 20;
        end(state, &hello, 10 + n, (ago, 10_030), Exit::Code(0), "");
    }
    launch(state, &hello, 20, TaskState::Running, 6);

    let web = put(
        state,
        r#"{"id":"/shop/web","container":{"type":"DOCKER","docker":{"image":"registry.example/shop/web:4.2.1"}},
            "cpus":0.5,"mem":512,"instances":3,"ports":[0,0],"labels":{"team":"shop","HAPROXY_GROUP":"external"},
            "env":{"LOG_LEVEL":"info","SHOP_REGION":"north","DB_PASSWORD":"hunter2"},"flavour":"blue",
            "healthChecks":[{"protocol":"HTTP","path":"/health"}]}"#,
    );
    for n in 0..3 {
        launch(state, &web, 31 + n, TaskState::Running, 90_000 - n as u64 * 400);
    }

    let db = put(state, r#"{"id":"/shop/db","cmd":"postgres","cpus":2,"mem":16384,"instances":1}"#);
    edit(state, &db, |app| {
        app.waiting =
            "No node has 16.0 GiB of memory free; the largest free amount is 5.9 GiB on rock-1.".into();
    });

    let broken = put(state, r#"{"id":"/tools/import","cmd":"./import --all","cpus":0.25,"mem":64}"#);
    end(state, &broken, 50, (95, 120), Exit::Code(1), "");
    end(state, &broken, 51, (60, 80), Exit::OutOfMemory, "");
    end(state, &broken, 52, (20, 60), Exit::Code(127), "sh: ./import: not found");
    let now = state.now;
    edit(state, &broken, |app| app.backoff = Backoff { delay_ms: 52_000, since: now });

    put(state, r#"{"id":"/tools/report","cmd":"report","cpus":0.1,"mem":32,"instances":0}"#);

    let queue = put(state, r#"{"id":"/shop/queue","cmd":"queue","cpus":0.2,"mem":128,"instances":2}"#);
    launch(state, &queue, 61, TaskState::Running, 4);
    launch(state, &queue, 62, TaskState::Starting, 1);
    let deployment = Deployment {
        id: DeploymentId(9),
        app: queue,
        version: state.now,
        kind: DeploymentKind::Scale,
        started_at: state.now,
    };
    state.deployments.insert(deployment.id, Arc::new(deployment));
}

#[async_trait]
impl Backend for Fake {
    fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    async fn backup_key(&self, _passphrase: String) -> Result<Key, Unavailable> {
        Ok(Key { salt: [1; 16], bytes: [2; 32] })
    }

    fn preparing(&self) -> watch::Receiver<Arc<Preparing>> {
        self.preparing.subscribe()
    }

    async fn read(&self) -> Result<Arc<State>, Unavailable> {
        Ok(self.state())
    }

    async fn propose(&self, request: Request) -> Result<Applied, Unavailable> {
        if let Some(error) = self.refuse.lock().expect("no test panics with the lock").clone() {
            return Err(error);
        }
        let envelope = Envelope {
            format: command::FORMAT,
            request_id: request.request_id,
            actor: request.actor,
            origin: request.origin,
            at: self.now(),
            expected_version: request.expected_version,
            command: request.command,
        };
        let mut applied = None;
        self.change(|state| applied = Some(state.apply(state.index + 1, &envelope)));
        Ok(applied.expect("change calls its argument"))
    }

    fn leader(&self) -> Option<LeaderInfo> {
        Some(LeaderInfo { node: NODE, address: "192.168.7.21:8080".into(), is_self: true })
    }

    fn fresh_deployment(&self) -> DeploymentId {
        DeploymentId(u128::from(self.state().index) + 1000)
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    async fn claim(&self, code: &str, password: &str, _origin: Origin) -> Result<(), ClaimError> {
        if self.state().is_claimed() {
            return Err(ClaimError::AlreadyClaimed);
        }
        if code != CODE {
            return Err(ClaimError::WrongCode);
        }
        if password.len() < model::limits::PASSWORD_BYTES_MIN {
            return Err(ClaimError::BadPassword);
        }
        self.change(take);
        Ok(())
    }

    async fn login(&self, name: &str, password: &str, _client_ip: &str) -> Result<Actor, LoginError> {
        if name == "admin" && password == PASSWORD {
            return Ok(Actor::User { name: name.into(), role: Role::Administrator });
        }
        Err(LoginError::Wrong)
    }

    async fn change_password(
        &self,
        name: &str,
        current: &str,
        new: &str,
        _origin: Origin,
    ) -> Result<(), PasswordError> {
        if current != PASSWORD {
            return Err(PasswordError::Wrong);
        }
        if new.len() < model::limits::PASSWORD_BYTES_MIN {
            return Err(PasswordError::BadPassword);
        }
        let password_hash = format!("$argon2id$of-{}-bytes", new.len());
        let command = Command::SetPassword { user: name.into(), password_hash };
        let actor = Actor::User { name: name.into(), role: Role::Administrator };
        let (request_id, expected_version) = (None, None);
        let request = Request { actor, origin: Origin::default(), request_id, expected_version, command };
        self.propose(request).await.map(drop).map_err(PasswordError::Unavailable)
    }

    fn members(&self) -> Vec<MemberStatus> {
        members::shown(&self.state())
    }

    async fn prospects(&self) -> Result<Prospects, RecoverError> {
        members::prospects(&self.state())
    }

    async fn recover(&self, recovery: Recovery) -> Result<(), RecoverError> {
        let name = self.prospects().await?.node;
        if recovery.confirm == name { Ok(()) } else { Err(RecoverError::NotConfirmed { name }) }
    }

    fn new_authority(&self) -> Result<model::membership::Authority, Unavailable> {
        let (certificate, key) = ("another".to_owned(), "key".to_owned());
        Ok(model::membership::Authority { certificate, key, number: 0 })
    }

    async fn invite(&self, invitation: Invitation) -> Result<String, InviteError> {
        let Invitation { name, uses, expires_at, actor, origin } = invitation;
        let secret_sha256 = format!("{:064x}", self.state().index);
        let created_at = Timestamp::default();
        let token =
            model::membership::JoinToken { name, secret_sha256, uses_left: uses, created_at, expires_at };
        let command = Command::PutJoinToken { token };
        let (request_id, expected_version) = (None, None);
        let request = Request { actor, origin, request_id, expected_version, command };
        let applied = self.propose(request).await.map_err(InviteError::Unavailable)?;
        applied.result.map_err(InviteError::Rejected)?;
        Ok("meseta1.an-example".into())
    }

    fn node(&self) -> NodeStatus {
        let phase = |name: &str, start_ms, end_ms, note: &str| BootPhase {
            name: name.into(),
            start_ms,
            end_ms,
            note: note.into(),
        };
        let service = |name: &str, pid, restarts, last_end: &str| Service {
            name: name.into(),
            pid,
            restarts,
            last_end: last_end.into(),
        };
        NodeStatus {
            id: NODE,
            name: "rock-1".into(),
            product_version: "0.1.0".into(),
            kernel: "Linux 6.12.41".into(),
            addresses: vec![
                IpAddr::V4(Ipv4Addr::new(192, 168, 7, 21)),
                "fe80::5054:ff:fe12:3456".parse().expect("ip"),
            ],
            resources: Resources { cpu_milli: 4000, mem_mib: 7_680, disk_mib: 40_000 },
            used: Resources { cpu_milli: 2_350, mem_mib: 1_872, disk_mib: 0 },
            uptime_s: 93_784,
            memory_total_kib: 8_048_000,
            memory_available_kib: 6_410_000,
            state_bytes_free: 3_600_000_000,
            state_bytes_total: 4_200_000_000,
            phases: vec![
                phase("kernel", 0, Some(2_410), ""),
                phase("mounts", 2_410, Some(2_480), ""),
                phase("modules", 2_480, Some(2_950), "14 loaded"),
                phase("state disk", 2_560, Some(3_420), "formatted on first boot"),
                phase("network", 2_960, Some(4_120), "DHCP lease from 192.168.7.1"),
                phase("agent", 3_430, Some(3_890), ""),
                phase("console answers", 3_890, Some(3_960), ""),
            ],
            services: vec![
                service("agent", Some(112), 1, "signal 9 (SIGKILL), 2 h ago"),
                service("net", Some(98), 0, ""),
                service("log", Some(99), 0, ""),
            ],
            last_error: String::new(),
            out_of_touch_s: *self.out_of_touch_s.lock().expect("not poisoned"),
            host: Default::default(),
        }
    }

    async fn read_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: Option<u64>,
        limit: usize,
    ) -> Result<LogChunk, SandboxError> {
        let all = self.output(task, stream)?;
        let offset = offset.unwrap_or(all.len().saturating_sub(limit) as u64).min(all.len() as u64);
        let from = offset as usize;
        let data = all[from..(from + limit).min(all.len())].to_vec();
        Ok(LogChunk { offset, first_offset: 0, data })
    }

    async fn follow_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: u64,
    ) -> Result<BoxStream<'static, LogChunk>, SandboxError> {
        let mut all = self.output(task, stream)?;
        let rest = all.split_off((offset as usize).min(all.len()));
        let first = LogChunk { offset, first_offset: 0, data: rest };
        if !self.ticking || stream == LogStream::Stderr {
            return Ok(stream::once(async move { first }).chain(stream::pending()).boxed());
        }
        let ticks = stream::unfold(first.end(), |offset| async move {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let data = format!("tick at byte {offset}\n").into_bytes();
            let next = offset + data.len() as u64;
            Some((LogChunk { offset, first_offset: 0, data }, next))
        });
        Ok(stream::once(async move { first }).chain(ticks).boxed())
    }

    fn sandboxes(&self) -> &dyn sandbox::Sandboxes {
        &self.inside
    }

    fn inspector(&self) -> &dyn inspect::Inspector {
        &self.inside
    }

    async fn balancer(&self) -> BalancerStatus {
        balancer::status(self.now)
    }

    fn balancer_faults(&self, app: &AppId) -> Vec<String> {
        let told = balancer::status(self.now).faults;
        told.into_iter().find(|(id, _)| id == app).map_or_else(Vec::new, |(_, told)| told)
    }

    async fn power(&self, power: Power) -> Result<(), String> {
        self.power.lock().expect("no test panics with the lock").push(power);
        Ok(())
    }
}

/// What a task named like this has written. The markup in it must never be more than text.
impl Fake {
    fn output(&self, task: &TaskId, stream: LogStream) -> Result<Vec<u8>, SandboxError> {
        let text = match (task.as_str().split('.').next(), stream) {
            (Some("hello2"), LogStream::Stdout) => "hello\n".to_owned(),
            (Some("shop_web"), LogStream::Stdout) => (0..2_000)
                .map(|n| format!("192.168.7.{} GET /cart/{n} 200 \u{2192} {} ms\n", n % 250, n % 31))
                .collect(),
            (Some("shop_web"), LogStream::Stderr) => "<script>alert('output')</script>\n".to_owned(),
            (Some("shop_queue"), _) => return Err(SandboxError::NotFound),
            _ => String::new(),
        };
        Ok(text.into_bytes())
    }
}
