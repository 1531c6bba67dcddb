//! What must hold whatever happens: any commands, valid or not, in any order, from people, leaders with an old view,
//! and nodes that repeat themselves.

mod op;

use proptest::prelude::*;

use self::op::{Op, op};

use crate::app::{AppSpec, HealthCheck, Millionths, Network, UnreachableStrategy};
use crate::auth::{Actor, Role, SessionKey, Token};
use crate::command::{Action, Command, Envelope, Outcome, Reject};
use crate::health::CheckHealth;
use crate::membership::NodeChange;
use crate::node::Resources;
use crate::task::{Exit, Reach, TaskChange, TaskUpdate};
use crate::testing::{self, Lab};
use crate::zone::{self, View, Zone};
use crate::{AppId, DeploymentId, NodeId, State, TaskId, Timestamp, deploy, schedule};

const APPS: [&str; 3] = ["/a", "/b/c", "/fixed"];
const TOKENS: [&str; 3] = ["ci", "deploy", ""];
/// States kept, so that plans can be made on an old one.
const VIEWS_MAX: usize = 6;

fn spec(app: usize, instances: u32, config: u8) -> AppSpec {
    let mut spec = AppSpec { instances, ..testing::spec(APPS[app]) };
    spec.cmd = Some(format!("sleep {config}"));
    if config == 3 {
        spec.labels.insert("MESETA_EXCLUSIVE".to_owned(), "true".to_owned());
    }
    let inactive_ms = u64::from(config % 2) * 2_000;
    spec.unreachable =
        UnreachableStrategy::After { inactive_ms, expunge_ms: inactive_ms + u64::from(config / 2) * 5_000 };
    spec.ports = vec![testing::port(0, None); usize::from(config % 3)];
    spec.upgrade.maximum_over = Millionths(u64::from(config % 2) * 500_000);
    spec.upgrade.minimum_health = Millionths(u64::from(config) * 333_333);
    if APPS[app] == "/b/c" {
        let check = HealthCheck { max_consecutive_failures: u32::from(config), ..testing::health_check() };
        spec.health_checks = vec![check; usize::from(config % 3)];
    }
    if APPS[app] == "/fixed" {
        spec.network = Network::Bridge;
        spec.ports = vec![testing::port(9_000, Some(31_240)), testing::port(0, Some(0))];
    }
    spec
}

fn health(passes: bool, consecutive_failures: u32) -> CheckHealth {
    CheckHealth { alive: Some(passes), consecutive_failures, ..CheckHealth::default() }
}

struct World {
    lab: Lab,
    /// Recent states, the newest last.
    views: Vec<State>,
    /// Every task that ever was, so that reports about dead ones happen too.
    known: Vec<(TaskId, NodeId)>,
    last_request: Option<(Envelope, Result<Outcome, Reject>)>,
    /// Made from the one before at each step.
    zone: Zone,
}

impl World {
    /// A claimed cluster that takes in others if `founded`; its nodes need not register then.
    fn new(founded: bool) -> Self {
        let mut lab = Lab::new();
        if founded {
            lab.must(Command::RaiseFeatureLevel { level: 3 });
            lab.must(testing::found());
        }
        let zone = zone::records(&lab.state, view(&lab.state), Default::default());
        Self { views: vec![lab.state.clone()], lab, known: Vec::new(), last_request: None, zone }
    }

    fn pick(&self, pick: usize) -> (TaskId, NodeId) {
        let stranger = || (testing::task("/stranger", 1).id, NodeId(1));
        self.known.get(pick % self.known.len().max(1)).cloned().unwrap_or_else(stranger)
    }

    fn command(&mut self, op: &Op) -> Option<Command> {
        let id = |app: usize| AppId::parse(APPS[app]).expect("valid");
        let deployment = self.lab.deployment();
        Some(match op.clone() {
            Op::Put { app, instances, config, mode, force } => {
                self.lab.put_command(spec(app, instances, config), mode, force)
            }
            Op::Restart { app, force } => Command::RestartApp { app: id(app), deployment, force },
            Op::Delete { app, force } => Command::DeleteApp { app: id(app), deployment, force },
            Op::Kill { picks, scale, force } => {
                let tasks = picks.iter().map(|pick| self.pick(*pick).0).collect();
                Command::KillTasks { tasks, scale, deployment, force }
            }
            Op::ResetDelay { app } => Command::ResetDelay { app: id(app) },
            Op::Register { node, boot, mem_mib } => {
                let mut node = testing::node(node);
                node.boot_id = format!("boot-{boot}");
                node.resources = Resources { mem_mib, ..node.resources };
                Command::RegisterNode { node }
            }
            Op::Plan { age, seed } => {
                let view = &self.views[self.views.len().saturating_sub(age + 1)];
                let plan = schedule::plan(view, self.lab.now, &mut crate::ids::IdSource::new(seed));
                Command::ApplyPlan { based_on: view.index, actions: plan.actions }
            }
            Op::Nonsense { action, pick } => {
                let actions = vec![self.nonsense(action, pick, deployment)];
                Command::ApplyPlan { based_on: 0, actions }
            }
            Op::Report { picks, wrong_node } => self.report(&picks, wrong_node),
            Op::Wait { ms } => {
                self.lab.wait(ms);
                return None;
            }
            Op::Claim => testing::claim(),
            Op::Password { user } => Command::SetPassword {
                user: ["admin", "nobody"][user].to_owned(),
                password_hash: format!("$argon2id${}", self.lab.state.index),
            },
            Op::Token { name, delete: true, .. } => Command::DeleteToken { name: TOKENS[name].to_owned() },
            Op::Token { name, hash, expires_ms, .. } => Command::PutToken {
                token: Token {
                    name: TOKENS[name].to_owned(),
                    token_sha256: ["a", "b", "c", "no digit "][hash].repeat(64),
                    role: Role::Administrator,
                    created_at: Timestamp::default(),
                    expires_at: expires_ms.map(|ms| self.lab.now.plus_ms(ms)),
                },
            },
            Op::Sessions { fill } => {
                Command::RotateSessionKey { session_key: SessionKey(format!("{fill:02x}").repeat(32)) }
            }
            Op::Raise { level } => Command::RaiseFeatureLevel { level },
            Op::Found => testing::found(),
            Op::JoinToken { name, delete: true, .. } => {
                Command::DeleteJoinToken { name: TOKENS[name].to_owned() }
            }
            Op::JoinToken { name, uses, .. } => {
                let fill = ['a', 'b', 'c'][name];
                let expires_at = self.lab.now.plus_ms(10_000);
                Command::PutJoinToken { token: testing::join_token(TOKENS[name], fill, uses, expires_at) }
            }
            Op::Admit { node, token } => Command::AdmitNode {
                applicant: testing::applicant(node),
                secret_sha256: ["a", "b", "c"][token].repeat(64),
            },
            Op::Lost { node, lost } => Command::SetLost { node: NodeId(node), lost },
            Op::Fence { node } => {
                let member = self.lab.state.members.get(&NodeId(node));
                let lost_since = member.and_then(|member| member.lost_since).unwrap_or_default();
                Command::Fence { node: NodeId(node), lost_since }
            }
            Op::Renew { node } => Command::RenewKeys { nodes: vec![NodeId(node)] },
            Op::NewKey { node, fill, later, authority } => {
                let (fingerprint, since) = (format!("{fill:064x}"), self.lab.now.plus_ms(later));
                Command::RegisterKey { node: NodeId(node), fingerprint, since, authority }
            }
            Op::Replace { later } => {
                Command::ReplaceAuthority { next: testing::authority(&format!("certificate {later}")) }
            }
            Op::Trust { node, number } => Command::TrustAuthority { node: NodeId(node), number },
            Op::Remove { node } => Command::RemoveNode { node: NodeId(node) },
            Op::Change { node, availability, name } => {
                let attributes = [("rack".to_owned(), name.then(|| "r1".to_owned()))].into();
                let name = name.then(|| "rock".to_owned());
                let change = NodeChange { availability: Some(availability), name, attributes };
                Command::ChangeNode { node: NodeId(node), change }
            }
            Op::Move { picks, cancel } => {
                Command::MoveTasks { tasks: picks.iter().map(|pick| self.pick(*pick).0).collect(), cancel }
            }
            Op::Retry => return None,
        })
    }

    /// Actions that contradict the state in one way each.
    fn nonsense(&self, action: usize, pick: usize, deployment: DeploymentId) -> Action {
        use crate::task::KillReason::{Moved, Replaced, Requested, ScaledDown};
        let (task, node) = self.pick(pick);
        let (app, version) = self.lab.state.apps.iter().next().map_or_else(
            || (AppId::parse("/a").expect("valid"), Timestamp(1)),
            |(id, app)| (id.clone(), app.spec.version),
        );
        match action {
            0 => Action::Kill { task, reason: Requested },
            1 => Action::Kill { task, reason: if pick.is_multiple_of(2) { Replaced } else { Moved } },
            2 => Action::Kill { task, reason: ScaledDown },
            3 => Action::FinishDeployment { deployment },
            // A task that exists or existed, and a port outside of every range.
            4 => Action::Launch { app, version, task, node, ports: Vec::new() },
            _ => {
                let task = TaskId::new(&app, pick as u128, 9);
                Action::Launch { app, version, task, node, ports: vec![80, 80] }
            }
        }
    }

    fn report(&self, picks: &[(usize, u8)], wrong_node: bool) -> Command {
        let mut reporter = NodeId(1);
        let update = |&(pick, change): &(usize, u8)| {
            let (task, node) = self.pick(pick);
            reporter = if wrong_node { NodeId(node.0 % 3 + 1) } else { node };
            let change = match change % 11 {
                0 => TaskChange::Starting,
                1..4 => {
                    let own = std::net::IpAddr::from([172, 20, 0, change / 8]);
                    TaskChange::Running { addresses: vec![own; usize::from(change % 2)] }
                }
                4 => TaskChange::Killing,
                5 => TaskChange::Ended { exit: Exit::Code(i32::from(change / 64)) },
                6 => TaskChange::Ended { exit: Exit::Signal(9) },
                7 | 8 => TaskChange::Health { checks: vec![health(true, 0); usize::from(change / 64)] },
                9 => TaskChange::Health { checks: vec![health(false, u32::from(change / 64)); 2] },
                _ => TaskChange::Ended { exit: if change > 128 { Exit::Unknown } else { Exit::NeverRan } },
            };
            TaskUpdate { task, change, message: "seen".to_owned() }
        };
        let updates = picks.iter().map(update).collect();
        Command::Report { node: reporter, updates }
    }

    fn step(&mut self, op: &Op) {
        if matches!(op, Op::Retry) {
            self.retry();
            return;
        }
        let Some(command) = self.command(op) else { return };
        let mut envelope = self.lab.envelope(command);
        // Clocks of proposers differ by seconds, either way.
        let skew = self.lab.state.index * 7_919 % 4_000;
        envelope.at = Timestamp(envelope.at.0 + skew - 2_000);
        if !matches!(op, Op::Plan { .. } | Op::Nonsense { .. } | Op::Report { .. } | Op::Register { .. }) {
            envelope.request_id = Some(self.lab.request_id());
            envelope.actor = Actor::User { name: "admin".to_owned(), role: Role::Administrator };
        }
        self.apply_checked(envelope);
    }

    fn apply_checked(&mut self, envelope: Envelope) {
        let before = self.lab.state.clone();
        let result = self.lab.apply(envelope.clone());
        let after = &self.lab.state;
        after.invariants().unwrap_or_else(|broken| panic!("{broken}\nafter {:?}", envelope.command));
        assert!(after.now >= before.now, "time went back");
        if let Err(reject) = &result {
            assert_eq!(all_but_log(&before), all_but_log(after), "{reject} changed something");
        } else if let Command::ApplyPlan { actions, .. } = &envelope.command
            // Lost with their node: nobody decided on those.
            && !actions.iter().any(|action| matches!(action, Action::Expunge { .. } | Action::Inactivate { .. }))
        {
            check_counts(&before, after);
        }
        if envelope.request_id.is_some() {
            self.last_request = Some((envelope, result));
        }
        let state = self.lab.state.clone();
        self.zone = self.zone.next(&state, view(&state));
        for task in state.apps.values().flat_map(|app| app.tasks.values()) {
            if self.known.iter().all(|(known, _)| *known != task.id) {
                self.known.push((task.id.clone(), task.node));
            }
        }
        self.views.push(state);
        let surplus = self.views.len().saturating_sub(VIEWS_MAX);
        self.views.drain(..surplus);
    }

    fn retry(&mut self) {
        let Some((envelope, answer)) = self.last_request.clone() else { return };
        let before = self.lab.state.clone();
        assert_eq!(self.lab.apply(envelope), answer, "a retry was answered differently");
        assert_eq!(all_but_log(&before), all_but_log(&self.lab.state), "a retry was applied again");
        assert_eq!(before.requests, self.lab.state.requests);
    }
}

/// Leadership as it might go round.
fn view(state: &State) -> View {
    View { node: NodeId(1), leader: Some(NodeId(state.index / 16 % 3 + 1)) }
}

/// The state without what even a rejected command changes.
fn all_but_log(state: &State) -> State {
    State {
        index: 0,
        now: Timestamp::default(),
        requests: imbl::OrdMap::new(),
        request_order: imbl::Vector::new(),
        ..state.clone()
    }
}

/// No plan launches beyond what the upgrade strategy allows, or kills below it.
fn check_counts(before: &State, after: &State) {
    for (id, app) in &after.apps {
        let Some(old) = before.apps.get(id) else { continue };
        let launched = app.tasks.len() > old.tasks.len();
        let (spec, is_exclusive) = (&app.spec, after.is_exclusive(app));
        let over = u64::from(spec.instances) * spec.upgrade.maximum_over.0 / 1_000_000;
        let capacity = u64::from(spec.instances) + if is_exclusive { 0 } else { over.max(1) };
        let live = app.tasks.values().filter(|task| task.reach != Reach::Inactive).count() as u64;
        assert!(!launched || live <= capacity, "{id} exceeds {capacity}");
        let running = |app: &crate::state::App| {
            let counts = deploy::counts(app);
            u64::from(counts.old_running + counts.new_running)
        };
        let health = if is_exclusive { 0 } else { spec.upgrade.minimum_health.0 };
        let minimum = (u64::from(spec.instances) * health).div_ceil(1_000_000);
        let killed = running(app) < running(old);
        assert!(!killed || running(app) >= minimum.min(running(old)), "{id} falls below {minimum}");
    }
}

/// Three members that answer, if the cluster has members.
fn join_all(lab: &mut Lab) {
    if lab.state.authority.is_none() {
        return;
    }
    let token = testing::join_token("all", 'f', 9, lab.now.plus_ms(600_000));
    lab.must(Command::PutJoinToken { token: token.clone() });
    for id in 1..=3 {
        if lab.state.members.contains_key(&NodeId(id)) {
            continue;
        }
        let gone = lab.state.removed.values().any(|node| *node == NodeId(id));
        let applicant = testing::applicant(if gone { id + 10 } else { id });
        lab.must(Command::AdmitNode { applicant, secret_sha256: token.secret_sha256.clone() });
    }
    for node in lab.state.members.keys().copied().collect::<Vec<_>>() {
        lab.must(Command::SetLost { node, lost: false });
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The log as another server reads it.
fn over_the_wire(envelope: &Envelope) -> Envelope {
    let json = serde_json::to_vec(envelope).expect("serialises");
    serde_json::from_slice(&json).expect("comes back")
}

proptest! {
    #![proptest_config(config(384))]

    /// Invariants hold after each command, a rejected one changes nothing, and a replay of the log — from the
    /// beginning, or from a snapshot in the middle — leads to the same state. The zone that followed each step is the
    /// one made at the end.
    #[test]
    fn any_history_keeps_the_invariants_and_replays_equal(
        ops in prop::collection::vec(op(), 1..80),
        founded in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(founded);
        for op in &ops {
            world.step(op);
        }
        // The last commands may have been retries, which are not looked at one by one.
        world.zone = world.zone.next(&world.lab.state, view(&world.lab.state));
        let from_nothing = zone::records(&world.lab.state, view(&world.lab.state), Default::default());
        prop_assert_eq!(world.zone.names(), from_nothing.names());
        let hash = world.lab.state.hash();
        let cut = cut.index(world.lab.log.len());
        let mut state = State::default();
        for (at, envelope) in world.lab.log.iter().enumerate() {
            if at == cut {
                let restored = State::decode_snapshot(&state.encode_snapshot()).expect("own bytes");
                prop_assert_eq!(&restored, &state);
                state = restored;
            }
            let _ = state.apply(at as u64 + 1, &over_the_wire(envelope));
        }
        prop_assert_eq!(&state, &world.lab.state);
        prop_assert_eq!(state.hash(), hash);
    }

    /// Whatever happened before: once leader and nodes do their work undisturbed, every app has its instances.
    #[test]
    fn once_faults_stop_every_app_gets_its_instances(
        ops in prop::collection::vec(op(), 1..60),
        founded in any::<bool>(),
    ) {
        let mut world = World::new(founded);
        for op in &ops {
            world.step(op);
        }
        let mut lab = world.lab;
        join_all(&mut lab);
        // Room for everyone: full-size nodes, without a reboot, so that old tasks have to be replaced in an orderly way.
        for id in 1..=3 {
            let mut node = testing::node(id);
            if lab.state.authority.is_some() && !lab.state.members.contains_key(&node.id) {
                // It was removed, and its key is dead: another takes its place.
                node.id = NodeId(id + 10);
            }
            if let Some(old) = lab.state.nodes.get(&node.id) {
                node.boot_id = old.boot_id.clone();
            }
            lab.must(Command::RegisterNode { node });
        }
        lab.settle();
        prop_assert_eq!(lab.state.invariants(), Ok(()));
        for (id, app) in &lab.state.apps {
            prop_assert!(!app.deleted, "{} is deleted and stays", id);
            if id.as_str() == "/fixed" && !deploy::is_reached(app) {
                // Three nodes hold three of them, and an old one may be in the way of the new.
                prop_assert!(app.waiting.contains("host port 31240 is taken"), "{:?}", app.waiting);
            } else {
                prop_assert!(deploy::is_reached(app), "{} has {:?}", id, deploy::counts(app));
                prop_assert_eq!(&app.waiting, "");
            }
        }
        let open = lab.state.deployments.values().filter(|d| d.app.as_str() != "/fixed").count();
        prop_assert_eq!(open, 0, "deployments stay open: {:?}", lab.state.deployments);
    }
}
