//! What must never happen, and what must become true once nothing is wrong any more.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Runtime};
use model::command::Action;
use model::task::{Reach, TaskState};
use model::{AppId, State};

use crate::clients::{self, Clients, ROLLING};
use crate::program::Program;
use crate::world::{World, lock};

/// A host that was frozen whole kills what is overdue within this time of its going on.
const THAW_MS: u64 = 2_000;
/// Between two looks at one host's state.
const LOOK: Duration = Duration::from_millis(20);

/// Of an exclusive app no more instances run than it wants, among hosts whose clocks run.
pub fn one_owner(world: &World, app: &AppId) {
    let owners: Vec<String> = world
        .hosts()
        .filter(|host| host.clock_runs(world, THAW_MS))
        .flat_map(|host| {
            let alive = lock(&host.containers).alive(app);
            alive.into_iter().map(|task| format!("{task} on node {}", host.node))
        })
        .collect();
    let wanted = if app.as_str() == "/x2" { 2 } else { 1 };
    if owners.len() > wanted {
        world.violated(&format!("{app} is exclusive and has {} owners: {}", owners.len(), owners.join(", ")));
    }
}

/// No plan lets `/rolling` have more than its upgrade strategy allows, of those that the leader counts as alive.
pub fn of_plan(world: &World, state: &State, actions: &[Action]) {
    let is_rolling = |app: &AppId| app.as_str() == "/rolling";
    let launches =
        actions.iter().filter(|a| matches!(a, Action::Launch { app, .. } if is_rolling(app))).count();
    let Some(app) = state.apps.values().find(|app| is_rolling(&app.spec.id)) else { return };
    let alive = app.tasks.values().filter(|task| task.reach != Reach::Inactive).count();
    let capacity = ROLLING as usize + ROLLING as usize / 4;
    if launches > 0 && alive + launches > capacity {
        world.violated(&format!(
            "{alive} of /rolling are alive and {launches} are launched: {capacity} may be"
        ));
    }
}

/// Looks at each state of one host: it keeps the invariants, and is the one that every other host had at its index.
pub async fn look_at(program: Program) {
    let mut seen = 0;
    while program.lives() {
        let state = program.state();
        if state.index != seen {
            seen = state.index;
            if let Err(broken) = state.invariants() {
                program.world.violated(&format!("node {}: {broken}", program.host.node));
            }
            program.world.agree(program.host.node, state.index, state.hash());
        }
        Runtime::sleep(LOOK).await;
    }
}

/// Returns once all is as it is wanted.
pub async fn until_well(world: &World, clients: &Clients) {
    clients::let_all_take_tasks(world).await;
    while is_well(world, clients).is_err() && !world.is_over() {
        Runtime::sleep(Duration::from_millis(250)).await;
    }
}

/// Why not.
pub fn is_well(world: &World, clients: &Clients) -> Result<(), String> {
    let programs: Vec<Program> = world.hosts().filter_map(|host| Program::of(world, host)).collect();
    let leaders: Vec<&Program> = programs.iter().filter(|program| program.leads()).collect();
    let [leader] = leaders[..] else { return Err(format!("{} lead", leaders.len())) };
    let state = leader.state();
    for program in &programs {
        let (index, node) = (program.state().index, program.host.node);
        check(index == state.index, || format!("node {node} is at {index}, its leader at {}", state.index))?;
    }
    for (node, member) in &state.members {
        check(member.lost_since.is_none(), || format!("node {node} is lost"))?;
    }
    let mut wanted: BTreeMap<_, _> = BTreeMap::new();
    for app in state.apps.values() {
        let (id, live) = (&app.spec.id, app.tasks.len());
        check(live == app.spec.instances as usize, || {
            format!("{id} has {live} of {}; {}", app.spec.instances, app.waiting)
        })?;
        for task in app.tasks.values() {
            check(task.state == TaskState::Running && task.is_wanted(), || {
                format!("{} is {task:?}", task.id)
            })?;
            wanted.insert(task.id.clone(), task.node);
        }
    }
    check(state.deployments.is_empty(), || format!("{} deployments go on", state.deployments.len()))?;
    let running: BTreeMap<_, _> = world
        .hosts()
        .flat_map(|host| lock(&host.containers).running().into_iter().map(|task| (task, host.node)))
        .collect();
    check(running == wanted, || format!("{running:?} run, {wanted:?} are wanted"))?;
    clients.missing(&state)
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
