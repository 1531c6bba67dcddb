//! Row 13: durable writes on three nodes through the public API, by 1, 16 and 256 clients; the peer is etcd with three
//! members in the same namespaces and on the same disk, in the same run, asked by the same client.
//!
//! A write here is a node's attribute, by PATCH, which starts nothing; there it is a put of a key by the gateway that etcd has
//! for JSON. Each client has a connection of its own, kept open, to one of the three.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::bell::millis;
use super::{Row, Settings};
use crate::lab::{Lab, PASSWORD};
use crate::wait;

const NODES: usize = 3;
const CLIENTS: [usize; 3] = [1, 16, 256];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
const VALUE_BYTES: usize = 128;
/// Different ones, among which the clients share.
const ATTRIBUTES: usize = 16;
const START: Duration = Duration::from_secs(30);

pub fn durable(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let lab = Lab::up_for_release(NODES);
    let etcd = if settings.peers { Some(Etcd::start(&lab)?) } else { None };
    let node = lab.json(1, "/meseta/v1/nodes")["nodes"][0]["id"].as_str().context("no node")?.to_owned();
    let our_write = move |client: usize, number: usize| our_write(&node, client, number);
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let (mut ours, mut theirs) = (Measured::default(), Measured::default());
        // In turns, so that what else the machine does falls on both.
        for _ in 0..ROUNDS {
            ours.add(round(clients, &our_write)?);
            if etcd.is_some() {
                theirs.add(round(clients, &etcd_write)?);
            }
        }
        let peer = etcd.as_ref().map(|etcd| (etcd.version.as_str(), theirs));
        let bound = peer.as_ref().map(|(_, theirs)| theirs.per_write_us());
        let what = |by: &str| format!("durable write, {clients} clients, 3 nodes, {by}, per write");
        rows.push(ours.row(what("by the API"), bound, bound.map(|bound| bound / 2.0)));
        if let Some((version, theirs)) = peer {
            rows.push(theirs.row(what(version), None, None));
        }
    }
    Ok(rows)
}

/// Where client `client` asks, and its write of that number.
type Request = dyn Fn(usize, usize) -> (SocketAddr, Vec<u8>) + Sync;

fn our_write(node: &str, client: usize, number: usize) -> (SocketAddr, Vec<u8>) {
    let body = format!(r#"{{"attributes":{{"writer{}":"{}"}}}}"#, client % ATTRIBUTES, value(client, number));
    let authorization = BASE64.encode(format!("admin:{PASSWORD}"));
    let head = format!("PATCH /meseta/v1/nodes/{node} HTTP/1.1\r\nAuthorization: Basic {authorization}");
    request(client, 8080, &head, &body)
}

fn etcd_write(client: usize, number: usize) -> (SocketAddr, Vec<u8>) {
    let (key, value) =
        (BASE64.encode(format!("/writer{}", client % ATTRIBUTES)), BASE64.encode(value(client, number)));
    let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
    request(client, 2379, "POST /v3/kv/put HTTP/1.1", &body)
}

/// Another each time: what changes nothing is not written.
fn value(client: usize, number: usize) -> String {
    format!("{client:03}{number:0width$}", width = VALUE_BYTES - 3)
}

fn request(client: usize, port: u16, head: &str, body: &str) -> (SocketAddr, Vec<u8>) {
    let node = u8::try_from(client % NODES + 1).unwrap_or(1);
    let address = SocketAddr::from(([10, 77, 0, node], port));
    let length = body.len();
    let text = format!(
        "{head}\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    (address, text.into_bytes())
}

/// What one or several rounds took.
#[derive(Default)]
struct Measured {
    /// Of each write, in milliseconds.
    latencies: Vec<f64>,
    /// Of each round.
    per_write_us: Vec<f64>,
}

impl Measured {
    fn add(&mut self, round: Self) {
        self.latencies.extend(round.latencies);
        self.per_write_us.extend(round.per_write_us);
    }

    fn per_write_us(&self) -> f64 {
        self.per_write_us.iter().sum::<f64>() / self.per_write_us.len() as f64
    }

    fn row(self, what: String, must: Option<f64>, aim: Option<f64>) -> Row {
        let per_second = 1e6 / self.per_write_us();
        let latencies = Row { samples: self.latencies, ..Row::default() };
        let note = format!(
            "{per_second:.0}/s; one answered after p50 {:.1} ms, p99 {:.1} ms; {VALUE_BYTES} bytes, logs on one disk, client and \
             nodes on the same cores",
            latencies.percentile(0.5),
            latencies.percentile(0.99)
        );
        Row { target: 13, what, unit: "µs", must, aim, samples: self.per_write_us, note }
    }
}

fn round(clients: usize, write: &Request) -> anyhow::Result<Measured> {
    let begun = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let one = |client| scope.spawn(move || one_client(client, write, begun + ROUND));
        let threads: Vec<_> = (0..clients).map(one).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("a client does not panic"));
        joined.collect::<anyhow::Result<Vec<Vec<f64>>>>()
    })?;
    let took = begun.elapsed().as_secs_f64();
    let latencies = latencies.concat();
    let per_write_us = vec![took * 1e6 / latencies.len() as f64];
    Ok(Measured { latencies, per_write_us })
}

fn one_client(client: usize, write: &Request, end: Instant) -> anyhow::Result<Vec<f64>> {
    let stream = TcpStream::connect(write(client, 0).0)?;
    stream.set_nodelay(true)?;
    let mut line = BufReader::new(stream);
    let mut latencies = Vec::new();
    for number in 0.. {
        let (_, request) = write(client, number);
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        line.get_mut().write_all(&request)?;
        let (status, said) = answer(&mut line)?;
        ensure!(
            (200..300).contains(&status),
            "write {number} of client {client} was answered {status}: {said}"
        );
        latencies.push(millis(sent.elapsed()));
    }
    Ok(latencies)
}

/// Reads one answer to its end; its status and text.
fn answer(line: &mut impl BufRead) -> anyhow::Result<(u16, String)> {
    let status = header(line)?;
    let status = status.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status line")?;
    let mut length = None;
    let mut is_chunked = false;
    loop {
        let text = header(line)?.to_ascii_lowercase();
        match text.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => length = Some(value.parse::<u64>()?),
            Some(("transfer-encoding", "chunked")) => is_chunked = true,
            Some(_) => {}
            None if text.is_empty() => break,
            None => bail!("odd header {text:?}"),
        }
    }
    let mut text = Vec::new();
    match (length, is_chunked) {
        (Some(length), false) => read(line, length, &mut text)?,
        (_, true) => loop {
            let length = u64::from_str_radix(&header(line)?, 16)?;
            read(line, length, &mut text)?;
            ensure!(header(line)?.is_empty(), "a chunk is longer than it says");
            if length == 0 {
                break;
            }
        },
        (None, false) => bail!("an answer without a length"),
    }
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

fn header(line: &mut impl BufRead) -> anyhow::Result<String> {
    let mut text = String::new();
    ensure!(line.read_line(&mut text)? > 0, "the connection was closed");
    Ok(text.trim_end().to_owned())
}

fn read(line: &mut impl BufRead, bytes: u64, text: &mut Vec<u8>) -> anyhow::Result<()> {
    let got = line.take(bytes).read_to_end(text)?;
    ensure!(got as u64 == bytes, "the connection was closed");
    Ok(())
}

/// Three members beside the lab's nodes, which do nothing meanwhile.
struct Etcd {
    version: String,
    members: Vec<Child>,
}

impl Etcd {
    fn start(lab: &Lab) -> anyhow::Result<Self> {
        let said = Command::new("etcd").arg("--version").output().context("etcd")?.stdout;
        let version =
            String::from_utf8_lossy(&said).lines().next().unwrap_or("etcd").replace(" Version:", "");
        let url = |n: usize, port: u16| format!("http://10.77.0.{n}:{port}");
        let all: Vec<String> = (1..=NODES).map(|n| format!("e{n}={}", url(n, 2380))).collect();
        let mut etcd = Self { version, members: Vec::new() };
        for n in 1..=NODES {
            let (clients, peers) = (url(n, 2379), url(n, 2380));
            let member = Command::new("ip")
                .args(["netns", "exec", &format!("meseta-lab-{n}"), "etcd", "--name", &format!("e{n}")])
                .arg("--data-dir")
                // Removed with the lab.
                .arg(lab.disk(n).join("etcd"))
                .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
                .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
                .args(["--initial-cluster", &all.join(","), "--log-level", "error"])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("etcd")?;
            etcd.members.push(member);
        }
        let taken = || match round_trip() {
            Ok(status) if status < 300 => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("{error:#}")),
        };
        wait::until("etcd takes a write", START, taken, String::new);
        Ok(etcd)
    }
}

/// One write to each member.
fn round_trip() -> anyhow::Result<u16> {
    let mut worst = 0;
    for client in 0..NODES {
        let (address, request) = etcd_write(client, 0);
        let mut line = BufReader::new(TcpStream::connect(address)?);
        line.get_mut().write_all(&request)?;
        worst = worst.max(answer(&mut line)?.0);
    }
    Ok(worst)
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It may have ended by itself.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\n{}\r\n0\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        let mut line = BufReader::new(text.as_bytes());
        let statuses: Vec<u16> = (0..3).map(|_| answer(&mut line).expect("an answer").0).collect();
        assert_eq!(statuses, [200, 201, 503]);
        assert!(answer(&mut line).is_err());
    }
}
