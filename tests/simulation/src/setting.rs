//! The cluster before anything goes wrong: the first host claims it, the others are let in, all register.

use std::time::Duration;

use cluster::simulated::{AsyncRuntime, Runtime};
use model::command::FEATURE_LEVEL;
use model::{Command, State, testing};

use crate::program::{self, Program};
use crate::world::World;
use crate::{containers, host::Host};

const PATIENCE: Duration = Duration::from_secs(60);

pub async fn up(world: &World) -> Result<(), String> {
    let first = world.hosts().next().ok_or("there is no host")?.clone();
    for host in world.hosts() {
        Runtime::spawn(containers::init(world.clone(), host.clone()));
        Runtime::spawn(program::supervise(world.clone(), host.clone()));
    }
    program::start(world, &first, true).await;
    let program = Program::of(world, &first).ok_or("the first host does not start")?;
    must(&program, testing::claim()).await?;
    until(|| sees(world, &first, |state| state.nodes.contains_key(&first.node))).await?;
    must(&program, Command::RaiseFeatureLevel { level: FEATURE_LEVEL }).await?;
    must(&program, testing::found()).await?;
    let expires_at = first.cluster_time(world, program.state().now).plus_ms(3_600_000);
    let token = testing::join_token("t", 'a', 9, expires_at);
    must(&program, Command::PutJoinToken { token: token.clone() }).await?;
    for host in world.first_hosts().skip(1) {
        let applicant = testing::applicant(host.node.0);
        let secret_sha256 = token.secret_sha256.clone();
        must(&program, Command::AdmitNode { applicant, secret_sha256 }).await?;
        program::start(world, host, false).await;
    }
    let all = world.first_hosts().count();
    let is_up = |state: &State| {
        let answer = state.members.values().all(|member| member.lost_since.is_none());
        state.nodes.len() == all && state.members.len() == all && answer
    };
    until(|| world.first_hosts().all(|host| sees(world, host, is_up))).await?;
    world.say("*", format!("{all} hosts are up"));
    Ok(())
}

async fn until(is_so: impl Fn() -> bool + Send + Sync) -> Result<(), String> {
    let wait = async {
        while !is_so() {
            Runtime::sleep(Duration::from_millis(100)).await;
        }
    };
    Runtime::timeout(PATIENCE, wait).await.map_err(|_| "the cluster does not come up".to_owned())
}

fn sees(world: &World, host: &std::sync::Arc<Host>, what: impl Fn(&State) -> bool) -> bool {
    Program::of(world, host).is_some_and(|program| what(&program.state()))
}

async fn must(program: &Program, command: Command) -> Result<(), String> {
    let applied = program.propose(command, None).await.map_err(|error| error.to_string())?;
    applied.result.map(drop).map_err(|reject| reject.to_string())
}
