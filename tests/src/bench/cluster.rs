//! Rows 5 to 8: three nodes in network namespaces, one of which is lost. Each clock starts before the signal is sent;
//! it stops at the answer to a write, or when the successor of a task calls this process.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;

use super::bell::{Bell, millis};
use super::{Row, Settings};
use crate::lab::{Lab, THIS_MACHINE, signal};

const NODES: usize = 3;
const LEADER_KILLS: usize = 100;
const HAND_OVERS: usize = 30;
const NODE_KILLS: usize = 30;
/// How long writes go on after a hand-over has begun.
const WATCHED: Duration = Duration::from_secs(2);

/// One write through node `n`, as any client makes it.
fn write(lab: &Lab, n: usize, number: usize) -> anyhow::Result<u16> {
    let body = format!(r#"{{"cmd":"true","instances":0,"env":{{"N":"{number}"}}}}"#);
    Ok(lab.node(n).put("/v2/apps/written?force=true", body)?.status)
}

/// Waits until each node takes a write and sees it, whatever was done to it before: who was killed a moment ago still
/// counts as up for the others, and may wait for its next start.
fn all_serve(lab: &Lab) {
    for n in 1..=NODES {
        lab.until("every node serves", || match write(lab, n, 0) {
            Ok(status) if status < 300 => Ok(()),
            Ok(status) => Err(format!("node {n} answers {status}")),
            Err(error) => Err(format!("node {n}: {error:#}")),
        });
    }
}

pub fn leader_kill(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let lab = Lab::up_for_release(NODES);
    let mut samples = Vec::new();
    for number in 0..LEADER_KILLS {
        all_serve(&lab);
        let leader = lab.leader();
        let asked = leader % NODES + 1;
        let agent = lab.agent(leader);
        let killed = Instant::now();
        signal(&[agent], Signal::SIGKILL);
        while write(&lab, asked, number)? >= 300 {}
        samples.push(millis(killed.elapsed()));
    }
    Ok(vec![Row {
        target: 5,
        what: "leader SIGKILL → next write accepted".into(),
        unit: "ms",
        must: Some(1_500.0),
        aim: Some(750.0),
        samples,
        note:
            "agent of the leading node killed → 2xx to a PUT through another node; 3 nodes, logs on one disk"
                .into(),
    }])
}

pub fn hand_over(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let lab = Lab::up_for_release(NODES);
    let (mut samples, mut failed) = (Vec::new(), 0);
    for round in 0..HAND_OVERS {
        all_serve(&lab);
        let leader = lab.leader();
        let asked = leader % NODES + 1;
        let agent = lab.agent(leader);
        let began = Instant::now();
        signal(&[agent], Signal::SIGTERM);
        let mut longest = Duration::ZERO;
        while began.elapsed() < WATCHED {
            let sent = Instant::now();
            failed += usize::from(write(&lab, asked, round)? >= 300);
            longest = longest.max(sent.elapsed());
        }
        samples.push(millis(longest));
    }
    Ok(vec![Row {
        target: 6,
        what: "planned hand-over: the longest write".into(),
        unit: "ms",
        must: Some(200.0),
        aim: Some(50.0),
        samples,
        note: format!(
            "agent of the leading node ends in good order; {failed} writes failed; 3 nodes, logs on one disk"
        ),
    }])
}

pub fn node_kill(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let lab = Lab::up_for_release(NODES);
    let bell = Bell::at(THIS_MACHINE.into())?;
    let app = serde_json::json!({
        "id": "bells", "cmd": bell.command(), "cpus": 0.01, "mem": 16, "instances": 3,
    });
    ensure!(lab.node(1).post("/v2/apps", app.to_string())?.status == 201);
    bell.wait(3)?;
    let mut spread = 0;
    let plain = lose_nodes(&lab, &bell, &mut spread, |leader| leader % NODES + 1)?;
    let leading = lose_nodes(&lab, &bell, &mut spread, |leader| leader)?;
    let row = |target, what: &str, must, aim, samples| {
        Row {
        target,
        what: what.into(),
        unit: "ms",
        must: Some(must),
        aim: Some(aim),
        samples,
        note: "SIGKILL to all processes of the node and of its tasks → the last of its tasks calls from another node; \
               root file system at hand; 3 nodes"
            .into(),
    }
    };
    Ok(vec![
        row(7, "node lost → its tasks run elsewhere", 8_000.0, 3_000.0, plain),
        row(8, "the same, and it led", 10_000.0, 4_000.0, leading),
    ])
}

/// A node that is lost again and again is given no tasks until a person says so.
fn lift_quarantine(lab: &Lab, asked: usize, host: &str) -> anyhow::Result<()> {
    let nodes = lab.json(asked, "/meseta/v1/nodes");
    let is_it = |node: &&serde_json::Value| node["addresses"][0] == host;
    let node =
        nodes["nodes"].as_array().and_then(|nodes| nodes.iter().find(is_it)).context("no such node")?;
    let path = format!("/meseta/v1/nodes/{}", node["id"].as_str().context("no id")?);
    let answer = lab.node(asked).send("PATCH", &path, &[], Some(br#"{"availability":"active"}"#))?;
    ensure!(answer.status == 200, "{answer}");
    Ok(())
}

/// Milliseconds each time until as many tasks have called as the node had. `spread` counts how often they were spread
/// over the nodes anew.
fn lose_nodes(
    lab: &Lab,
    bell: &Bell,
    spread: &mut u32,
    chosen: fn(usize) -> usize,
) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::new();
    while samples.len() < NODE_KILLS {
        all_serve(lab);
        let leader = lab.leader();
        let lost = chosen(leader);
        let asked = lost % NODES + 1;
        lab.all_up(asked, NODES);
        lab.until("all ring", || lab.runs(asked, "bells", 3));
        let host = format!("10.77.0.{lost}");
        let here = lab.hosts(asked, "bells").iter().filter(|other| **other == host).count();
        if here == 0 {
            // Nothing moves back by itself: a new version spreads them again.
            *spread += 1;
            let body = format!(r#"{{"env":{{"ROUND":"{spread}"}}}}"#);
            ensure!(lab.node(asked).put("/v2/apps/bells?force=true", body)?.status < 300);
            bell.wait(3)?;
            lab.until("the new ones ring alone", || match lab.hosts(asked, "bells").len() {
                3 => Ok(()),
                other => Err(format!("{other} tasks")),
            });
            continue;
        }
        let processes = lab.processes(lost);
        let killed = Instant::now();
        signal(&processes, Signal::SIGKILL);
        samples.push(millis(bell.wait(here)?.duration_since(killed)));
        // What is left of it: mounts, cgroups.
        lab.run(&["kill", &lost.to_string()]);
        lab.run(&["start", &lost.to_string()]);
        lift_quarantine(lab, asked, &host)?;
    }
    Ok(samples)
}
