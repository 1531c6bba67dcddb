//! The peer of rows 10 and 11: a Docker Swarm of one node, asked over its socket, with the same task.
//!
//! The engine is started here with folders and a socket of its own and ended again; it must be installed.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Row;
use super::bell::{Bell, millis};
use super::starts::MANY_TASKS;
use crate::{task_root, wait};

const IMAGE: &str = "meseta-bench";
const START: Duration = Duration::from_secs(60);

struct Engine {
    dir: tempfile::TempDir,
    daemon: Child,
    version: String,
}

impl Engine {
    fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("md").tempdir()?;
        let log = fs::File::create(dir.path().join("log"))?;
        let flag = |name: &str, value: &str| format!("--{name}={}", dir.path().join(value).display());
        let daemon = Command::new("dockerd")
            .args([flag("data-root", "data"), flag("exec-root", "exec"), flag("pidfile", "pid")])
            .arg(format!("--host=unix://{}", dir.path().join("sock").display()))
            .args(["--bridge=none", "--iptables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("dockerd; scripts/bench --peers installs it")?;
        let mut engine = Self { dir, daemon, version: String::new() };
        let version = wait::until(
            "dockerd answers",
            START,
            || engine.ask("GET", "/version", None).map_err(|e| format!("{e:#}")),
            || engine.log(),
        );
        engine.version = version["Version"].as_str().unwrap_or_default().to_owned();
        engine.ask(
            "POST",
            "/swarm/init",
            Some(&json!({ "ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1" })),
        )?;
        engine.import()?;
        Ok(engine)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The very root file system that our tasks have, as an image.
    fn import(&self) -> anyhow::Result<()> {
        let archive = Command::new("tar").arg("-C").arg(task_root::path()?).args(["-c", "."]).output()?;
        ensure!(archive.status.success(), "tar: {}", String::from_utf8_lossy(&archive.stderr));
        self.call(
            "POST",
            &format!("/images/create?fromSrc=-&repo={IMAGE}"),
            "application/x-tar",
            &archive.stdout,
        )?;
        Ok(())
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.call(method, path, "application/json", body.as_bytes())?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// One request in HTTP/1.0, so that the answer is all there is until the end of the connection.
    fn call(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(START))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no head in the answer")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let is_success = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        ensure!(is_success, "{method} {path}: {}", String::from_utf8_lossy(&answer));
        Ok(answer.split_off(end + 4))
    }

    /// Creates a service, waits until its tasks have rung, and removes it and its containers.
    fn run(&self, bell: &Bell, name: &str, count: usize) -> anyhow::Result<f64> {
        let service = json!({
            "Name": name,
            "TaskTemplate": {
                "ContainerSpec": { "Image": IMAGE, "Command": ["sh", "-c", bell.command()], "StopSignal": "SIGKILL" },
                "RestartPolicy": { "Condition": "none" },
                "Networks": [{ "Target": "host" }],
            },
            "Mode": { "Replicated": { "Replicas": count } },
        });
        let sent = Instant::now();
        self.ask("POST", "/services/create", Some(&service))?;
        let took = millis(bell.wait(count)?.duration_since(sent));
        self.ask("DELETE", &format!("/services/{name}"), None)?;
        let left = || match self.ask("GET", "/containers/json?all=true", None) {
            Ok(Value::Array(containers)) if containers.is_empty() => Ok(()),
            Ok(containers) => Err(format!("{} containers", containers.as_array().map_or(0, Vec::len))),
            Err(error) => Err(format!("{error:#}")),
        };
        wait::until("the service's containers are gone", wait::DEADLINE, left, || self.log());
        Ok(took)
    }

    fn note(&self) -> String {
        format!(
            "dockerd {} (swarm of one, POST /services/create on its socket, host network, the same root)",
            self.version
        )
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.ask("POST", "/swarm/leave?force=true", None);
        let _ = kill(Pid::from_raw(self.daemon.id().cast_signed()), Signal::SIGTERM);
        let _ = self.daemon.wait();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let dir = self.dir.path().to_string_lossy().into_owned();
        for at in mounts.lines().filter_map(|l| l.split(' ').nth(4)).filter(|at| at.starts_with(&dir)) {
            let _ = nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

fn peer(target: u32, what: String, unit: &'static str, samples: Vec<f64>, note: String) -> Row {
    Row { target, what, unit, must: None, aim: None, samples, note }
}

pub fn one(runs: usize) -> anyhow::Result<Row> {
    let (engine, bell) = (Engine::start()?, Bell::new()?);
    engine.run(&bell, "warm-up", 1)?;
    let mut samples = Vec::new();
    for number in 0..runs {
        samples.push(engine.run(&bell, &format!("one-{number}"), 1)?);
    }
    Ok(peer(10, "the same by Docker Swarm".into(), "ms", samples, engine.note()))
}

pub fn many(runs: usize) -> anyhow::Result<Row> {
    let (engine, bell) = (Engine::start()?, Bell::new()?);
    engine.run(&bell, "warm-up", 1)?;
    let mut samples = Vec::new();
    for number in 0..runs {
        samples.push(engine.run(&bell, &format!("many-{number}"), MANY_TASKS)? / 1_000.0);
    }
    Ok(peer(11, "the same by Docker Swarm".into(), "s", samples, engine.note()))
}
