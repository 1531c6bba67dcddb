//! Rows 10 and 11: from the request to the running process, for one task and for fifty.

use std::time::Instant;

use anyhow::ensure;
use serde_json::json;

use super::bell::{Bell, millis};
use super::{Row, Settings, docker};
use crate::node::{Node, Options};

/// Not counted: the first start reads the program and the task root from disk.
const WARM_UP: usize = 3;
const ONE_RUNS: usize = 60;
const MANY_RUNS: usize = 5;
pub const MANY_TASKS: usize = 50;

fn roomy_node() -> Node {
    let args = ["--cpus", "64", "--mem", "65536"];
    Node::start_with(Options { agent_args: args.map(str::to_owned).to_vec(), ..Options::default() })
}

/// Posts an app of `count` tasks, waits until each has rung, and takes the app away again.
fn run(node: &Node, bell: &Bell, id: &str, count: usize) -> anyhow::Result<f64> {
    let app =
        json!({ "id": id, "cmd": bell.command(), "instances": count, "cpus": 0.01, "mem": 16 }).to_string();
    let sent = Instant::now();
    let answer = node.http.post("/v2/apps", &app)?;
    ensure!(answer.status == 201, "POST was answered {answer}");
    let took = millis(bell.wait(count)?.duration_since(sent));
    node.delete_app(id);
    node.wait_for("the tasks are gone", || match node.task_pids("").len() {
        0 => Ok(()),
        left => Err(format!("{left} processes")),
    });
    Ok(took)
}

pub fn one(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let (node, bell) = (roomy_node(), Bell::new()?);
    let mut samples = Vec::new();
    for number in 0..WARM_UP + ONE_RUNS {
        let took = run(&node, &bell, &format!("one-{number}"), 1)?;
        if number >= WARM_UP {
            samples.push(took);
        }
    }
    let mut rows = vec![Row {
        target: 10,
        what: "POST app → its process runs, 1 task".into(),
        unit: "ms",
        must: Some(250.0),
        aim: Some(80.0),
        samples,
        note: "request sent → connection from the task's `nc`; the aim is p99, its p50 is 25 ms".into(),
    }];
    if settings.peers {
        rows.push(docker::one(ONE_RUNS / 3)?);
    }
    Ok(rows)
}

pub fn many(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let (node, bell) = (roomy_node(), Bell::new()?);
    run(&node, &bell, "many-warm-up", 1)?;
    let mut samples = Vec::new();
    for number in 0..MANY_RUNS {
        samples.push(run(&node, &bell, &format!("many-{number}"), MANY_TASKS)? / 1_000.0);
    }
    let mut rows = vec![Row {
        target: 11,
        what: format!("{MANY_TASKS} tasks on one node until all run"),
        unit: "s",
        must: Some(2.0),
        aim: Some(0.5),
        samples,
        note: "one app, host network; request sent → connection from the last task's `nc`".into(),
    }];
    if settings.peers {
        rows.push(docker::many(1)?);
    }
    Ok(rows)
}
