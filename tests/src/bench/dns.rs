//! Row 17: answers per second, asked by dnsperf; the peer is Knot DNS with the same names in the same run.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Row, Settings};
use crate::dig::dig;
use crate::node::Node;
use crate::wait;

const INSTANCES: usize = 8;
const ROUNDS: usize = 5;
const SECONDS: &str = "3";
const START: Duration = Duration::from_secs(30);
const QUESTIONS: [&str; 4] =
    ["web.marathon.mesos A", "_web._tcp.marathon.mesos SRV", "leader.mesos A", "web.marathon.slave.mesos A"];

pub fn answers(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let node = Node::start();
    node.post_app(&json!({
        "id": "web", "cmd": "sleep 1000", "instances": INSTANCES, "cpus": 0.01, "mem": 16,
        "portDefinitions": [{"port": 0, "protocol": "tcp"}],
    }));
    node.wait_running("web", INSTANCES);
    node.wait_for("all instances have names", || {
        let dug = dig(node.dns(), &["_web._tcp.marathon.mesos", "SRV"]);
        if dug.answer.len() == INSTANCES { Ok(()) } else { Err(dug.text) }
    });
    let folder = tempfile::tempdir()?;
    let questions = folder.path().join("questions");
    fs::write(&questions, QUESTIONS.join("\n") + "\n")?;
    let peer = if settings.peers { Some(Knot::start(folder.path(), &node)?) } else { None };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turns, so that what else the machine does falls on both.
    for _ in 0..ROUNDS {
        ours.push(per_answer(node.dns(), &questions)?);
        if let Some(knot) = &peer {
            theirs.push(per_answer(knot.address, &questions)?);
        }
    }
    let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
    let peer_mean = peer.is_some().then(|| mean(&theirs));
    let note = |samples: &[f64]| {
        format!(
            "{:.0} answers/s; dnsperf -c 8 -l {SECONDS} beside the server on the same cores",
            1e6 / mean(samples)
        )
    };
    let mut rows = vec![Row {
        target: 17,
        what: "DNS, A and SRV, one node, per answer".into(),
        unit: "µs",
        // A share of the peer's answers per second is that multiple of its time per answer.
        must: peer_mean.map(|peer| peer / 0.7),
        aim: peer_mean,
        note: note(&ours),
        samples: ours,
    }];
    if let Some(knot) = peer {
        rows.push(Row {
            target: 17,
            what: format!("the same by {}", knot.version),
            unit: "µs",
            must: None,
            aim: None,
            note: note(&theirs),
            samples: theirs,
        });
    }
    Ok(rows)
}

/// Microseconds per answer over one run.
fn per_answer(server: SocketAddr, questions: &Path) -> anyhow::Result<f64> {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    let output = Command::new("dnsperf")
        .args(["-s", &host, "-p", &port, "-l", SECONDS, "-c", "8", "-d"])
        .arg(questions)
        .output()
        .context("dnsperf; scripts/bench installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |key: &str| {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(key))?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    let lost = number("Queries lost:").context("dnsperf says nothing of losses")?;
    let rate = number("Queries per second:").with_context(|| format!("no rate in {text}"))?;
    ensure!(text.contains("NOERROR") && !text.contains("SERVFAIL"), "not all answers are good: {text}");
    ensure!(lost < rate / 100.0, "{lost} questions were lost: {text}");
    Ok(1e6 / rate)
}

struct Knot {
    daemon: Child,
    address: SocketAddr,
    version: String,
}

impl Knot {
    /// With the zone of `node`.
    fn start(folder: &Path, node: &Node) -> anyhow::Result<Self> {
        let listed: Value = node.dns_http().get("/v1/axfr")?.expect(200).json();
        fs::write(folder.join("mesos.zone"), zone_file(&listed)?)?;
        let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let place = folder.display();
        let conf = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {place}\ndatabase:\n    storage: {place}\n\
             zone:\n  - domain: mesos\n    file: {place}/mesos.zone\n    zonefile-sync: -1\n"
        );
        fs::write(folder.join("knot.conf"), conf)?;
        let daemon = Command::new("knotd")
            .arg("-c")
            .arg(folder.join("knot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("knotd; scripts/bench --peers installs it")?;
        let version = Command::new("knotd").arg("-V").output()?.stdout;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let knot = Self { daemon, address, version: String::from_utf8_lossy(&version).trim().to_owned() };
        let ready = || {
            let dug = dig(address, &["_web._tcp.marathon.mesos", "SRV"]);
            if dug.answer.len() == INSTANCES { Ok(()) } else { Err(dug.text) }
        };
        wait::until("Knot answers", START, ready, String::new);
        Ok(knot)
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A master file of what the node lists.
fn zone_file(listed: &Value) -> anyhow::Result<String> {
    let mut text =
        "$TTL 5\nmesos. SOA ns1.mesos. root.ns1.mesos. 1 60 600 86400 5\nmesos. NS ns1.mesos.\n".to_owned();
    for (section, kind) in [("As", "A"), ("AAAAs", "AAAA"), ("SRVs", "SRV")] {
        let names = listed["Records"][section].as_object().context("no records")?;
        for (name, values) in names {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let data = match value.rsplit_once(':').filter(|_| kind == "SRV") {
                    Some((target, port)) => format!("0 1 {port} {target}"),
                    None => value.to_owned(),
                };
                text.push_str(&format!("{name} {kind} {data}\n"));
            }
        }
    }
    Ok(text)
}
