//! A whole cluster in one thread, from one number: the real consensus, `model` and its decisions, on nodes, disks,
//! clocks and a network that are simulated and go wrong.
//!
//! A run has two phases. *Safety*: nodes crash, freeze and lose power, links are cut one way or both, are slow, reorder
//! and repeat, disks are slow, clocks jump and go at different rates, while clients write and read and exclusive tasks
//! run; what must never happen is looked for all the time ([`checks`]). Then *healing*: all faults end, and all has to
//! become as it is wanted within a bounded time. The same seed gives the same run, word for word.
//!
//! Real here: openraft under `openraft-rt-sim`, our machine, messages and settings, `State::apply`, the leader's plan,
//! what it concludes of silence, who votes, leases, and what a node does of what is wanted. Simulated: the log's file
//! (which has tests of its own), the wire's bytes, init's deadlines and containers, and the loops around the decisions.

mod checks;
mod clients;
mod containers;
mod faults;
mod host;
mod network;
mod program;
mod setting;
mod world;

use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Runtime};

pub use world::Bug;
use world::World;

/// Simulated time in which all has to be as wanted once nothing is wrong any more.
const HEALING: Duration = Duration::from_secs(180);

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub seed: u64,
    /// A bug that is switched on, for the simulation to find.
    pub bug: Option<Bug>,
    /// Simulated seconds of the safety phase.
    pub seconds: u64,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// What must not have happened, or did not heal.
    pub violation: Option<String>,
    /// The run as a film: one line for each thing that happened, with its simulated time and node.
    pub film: Vec<String>,
    pub counts: Counts,
}

/// How much happened, so that a run in which nothing did is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub faults: u64,
    pub acknowledged: u64,
    pub reads: u64,
    pub leaders: u64,
    /// Starts of exclusive tasks.
    pub exclusive: u64,
    /// Exclusive tasks that ended because their lease was over.
    pub fenced: u64,
    /// Machines that were gone for ever and removed.
    pub removed: u64,
}

/// One run.
pub fn run(options: &Options) -> Report {
    Runtime::with_seed(options.seed).block_on(async {
        let world = World::new(options);
        if let Err(violation) = play(world.clone(), Duration::from_secs(options.seconds)).await {
            world.violated(&violation);
        }
        world.report()
    })
}

async fn play(world: World, safety: Duration) -> Result<(), String> {
    setting::up(&world).await?;
    let clients = clients::start(&world);
    faults::rage(&world, safety).await;
    faults::heal(&world).await;
    clients.stop();
    match Runtime::timeout(HEALING, checks::until_well(&world, &clients)).await {
        Ok(()) => Ok(()),
        Err(_) => {
            Err(format!("does not heal: {}", checks::is_well(&world, &clients).err().unwrap_or_default()))
        }
    }
}
