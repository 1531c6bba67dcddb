//! Durable writes of a cluster of one, by clients that each wait for their answer: `write DIR CLIENTS SECONDS`.
//!
//! Prints one line of JSON; with CLIENTS 0 it only idles, and tells what that costs. For `scripts/bench`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, Config, NoWire, Proposal, Start, Timers};
use model::auth::Actor;
use model::{Command, NodeId, Origin};

fn proposal() -> Proposal {
    // 256 bytes of payload, as in the comparisons with other stores.
    let origin = Origin { client_ip: String::new(), uri: "x".repeat(256) };
    let command = Command::RaiseFeatureLevel { level: model::command::FEATURE_LEVEL };
    Proposal { actor: Actor::System, origin, request_id: None, expected_version: None, command }
}

/// Proposes until `end`; the latencies in microseconds.
async fn client(cluster: Cluster, end: Instant) -> Result<Vec<u128>, cluster::ProposeError> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        cluster.propose(proposal()).await?;
        latencies.push(start.elapsed().as_micros());
    }
    Ok(latencies)
}

/// User and system time of this process so far, in milliseconds.
fn cpu_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?) * 10)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, clients, seconds] = &args[..] else {
        return Err("usage: write DIR CLIENTS SECONDS".into());
    };
    let (clients, seconds): (usize, u64) = (clients.parse()?, seconds.parse()?);
    let opening = Instant::now();
    let config = Config {
        dir: dir.into(),
        node: NodeId(1),
        start: Start::Alone,
        timers: Timers::default(),
        contacts: Vec::new(),
        reserve_bytes: 0,
    };
    let cluster = Cluster::open(config, Arc::new(NoWire)).await?;
    cluster.leadership().wait_for(|leadership| leadership.is_self).await?;
    let open_ms = opening.elapsed().as_millis();

    let (cpu_before, end) = (cpu_ms(), Instant::now() + Duration::from_secs(seconds));
    let running: Vec<_> = (0..clients).map(|_| tokio::spawn(client(cluster.clone(), end))).collect();
    tokio::time::sleep_until(end.into()).await;
    let mut latencies = Vec::new();
    for task in running {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    let at =
        |percent: usize| latencies.get((latencies.len() * percent / 100).min(latencies.len().max(1) - 1));
    let figures = serde_json::json!({
        "clients": clients, "seconds": seconds, "open_ms": open_ms, "writes": latencies.len(),
        "writes_per_s": latencies.len() as u64 / seconds.max(1), "p50_us": at(50), "p99_us": at(99), "max_us": at(100),
        "cpu_ms": cpu_ms().zip(cpu_before).map(|(after, before)| after - before),
        "log_bytes": cluster.metrics().log_bytes, "snapshot": cluster.metrics().snapshot,
    });
    println!("{figures}");
    cluster.shutdown().await;
    Ok(())
}
