//! What goes wrong, when and for how long, as chance has it.

use std::sync::Arc;
use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Runtime};
use model::{Command, testing};

use crate::host::{FLUSH_MS, Frozen, Host};
use crate::program::{self, Program};
use crate::world::World;

/// Until `safety` is over, something goes wrong every few seconds, whatever else does already.
pub async fn rage(world: &World, safety: Duration) {
    let end = world.now() + u64::try_from(safety.as_millis()).unwrap_or(u64::MAX);
    while world.now() < end && !world.is_over() {
        let pause = world.draw(100..6_000);
        Runtime::sleep(Duration::from_millis(pause)).await;
        Runtime::spawn(one(world.clone()));
    }
}

async fn one(world: World) {
    world.count(|counts| counts.faults += 1);
    let host = world.any_host();
    let short = world.draw(50..3_000);
    let long = world.draw(500..35_000);
    match world.draw(0..100) {
        0..15 => restart(&world, &host, short).await,
        15..25 => power_cut(&world, &host, long).await,
        25..35 => freeze(&world, &host, Frozen::Machine, long).await,
        35..45 => freeze(&world, &host, Frozen::Program, long).await,
        45..55 => cut(&world, &host, &world.any_host(), world.happens(50), long).await,
        55..70 => isolate(&world, &host, world.draw(0..3), long).await,
        70..80 => slow_network(&world, long).await,
        80..90 => slow_disk(&world, &host, long).await,
        90..94 => jump(&world, &host),
        94..96 => replace(&world, &host).await,
        _ => {
            let all: Vec<Arc<Host>> = world.hosts().map(Arc::clone).collect();
            world.say("*", "all lose their power");
            for host in all {
                let (world, off_ms) = (world.clone(), world.draw(50..4_000));
                Runtime::spawn(async move { power_cut(&world, &host, off_ms).await });
            }
        }
    }
}

async fn restart(world: &World, host: &Arc<Host>, off_ms: u64) {
    program::crash(world, host).await;
    Runtime::sleep(Duration::from_millis(off_ms)).await;
    come_back(world, host).await;
}

async fn power_cut(world: &World, host: &Arc<Host>, off_ms: u64) {
    host.lose_power();
    program::crash(world, host).await;
    world.say(host.node, format!("has no power for {off_ms} ms"));
    Runtime::sleep(Duration::from_millis(off_ms)).await;
    come_back(world, host).await;
}

/// Unless another fault's end has brought it back already.
async fn come_back(world: &World, host: &Arc<Host>) {
    if host.claim_start() {
        program::start(world, host, false).await;
    }
}

/// The machine is gone for ever. A person removes it and lets another one in, as soon as the cluster has it so.
async fn replace(world: &World, host: &Arc<Host>) {
    // A second one for ever before another votes in the place of the first would be a majority.
    if !all_votes_are_there(world) {
        return;
    }
    let Some(next) = world.next_spare() else { return };
    world.say(host.node, format!("is gone for ever, node {} is to take its place", next.node));
    host.depart();
    host.lose_power();
    program::crash(world, host).await;
    until_done(world, |_| Command::RemoveNode { node: host.node }).await;
    world.count(|counts| counts.removed += 1);
    let secret = world.draw(0..u64::MAX);
    let secret_sha256 = format!("{secret:064x}");
    until_done(world, |program| {
        let now = program.host.cluster_time(world, program.state().now);
        let token = testing::join_token(&next.node.to_string(), '0', 1, now.plus_ms(3_600_000));
        Command::PutJoinToken {
            token: model::membership::JoinToken { secret_sha256: secret_sha256.clone(), ..token },
        }
    })
    .await;
    let applicant = testing::applicant(next.node.0);
    let admit = Command::AdmitNode { applicant, secret_sha256: secret_sha256.clone() };
    until_done(world, |_| admit.clone()).await;
    if next.claim_start() {
        program::start(world, &next, false).await;
    }
}

/// As the leader's log has it; false without one.
fn all_votes_are_there(world: &World) -> bool {
    let programs = world.hosts().filter_map(|host| Program::of(world, host));
    let Some(leader) = programs.into_iter().find(Program::leads) else { return false };
    let voters: Vec<_> = leader.voters();
    let is_there = |node| world.host(node).is_some_and(|host| host.is_there());
    voters.len() == world.first_hosts().count() && voters.into_iter().all(is_there)
}

/// Said again and again, through any host, until it is so.
async fn until_done(world: &World, command: impl Fn(&Program) -> Command) {
    while !world.is_over() {
        if let Some(program) = Program::of(world, &world.any_host()) {
            let answer = program.propose(command(&program), None).await;
            // One whose answer was lost is refused when it is said again.
            let is_so = |reject: &model::command::Reject| {
                matches!(reject, model::command::Reject::NodeUnknown { .. })
                    || reject.to_string().contains("another join token")
            };
            match answer.map(|applied| applied.result) {
                Ok(Ok(_)) => return,
                Ok(Err(reject)) if is_so(&reject) => return,
                _ => {}
            }
        }
        Runtime::sleep(Duration::from_millis(500)).await;
    }
}

async fn freeze(world: &World, host: &Host, what: Frozen, ms: u64) {
    world.say(host.node, format!("{what:?} stands still for {ms} ms"));
    host.freeze(what, world);
    Runtime::sleep(Duration::from_millis(ms)).await;
    host.freeze(Frozen::Nothing, world);
}

async fn cut(world: &World, one: &Host, other: &Host, both: bool, ms: u64) {
    world.say(one.node, format!("is not heard by {} for {ms} ms, nor hears it: {both}", other.node));
    let network = world.network();
    network.cut(one.node, other.node);
    if both {
        network.cut(other.node, one.node);
    }
    Runtime::sleep(Duration::from_millis(ms)).await;
    network.heal(one.node, other.node);
    network.heal(other.node, one.node);
}

/// 0: hears nobody; 1: is heard by nobody; 2: both.
async fn isolate(world: &World, host: &Host, way: u64, ms: u64) {
    world.say(host.node, format!("is cut off for {ms} ms, way {way}"));
    let others = || world.hosts().map(|other| other.node).filter(|node| *node != host.node);
    for other in others() {
        if way != 1 {
            world.network().cut(other, host.node);
        }
        if way != 0 {
            world.network().cut(host.node, other);
        }
    }
    Runtime::sleep(Duration::from_millis(ms)).await;
    for other in others() {
        world.network().heal(other, host.node);
        world.network().heal(host.node, other);
    }
}

async fn slow_network(world: &World, ms: u64) {
    let slowest = world.draw(5..400);
    world.say("*", format!("messages take up to {slowest} ms for {ms} ms"));
    world.network().set_slowest_ms(slowest);
    Runtime::sleep(Duration::from_millis(ms)).await;
    world.network().set_slowest_ms(0);
}

async fn slow_disk(world: &World, host: &Host, ms: u64) {
    let flush = world.draw(5..600);
    world.say(host.node, format!("flushes take {flush} ms for {ms} ms"));
    host.disk.set_flush_ms(flush);
    Runtime::sleep(Duration::from_millis(ms)).await;
    host.disk.set_flush_ms(FLUSH_MS);
}

fn jump(world: &World, host: &Host) {
    let offset = world.draw(0..48 * 3_600_000);
    world.say(host.node, format!("its wall clock jumps to +{offset} ms"));
    host.set_wall_offset(offset);
}

/// Everything works again, and the operator lets all nodes take tasks.
pub async fn heal(world: &World) {
    // What was about to begin has begun then.
    Runtime::sleep(Duration::from_millis(1)).await;
    world.say("*", "nothing is wrong any more");
    world.network().heal_all();
    for host in world.hosts() {
        host.disk.set_flush_ms(FLUSH_MS);
        host.freeze(Frozen::Nothing, world);
        come_back(world, host).await;
    }
}
