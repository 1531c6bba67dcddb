//! What needs the disk of the tasks: begun once that is there, which on the appliance is after the console answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::Cluster;
use console::Preparing;
use model::lease::Lease;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::init_link::{InitLink, World};
use super::lease;
use super::machine::Machine;
use super::shelf::Shelf;
use super::{Args, health, node_loop, register, scheduled, sweep};
use crate::images::{Images, Reach};
use crate::init::board::DATA;
use crate::network::Network;
use crate::proxy;

/// What the loops are made of.
pub struct Work {
    pub cluster: Cluster,
    pub init: InitLink,
    pub machine: Arc<Machine>,
    pub network: Network,
    pub balancer: proxy::Handle,
    pub preparing: watch::Sender<Arc<Preparing>>,
}

/// Registers this node and makes it do its work. An error ends the agent: without its images it could start nothing.
pub async fn begin(
    work: Work,
    args: &Args,
    loops: &TaskTracker,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Work { cluster, init, machine, network, balancer, preparing } = work;
    // Its sender lives as long as the agent.
    let _ = init.world().wait_for(has_data).await;
    let reach = Reach::new(&args.registry_mirrors, args.paths.host_status());
    let shelf = Shelf { folder: args.paths.data.join("backups"), reach: reach.clone() };
    let images = Images::open(&args.paths.images(), reach, cluster.clone(), preparing)
        .context("the folder of images")?;
    loops.spawn(register::run(cluster.clone(), init.clone(), machine.clone(), shutdown.clone()));
    let (lease, holds) = watch::channel(Lease::default());
    let parts = node_loop::Parts {
        cluster: cluster.clone(),
        init: init.clone(),
        node: machine.node,
        paths: args.paths.clone(),
        network,
        images: images.clone(),
        serving: balancer.serving(),
        lease: holds,
    };
    let holder = lease::Holder { cluster: cluster.clone(), init: init.clone(), node: machine.node, lease };
    loops.spawn(holder.run(shutdown.clone()));
    loops.spawn(health::run(parts.clone(), shutdown.clone()));
    loops.spawn(node_loop::run(parts, shutdown.clone()));
    loops.spawn(scheduled::run(cluster.clone(), shelf, shutdown.clone()));
    let keep_images = Duration::from_secs(args.images_keep);
    let paths = args.paths.clone();
    loops.spawn(sweep::run(cluster, init, images, keep_images, paths, shutdown.clone()));
    Ok(())
}

/// Init says of all its phases; where it has none for the disk, that was there before.
fn has_data(world: &World) -> bool {
    let is_there = |phase: &console::BootPhase| phase.name != DATA || phase.end_ms.is_some();
    world.connected && world.phases.iter().all(is_there)
}
