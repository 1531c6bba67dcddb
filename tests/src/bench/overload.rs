//! Row 9: false alarms while the processors are asked for twice what they have. Nothing is killed, cut or frozen, so each
//! node that is called lost, each other leader and each task that is replaced is a false alarm.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Row, Settings};
use crate::lab::Lab;

const NODES: usize = 3;
const SECONDS: u64 = 3_600;
const LOOK: Duration = Duration::from_secs(1);
const APP: &str = r#"{"id":"steady","cmd":"exec sleep 1000000","cpus":0.1,"mem":16,"instances":6}"#;
/// What a leader logs when it takes a member for lost.
const LOST: &str = "a member's answers";

pub fn false_alarms(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let seconds = settings.seconds.unwrap_or(SECONDS);
    let lab = Lab::up_for_release(NODES);
    lab.node(1).post("/v2/apps", APP)?.expect(201);
    lab.until("all run", || lab.runs(1, "steady", 6));
    let tasks = |n: usize| lab.json(n, "/v2/apps/steady/tasks");
    let (before, mut leader) = (tasks(1), lab.leader());
    let lost_before = lost(&lab);
    let burners = Burners::start()?;
    let (begun, mut leaders, mut unanswered) = (Instant::now(), 0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(LOOK);
        let roles = lab.roles();
        match roles.iter().position(|[_, role, _]| role == "leader") {
            Some(at) if at + 1 != leader => {
                leaders += 1;
                leader = at + 1;
            }
            Some(_) => {}
            None => unanswered += 1,
        }
    }
    drop(burners);
    let replaced = usize::from(ids(&tasks(1)) != ids(&before));
    let losses = lost(&lab) - lost_before;
    let alarms = losses + leaders + replaced;
    Ok(vec![Row {
        target: 9,
        what: "false alarms under twice the load".into(),
        unit: "alarms",
        must: Some(0.0),
        aim: Some(0.0),
        samples: vec![alarms as f64],
        note: format!(
            "{seconds} s: {losses} nodes called lost, {leaders} other leaders, tasks replaced: {}; {unanswered} looks without an \
             answer; {} busy loops on {} processors, 3 nodes",
            replaced > 0,
            burners_wanted(),
            burners_wanted() / 2
        ),
    }])
}

/// How often any leader has taken a member for lost.
fn lost(lab: &Lab) -> usize {
    let logs = (1..=NODES).map(|n| lab.log(n));
    logs.map(|log| log.lines().filter(|line| line.contains(LOST) && line.contains("lost=true")).count()).sum()
}

fn ids(tasks: &serde_json::Value) -> Vec<String> {
    let tasks = tasks["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<String> = tasks.iter().map(|task| task["id"].to_string()).collect();
    ids.sort();
    ids
}

fn burners_wanted() -> usize {
    2 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// Processes that never rest, at the priority that everything has.
struct Burners(Vec<Child>);

impl Burners {
    fn start() -> anyhow::Result<Self> {
        let mut burners = Self(Vec::new());
        for _ in 0..burners_wanted() {
            let burner = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
            burners.0.push(burner.context("sh")?);
        }
        Ok(burners)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for burner in &mut self.0 {
            // It may have been ended by hand.
            let _ = burner.kill();
            let _ = burner.wait();
        }
    }
}
