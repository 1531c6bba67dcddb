//! Row 18, the balancer's half: from the running task to its first answer through HAProxy.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::bell::{Bell, millis};
use super::{Row, Settings};
use crate::http::Client;
use crate::node::Node;

const RUNS: usize = 40;
const PORT: u16 = 10_000;
/// Longest wait for one answer; beyond it something is broken, not slow.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// An app with one instance that stays; a second one comes and goes, and each time it is asked for until it answers.
pub fn reach(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let (node, bell) = (Node::start(), Bell::new()?);
    let ring = bell.command();
    let ring = ring.split(';').next().context("the bell's command")?;
    let app = json!({
        "id": "web", "cpus": 0.01, "mem": 16, "instances": 1, "portDefinitions": [{ "port": PORT }],
        "cmd": format!("mkdir www; echo $MESOS_TASK_ID > www/index.html; {ring}; exec httpd -f -p $PORT0 -h www"),
        "labels": { "HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "http" },
    });
    node.post_app(&app);
    bell.wait(1)?;
    let client = Client::new(&format!("{}:{PORT}", node.balancer));
    let first = node.wait_for("the first instance answers", || match client.get("/") {
        Ok(answer) if answer.status == 200 => Ok(answer.text()),
        other => Err(format!("{other:?}")),
    });
    let mut samples = Vec::new();
    for _ in 0..RUNS {
        node.wait_settled("web");
        node.http.put("/v2/apps/web", r#"{"instances": 2}"#)?;
        let runs = bell.wait(1)?;
        // Every second request goes to the new one as soon as it is known.
        while client.get("/")?.text() == first {
            ensure!(runs.elapsed() < ANSWER_MAX, "the second instance does not answer");
        }
        samples.push(millis(Instant::now().duration_since(runs)));
        node.wait_settled("web");
        // The youngest goes.
        node.http.put("/v2/apps/web", r#"{"instances": 1}"#)?;
        node.wait_running("web", 1);
    }
    Ok(vec![Row {
        target: 18,
        what: "task runs → the balancer of its node leads to it".into(),
        unit: "ms",
        must: Some(500.0),
        aim: Some(100.0),
        samples,
        note: "connection from the task's `nc` just before its httpd starts → first answer of that httpd through \
               HAProxy; no health check; one node"
            .into(),
    }])
}
