//! Who writes and reads through all hosts, and what was promised to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Runtime};
use model::app::{AppSpec, Millionths, UpgradeStrategy};
use model::command::PutMode;
use model::ids::{IdSource, RequestId};
use model::membership::{Availability, NodeChange};
use model::{AppId, Command, DeploymentId, State, testing};

use crate::program::Program;
use crate::world::{World, lock};

const NUMBER: &str = "NUMBER";
/// Written by one client each, so that the numbers of one app grow.
const APPS: [(&str, Kind); 5] = [
    ("/w1", Kind::Scaled),
    ("/w2", Kind::Scaled),
    ("/rolling", Kind::Rolling),
    ("/x1", Kind::Exclusive(1)),
    ("/x2", Kind::Exclusive(2)),
];
/// `/rolling` has this many, and may have one more while it is replaced.
pub const ROLLING: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scaled,
    Rolling,
    Exclusive(u32),
}

/// What was acknowledged: by app, the last number.
#[derive(Clone, Default)]
pub struct Clients {
    promised: Arc<std::sync::Mutex<BTreeMap<AppId, u64>>>,
    stopped: Arc<AtomicBool>,
}

pub fn start(world: &World) -> Clients {
    let clients = Clients::default();
    for (app, kind) in APPS {
        Runtime::spawn(write(world.clone(), clients.clone(), app, kind));
    }
    for _ in 0..2 {
        Runtime::spawn(read(world.clone(), clients.clone()));
    }
    Runtime::spawn(operate(world.clone(), clients.clone()));
    clients
}

impl Clients {
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn go_on(&self, world: &World) -> bool {
        !self.stopped.load(Ordering::Relaxed) && !world.is_over()
    }

    fn promised(&self) -> BTreeMap<AppId, u64> {
        lock(&self.promised).clone()
    }

    /// What of the promised is not in `state`.
    pub fn missing(&self, state: &State) -> Result<(), String> {
        is_in(&self.promised(), state)
    }
}

fn is_in(promised: &BTreeMap<AppId, u64>, state: &State) -> Result<(), String> {
    for (app, promised) in promised {
        let found = number(state, app);
        if found < *promised {
            return Err(format!("{app} has number {found}, {promised} was acknowledged"));
        }
    }
    Ok(())
}

fn number(state: &State, app: &AppId) -> u64 {
    let text = state.app(app).and_then(|app| app.spec.env.get(NUMBER));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn spec(world: &World, app: &str, kind: Kind, number: u64) -> AppSpec {
    let spec = testing::spec(app);
    let mut labels = BTreeMap::new();
    let mut upgrade = spec.upgrade;
    let instances = match kind {
        Kind::Scaled => u32::try_from(world.draw(0..4)).unwrap_or(0),
        Kind::Rolling => {
            upgrade =
                UpgradeStrategy { minimum_health: Millionths(500_000), maximum_over: Millionths(250_000) };
            ROLLING
        }
        Kind::Exclusive(instances) => {
            labels.insert("MESETA_EXCLUSIVE".to_owned(), "true".to_owned());
            instances
        }
    };
    let env = [(NUMBER.to_owned(), number.to_string())].into();
    AppSpec { instances, labels, upgrade, env, ..spec }
}

async fn write(world: World, clients: Clients, app: &'static str, kind: Kind) {
    let id = AppId::parse(app).expect("an app id");
    let mut ids = IdSource::new(world.draw(0..u64::MAX));
    let mut number = 0;
    while clients.go_on(&world) {
        number += 1;
        let (request, deployment) = (RequestId(ids.draw_u128()), DeploymentId(ids.draw_u128()));
        let spec = Box::new(spec(&world, app, kind, number));
        let command = Command::PutApp { app: spec, mode: PutMode::Upsert, deployment, force: true };
        if let Some(program) = Program::of(&world, &world.any_host())
            && let Ok(applied) = program.propose(command, Some(request)).await
            && applied.result.is_ok()
        {
            world.say(program.host.node, format!("{app} {number} is acknowledged at {}", applied.index));
            world.count(|counts| counts.acknowledged += 1);
            lock(&clients.promised).insert(id.clone(), number);
        }
        let rest = world.draw(200..8_000);
        Runtime::sleep(Duration::from_millis(rest)).await;
    }
}

/// A fresh read has all that was acknowledged before it began.
async fn read(world: World, clients: Clients) {
    while clients.go_on(&world) {
        let promised = clients.promised();
        if let Some(program) = Program::of(&world, &world.any_host())
            && let Ok(state) = program.read().await
        {
            world.count(|counts| counts.reads += 1);
            if let Err(missing) = is_in(&promised, &state) {
                world.violated(&format!("a read through node {}: {missing}", program.host.node));
            }
        }
        let rest = world.draw(50..500);
        Runtime::sleep(Duration::from_millis(rest)).await;
    }
}

/// Drains nodes, lets them take tasks again, moves tasks; at the end all nodes take tasks.
async fn operate(world: World, clients: Clients) {
    while clients.go_on(&world) {
        let rest = world.draw(500..10_000);
        Runtime::sleep(Duration::from_millis(rest)).await;
        let Some(program) = Program::of(&world, &world.any_host()) else { continue };
        let state = program.state();
        let tasks: Vec<_> = state.task_apps.keys().cloned().collect();
        let command = match world.draw(0..4) {
            0 if !tasks.is_empty() => {
                let nth = usize::try_from(world.draw(0..tasks.len() as u64)).unwrap_or(0);
                Command::MoveTasks { tasks: vec![tasks[nth].clone()], cancel: world.happens(20) }
            }
            1 => available(&world, Availability::Draining),
            _ => available(&world, Availability::Active),
        };
        // Refused or not: what matters is what becomes of it.
        let _ = program.propose(command, None).await;
    }
}

fn available(world: &World, availability: Availability) -> Command {
    let change = NodeChange { availability: Some(availability), ..NodeChange::default() };
    Command::ChangeNode { node: world.any_host().node, change }
}

/// What the operator does when nothing is wrong any more.
pub async fn let_all_take_tasks(world: &World) {
    for host in world.hosts() {
        let change = NodeChange { availability: Some(Availability::Active), ..NodeChange::default() };
        while let Some(program) = Program::of(world, host).filter(Program::lives) {
            let command = Command::ChangeNode { node: host.node, change: change.clone() };
            if program.propose(command, None).await.is_ok() {
                break;
            }
        }
    }
}
