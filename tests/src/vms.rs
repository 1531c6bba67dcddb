//! Several nodes in virtual machines on one network, by `scripts/run --nodes` as people use it.
//!
//! Dropping them ends the machines and forgets their disks; what stays then of them or their network fails the test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::http::Client;
use crate::leftovers::{Census, Scope};
use crate::vm::{PASSWORD, free_ports, guest_port_offset, root, succeed};
use crate::wait;

/// Three emulated machines on cores that others use too.
const DEADLINE: Duration = Duration::from_secs(240);
/// Between the ports of two nodes, see the help of `scripts/run`.
const STEP: u16 = 20;
const TAIL_LINES: usize = 40;

#[derive(Debug)]
pub struct Vms {
    home: tempfile::TempDir,
    port: u16,
    count: u16,
}

impl Vms {
    /// Nodes from blank disks that nobody has claimed, whose consoles answer.
    pub fn boot(count: u16) -> Self {
        let vms = Self::off(count);
        vms.script(&["--nodes", &count.to_string(), "--port", &vms.port.to_string(), "--detach"]);
        vms
    }

    /// The same as one cluster.
    pub fn boot_cluster(count: u16) -> Self {
        let vms = Self::off(count);
        let (nodes, port) = (count.to_string(), vms.port.to_string());
        vms.script(&["--nodes", &nodes, "--port", &port, "--detach", "--password", PASSWORD]);
        vms
    }

    fn off(count: u16) -> Self {
        let home = tempfile::Builder::new().prefix("meseta-vms").tempdir().expect("a temporary folder");
        Self { home, port: free_ports(STEP * count), count }
    }

    pub fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.count
    }

    /// Where a port of node `n` is reached from this machine.
    pub fn at(&self, n: u16, guest_port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + STEP * (n - 1) + guest_port_offset(guest_port)).into()
    }

    /// A node's API with the administrator's credentials.
    pub fn node(&self, n: u16) -> Client {
        Client::new(&self.at(n, 8080).to_string()).with_password("admin", PASSWORD)
    }

    /// Where node `n` is for its neighbours.
    pub fn address(n: u16) -> String {
        format!("10.0.2.{}", 14 + n)
    }

    /// The claim code on the screen of node `n`.
    #[track_caller]
    pub fn code(&self, n: u16) -> String {
        self.wait_for("the screen shows the claim code", || {
            let serial = self.serial(n);
            let code = serial.rsplit_once("claim code:").and_then(|(_, rest)| rest.split_whitespace().next());
            code.map(str::to_owned).ok_or_else(|| "no code".to_owned())
        })
    }

    /// `address role reach` of every member, as node `n` sees them.
    pub fn members(&self, n: u16) -> Result<Vec<[String; 3]>, String> {
        let answer = self.node(n).get("/meseta/v1/nodes").map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(answer.to_string());
        }
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |node: &Value| [word(&node["addresses"][0]), word(&node["role"]), word(&node["reach"])];
        Ok(answer.json()["nodes"].as_array().into_iter().flatten().map(of).collect())
    }

    /// Waits until every node sees all others up.
    #[track_caller]
    pub fn all_up(&self) {
        for n in self.numbers() {
            self.wait_for("all nodes are up", || {
                let members = self.members(n)?;
                let up = members.iter().filter(|[_, _, reach]| reach == "up").count();
                if up == usize::from(self.count) { Ok(()) } else { Err(format!("{members:?}")) }
            });
        }
    }

    /// The node that leads, as one of those that run sees it.
    #[track_caller]
    pub fn leader(&self, seen_by: u16) -> u16 {
        self.wait_for("somebody leads", || {
            let members = self.members(seen_by)?;
            let leader = members.iter().find(|[_, role, reach]| role == "leader" && reach == "up");
            let n = leader.and_then(|[address, ..]| self.numbers().find(|n| Self::address(*n) == *address));
            n.ok_or_else(|| format!("{members:?}"))
        })
    }

    /// The hosts of the app's running tasks, sorted, by the id of the task, as node `n` knows them.
    pub fn running(&self, n: u16, app: &str) -> Result<Vec<(String, String)>, String> {
        let answer = self.node(n).get(&format!("/v2/apps/{app}")).map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(answer.to_string());
        }
        let body = answer.json();
        let tasks = body["app"]["tasks"].as_array().into_iter().flatten();
        let running = tasks.filter(|task| task["state"] == "TASK_RUNNING");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> = running.map(|task| (word(&task["host"]), word(&task["id"]))).collect();
        found.sort();
        Ok(found)
    }

    pub fn power_cut(&self, n: u16) {
        self.script(&["--power-cut", &n.to_string()]);
    }

    /// What the nodes say to each other comes so much later from now on.
    pub fn delay(&self, by: Duration) {
        self.script(&["--delay", &by.as_millis().to_string()]);
    }

    /// Boots what was cut; returns when its console answers.
    pub fn start(&self, n: u16) {
        self.script(&["--start", &n.to_string()]);
    }

    /// The same with further hardware, as arguments of QEMU.
    pub fn start_on(&self, n: u16, hardware: &str) {
        let mut command = self.command(&["--start", &n.to_string()]);
        command.env("MESETA_QEMU_ARGS", hardware);
        succeed(command, || self.tails());
    }

    /// Shuts all down; panics if one had to be cut off.
    pub fn stop(&self) {
        let output = self.script(&["--stop"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("cutting its power"), "{said}\n{}", self.tails());
    }

    /// What `scripts/run --ls` says.
    pub fn list(&self) -> String {
        String::from_utf8_lossy(&self.script(&["--ls"]).stdout).into_owned()
    }

    /// What belongs to these machines and their network on this machine.
    pub fn census(&self) -> Census {
        Census::take(&Scope { dir: self.home.path().to_owned(), cgroup: "none-of-them".to_owned() })
    }

    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, DEADLINE, probe, || self.tails())
    }

    fn folder(&self, n: u16) -> PathBuf {
        self.home.path().join(format!("meseta/nodes/{n}"))
    }

    fn serial(&self, n: u16) -> String {
        let bytes = fs::read(self.folder(n).join("serial.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    fn tails(&self) -> String {
        let tail = |n| {
            let serial = self.serial(n);
            let lines: Vec<&str> = serial.lines().collect();
            format!("--- node {n} ---\n{}", lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
        };
        self.numbers().map(tail).collect::<Vec<_>>().join("\n")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(root().join("scripts/run"));
        command.args(args).env("XDG_STATE_HOME", self.home.path());
        command
    }

    #[track_caller]
    fn script(&self, args: &[&str]) -> Output {
        succeed(self.command(args), || self.tails())
    }
}

impl Drop for Vms {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tails());
        }
        let reset = self.command(&["--reset"]).output();
        if !std::thread::panicking() {
            assert!(reset.is_ok_and(|output| output.status.success()), "scripts/run --reset failed");
            let left = self.census();
            assert!(left.is_empty(), "left behind:\n{left}");
        }
    }
}
