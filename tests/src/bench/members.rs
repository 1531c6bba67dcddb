//! Rows 14 and 16 in a cluster: what a node that leads, one that votes and one without the log need while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Row, Settings, processes};
use crate::lab::Lab;

const NODES: usize = 4;
/// Until what began the cluster is over.
const SETTLE: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(60);

pub fn idle(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let lab = Lab::up_for_release(NODES);
    let nodes = lab.json(1, "/meseta/v1/nodes");
    let is_last = |node: &&Value| node["addresses"][0] == format!("10.77.0.{NODES}");
    let last = nodes["nodes"].as_array().and_then(|nodes| nodes.iter().find(is_last)).context("no node 4")?;
    let path = format!("/meseta/v1/nodes/{}", last["id"].as_str().context("no id")?);
    let wish = br#"{"attributes":{"MESETA_SERVER":"false"}}"#;
    lab.node(1).send("PATCH", &path, &[], Some(wish))?.expect(200);
    let roles = lab.until("node 4 holds no log", || {
        let roles: Vec<String> = lab.roles().into_iter().map(|[_, role, _]| role).collect();
        if roles[NODES - 1] == "worker" { Ok(roles) } else { Err(format!("{roles:?}")) }
    });
    std::thread::sleep(SETTLE);

    let pids: Vec<Vec<Pid>> = (1..=NODES).map(|n| lab.processes(n)).collect();
    let ticks = |pids: &Vec<Pid>| -> anyhow::Result<u64> {
        pids.iter().map(|pid| processes::cpu_ticks(pid.as_raw())).sum()
    };
    let before = pids.iter().map(ticks).collect::<anyhow::Result<Vec<u64>>>()?;
    let start = Instant::now();
    std::thread::sleep(WATCH);
    let seconds = start.elapsed().as_secs_f64();
    let after = pids.iter().map(ticks).collect::<anyhow::Result<Vec<u64>>>()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;

    let mut rows = Vec::new();
    for (n, role) in (1..).zip(&roles) {
        // Of those that vote and follow one is like the other.
        if rows.iter().any(|row: &Row| row.what.ends_with(&format!(" {role}"))) {
            continue;
        }
        let used = (after[n - 1] - before[n - 1]) as f64;
        rows.push(Row {
            target: 16,
            what: format!("CPU of an idle node in a cluster of {NODES}, {role}"),
            unit: "% of a core",
            must: Some(1.0),
            aim: Some(0.2),
            samples: vec![used / per_second / seconds * 100.0],
            note: format!("all our processes, no task, no page open, {seconds:.0} s"),
        });
        rows.push(Row {
            target: 14,
            what: format!("agent memory there (RSS), {role}"),
            unit: "MiB",
            must: Some(40.0),
            aim: Some(20.0),
            samples: vec![processes::memory_kib(lab.agent(n).as_raw(), "Rss")? / 1024.0],
            note: String::new(),
        });
    }
    ensure!(rows.len() >= 6, "roles are {roles:?}");
    Ok(rows)
}
