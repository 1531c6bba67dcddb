//! `scripts/lab` as people use it: real nodes in network namespaces of their own, which are killed, cut off and frozen.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::http::Client;
use crate::vm::root;
use crate::wait;

pub const PASSWORD: &str = "lab-test-word";
/// Nothing tested here takes this long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where nodes reach this machine.
pub const THIS_MACHINE: [u8; 4] = [10, 77, 0, 254];

/// Takes the lab down however its owner ends.
#[derive(Debug)]
pub struct Lab {
    environment: &'static [(&'static str, &'static str)],
}

impl Lab {
    #[track_caller]
    pub fn up(nodes: usize) -> Self {
        Self::up_with(nodes, &[])
    }

    /// The optimised program, its log on this machine's disk.
    #[track_caller]
    pub fn up_for_release(nodes: usize) -> Self {
        Self::up_with(nodes, &[("MESETA_PROFILE", "release"), ("MESETA_LAB_STATE", "disk")])
    }

    /// All run this program instead of the tree's.
    #[track_caller]
    pub fn up_with_program(nodes: usize, program: &str) -> Self {
        let lab = Self { environment: &[] };
        lab.run(&["up", &nodes.to_string(), "--password", PASSWORD, "--program", program]);
        lab
    }

    #[track_caller]
    fn up_with(nodes: usize, environment: &'static [(&'static str, &'static str)]) -> Self {
        let lab = Self { environment };
        lab.run(&["up", &nodes.to_string(), "--password", PASSWORD]);
        lab
    }

    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.script(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/lab {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn script(&self, args: &[&str]) -> Output {
        let mut command = Command::new(root().join("scripts/lab"));
        command.args(args).envs(self.environment.iter().copied());
        command.output().expect("scripts/lab starts")
    }

    /// A node's API with the administrator's credentials.
    pub fn node(&self, n: usize) -> Client {
        Client::new(&format!("10.77.0.{n}:8080")).with_password("admin", PASSWORD)
    }

    #[track_caller]
    pub fn json(&self, n: usize, path: &str) -> Value {
        self.node(n).get(path).expect("an answer").expect(200).json()
    }

    /// `Ok` if node `n` says that exactly `count` tasks of the app run.
    pub fn runs(&self, n: usize, app: &str, count: u64) -> Result<(), String> {
        let answer = self.node(n).get(&format!("/v2/apps/{app}")).map_err(|error| error.to_string())?;
        let body = answer.json();
        if body["app"]["tasksRunning"] == count { Ok(()) } else { Err(body.to_string()) }
    }

    /// Waits until `condition` holds; shows the lab's nodes and the end of their logs if it never does.
    #[track_caller]
    pub fn until<T>(&self, what: &str, condition: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, PATIENCE, condition, || self.tail())
    }

    fn tail(&self) -> String {
        let logs = (1..=9).filter_map(|n| fs::read_to_string(format!("/run/meseta-lab/{n}/log")).ok());
        let ends = logs.map(|log| log[log.floor_char_boundary(log.len().saturating_sub(3_000))..].to_owned());
        format!("{}{}", self.run(&["ls"]), ends.collect::<Vec<_>>().join("\n----\n"))
    }

    /// Each node's `name role state`, by number.
    pub fn roles(&self) -> Vec<[String; 3]> {
        let list = self.run(&["ls"]);
        let words = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            [words[0].clone(), words[2].clone(), words[3].clone()]
        };
        list.lines().map(words).collect()
    }

    /// The number of the node that leads.
    #[track_caller]
    pub fn leader(&self) -> usize {
        self.until("somebody leads", || {
            let roles = self.roles();
            let at = roles.iter().position(|[_, role, state]| role == "leader" && state == "up");
            at.map(|at| at + 1).ok_or_else(|| format!("{roles:?}"))
        })
    }

    /// Waits until node `n` sees all `count` nodes up.
    #[track_caller]
    pub fn all_up(&self, n: usize, count: usize) {
        self.until("all nodes are up", || {
            let answer = self.node(n).get("/meseta/v1/nodes").map_err(|error| error.to_string())?.json();
            let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
            let up = nodes.iter().filter(|node| node["reach"] == "up").count();
            if up == count { Ok(()) } else { Err(answer.to_string()) }
        });
    }

    /// Hosts of the app's tasks, sorted, as node `n` knows them.
    pub fn hosts(&self, n: usize, app: &str) -> Vec<String> {
        let body = self.json(n, &format!("/v2/apps/{app}/tasks"));
        let tasks = body["tasks"].as_array().expect("tasks");
        let mut hosts: Vec<String> =
            tasks.iter().filter_map(|task| task["host"].as_str().map(str::to_owned)).collect();
        hosts.sort();
        hosts
    }

    /// What node `n` has logged since it was made.
    pub fn log(&self, n: usize) -> String {
        fs::read_to_string(format!("/run/meseta-lab/{n}/log")).unwrap_or_default()
    }

    /// Where node `n` keeps what does not lie in memory; removed with the lab.
    pub fn disk(&self, n: usize) -> PathBuf {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::home_dir().unwrap_or_default().join(".cache");
        cache.unwrap_or_else(home).join("meseta/lab").join(n.to_string())
    }

    /// The processes of node `n` and of its tasks.
    pub fn processes(&self, n: usize) -> Vec<Pid> {
        let space = format!("meseta-lab-{n}");
        let listed = Command::new("ip").args(["netns", "pids", &space]).output().expect("ip starts");
        let pids = String::from_utf8_lossy(&listed.stdout).into_owned();
        pids.lines().filter_map(|pid| pid.trim().parse().ok()).map(Pid::from_raw).collect()
    }

    /// The agent of node `n`.
    #[track_caller]
    pub fn agent(&self, n: usize) -> Pid {
        self.until("its agent runs", || {
            let is_agent = |pid: &Pid| {
                let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                words.split(|byte| *byte == 0).nth(1) == Some(b"agent")
            };
            self.processes(n).into_iter().find(is_agent).ok_or_else(|| "none".to_owned())
        })
    }
}

/// At once, without waiting for their end; who is gone already needs no signal.
pub fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill(*pid, signal);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.script(&["down"]);
    }
}
