//! Lines between the hosts: slow, reordering and repeating as they like, and cut one way or both.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::simulated::{AsyncRuntime, Runtime};
use cluster::{Lane, Target, Wire, WireError};
use model::NodeId;

use crate::host::{Frozen, Host};
use crate::world::{World, lock};

/// How long somebody waits for what got lost on the way.
const LOST: Duration = Duration::from_secs(5);
/// How long a host takes to find out that another is not there.
const NOT_THERE: Duration = Duration::from_millis(30);
const REPEATED_PERCENT: u64 = 2;

#[derive(Default)]
pub struct Network(Mutex<Faults>);

#[derive(Default)]
struct Faults {
    /// From, to.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// The slowest of all messages, in milliseconds; 0: 2.
    slowest_ms: u64,
}

impl Network {
    pub fn cut(&self, from: NodeId, to: NodeId) {
        lock(&self.0).cut.insert((from, to));
    }

    pub fn heal(&self, from: NodeId, to: NodeId) {
        lock(&self.0).cut.remove(&(from, to));
    }

    pub fn set_slowest_ms(&self, ms: u64) {
        lock(&self.0).slowest_ms = ms;
    }

    pub fn heal_all(&self) {
        *lock(&self.0) = Faults::default();
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        lock(&self.0).cut.contains(&(from, to))
    }

    fn slowest_ms(&self) -> u64 {
        lock(&self.0).slowest_ms.max(2)
    }
}

/// The way of one message: `Err` if it does not arrive. A frozen host sends and takes nothing until it goes on.
async fn travel(world: &World, from: &Host, to: NodeId) -> Result<(), WireError> {
    from.rest(0, Frozen::Program).await;
    let ms = world.draw(0..world.network().slowest_ms());
    Runtime::sleep(Duration::from_millis(ms)).await;
    if world.network().is_cut(from.node, to) {
        Runtime::sleep(LOST).await;
        return Err(WireError::Broken("no answer".to_owned()));
    }
    if let Some(to) = world.host(to) {
        to.rest(0, Frozen::Program).await;
    }
    Ok(())
}

/// Asks the program of another host: `act` there, with both ways. What it began there goes on without who asked.
pub async fn ask<T, F>(
    world: &World,
    from: &Arc<Host>,
    to: NodeId,
    act: impl FnOnce(cluster::simulated::Server) -> F,
) -> Result<T, WireError>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    travel(world, from, to).await?;
    let there = world.host(to).and_then(|host| Some((host, host.server()?)));
    let Some((host, (server, life))) = there else {
        Runtime::sleep(NOT_THERE).await;
        return Err(WireError::Unreachable("nobody listens".to_owned()));
    };
    let answer = Runtime::spawn(act(server)).await;
    let broken = || WireError::Broken("it went away".to_owned());
    if !host.lives(life) {
        return Err(broken());
    }
    travel(world, host, from.node).await?;
    answer.map_err(|_| broken())
}

/// What consensus on one host speaks through.
pub struct Line {
    pub world: World,
    pub from: Arc<Host>,
}

#[async_trait]
impl Wire for Line {
    async fn ask(&self, to: &Target, _lane: Lane, question: Bytes) -> Result<Bytes, WireError> {
        if self.world.happens(REPEATED_PERCENT) {
            let (world, from, to, again) = (self.world.clone(), self.from.clone(), to.node, question.clone());
            Runtime::spawn(async move {
                Runtime::sleep(Duration::from_millis(world.draw(0..500))).await;
                let node = from.node;
                // What it answers to the second is lost.
                let _ =
                    ask(&world, &from, to, |server| async move { server.answer(node, &again).await }).await;
            });
        }
        let node = self.from.node;
        ask(&self.world, &self.from, to.node, |server| async move { server.answer(node, &question).await })
            .await
    }
}
