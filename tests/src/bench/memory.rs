//! Rows 14 and 15: what the agent needs, and what each further task costs us.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::{Row, Settings, processes};
use crate::node::{Node, Options};
use crate::wait;

/// Until a fresh node has done all it does at its start.
const SETTLE: Duration = Duration::from_secs(5);
const TASKS: usize = 100;

pub fn agent(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let node = Node::start();
    std::thread::sleep(SETTLE);
    let mut rows = Vec::new();
    for (field, must, aim) in [("Rss", Some(40.0), Some(20.0)), ("Pss", None, None)] {
        let agent = memory_mib(node.role_pid("agent"), field)?;
        rows.push(Row {
            target: 14,
            what: format!("agent memory, idle node ({})", field.to_uppercase()),
            unit: "MiB",
            must,
            aim,
            samples: vec![agent],
            note: String::new(),
        });
    }
    let mut all = 0.0;
    for pid in processes::ours(&node)? {
        all += memory_mib(pid, "Pss")?;
    }
    rows.push(Row {
        target: 14,
        what: "all our processes, idle node (PSS)".into(),
        unit: "MiB",
        must: None,
        aim: None,
        samples: vec![all],
        note: "claimed, no app; 5 s after the start".into(),
    });
    Ok(rows)
}

fn memory_mib(pid: i32, field: &str) -> anyhow::Result<f64> {
    Ok(processes::memory_kib(pid, field)? / 1024.0)
}

pub fn per_task(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let args = ["--cpus", "64", "--mem", "65536"].map(str::to_owned).to_vec();
    let node = Node::start_with(Options { agent_args: args, ..Options::default() });
    // Buffers that the first start fills are the node's, not the task's.
    let app = |id: &str, count: usize| json!({ "id": id, "cmd": "sleep 100000", "instances": count, "cpus": 0.01, "mem": 16 });
    node.post_app(&app("first", 1));
    node.wait_running("first", 1);
    std::thread::sleep(SETTLE);
    let before = total_pss(&node)?;
    node.post_app(&app("crowd", TASKS));
    wait::until(
        "all tasks run",
        wait::DEADLINE * 2,
        || match node.running("crowd")?.len() {
            TASKS => Ok(()),
            count => Err(format!("{count} run")),
        },
        || node.log_tail(),
    );
    std::thread::sleep(SETTLE);
    let after = total_pss(&node)?;
    Ok(vec![Row {
        target: 15,
        what: "our memory per running task (PSS)".into(),
        unit: "KiB",
        must: Some(1024.0),
        aim: Some(100.0),
        samples: vec![(after - before) / TASKS as f64],
        note: format!(
            "init, agent and log together: {:.1} MiB with 1 task, {:.1} MiB with {}; no process of ours per task",
            before / 1024.0,
            after / 1024.0,
            TASKS + 1
        ),
    }])
}

/// KiB.
fn total_pss(node: &Node) -> anyhow::Result<f64> {
    let mut total = 0.0;
    for pid in processes::ours(node)? {
        total += processes::memory_kib(pid, "Pss").context("a role ended meanwhile")?;
    }
    Ok(total)
}
