//! Row 16: what a node burns while nothing happens.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::{Row, Settings, processes};
use crate::node::Node;

const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(30);

pub fn cpu(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let node = Node::start();
    node.post_app(&json!({ "id": "quiet", "cmd": "sleep 100000", "instances": 5, "cpus": 0.01, "mem": 16 }));
    node.wait_running("quiet", 5);
    std::thread::sleep(SETTLE);

    let pids = processes::ours(&node)?;
    let ticks = || -> anyhow::Result<u64> { pids.iter().map(|pid| processes::cpu_ticks(*pid)).sum() };
    let (start, before) = (Instant::now(), ticks()?);
    std::thread::sleep(WATCH);
    let (seconds, used) = (start.elapsed().as_secs_f64(), ticks()? - before);
    ensure!(processes::ours(&node)? == pids, "a process of ours was restarted meanwhile");

    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(vec![Row {
        target: 16,
        what: "CPU of an idle node, all our processes".into(),
        unit: "% of a core",
        must: Some(1.0),
        aim: Some(0.2),
        samples: vec![used as f64 / per_second as f64 / seconds * 100.0],
        note: format!(
            "5 sleeping tasks, no page open, {seconds:.0} s; one tick is {:.3} %",
            100.0 / per_second as f64 / seconds
        ),
    }])
}
