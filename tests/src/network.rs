//! A network namespace for one node, joined to this machine by a pair of interfaces: what a node of its own address
//! has, so that its bridge and its packet filter are its own.
//!
//! Dropping it removes both.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Debug)]
pub struct Network {
    name: String,
    link: String,
    pub address: Ipv4Addr,
}

impl Network {
    /// The node's side is 10.78.x.2, ours 10.78.x.1; x is of this process and counts up.
    pub fn new() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let third = (process as u8).wrapping_mul(16).wrapping_add(number);
        let network = Self {
            name: format!("meseta-test-{process}-{number}"),
            link: format!("mx{process:x}n{number:x}"),
            address: Ipv4Addr::new(10, 78, third, 2),
        };
        let (name, link) = (network.name.as_str(), network.link.as_str());
        ip(&["netns", "add", name]);
        ip(&["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name]);
        ip(&["addr", "add", &format!("10.78.{third}.1/24"), "dev", link]);
        ip(&["link", "set", link, "up"]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
        ip(&["-n", name, "addr", "add", &format!("{}/24", network.address), "dev", "eth0"]);
        ip(&["-n", name, "link", "set", "eth0", "up"]);
        ip(&["-n", name, "route", "add", "default", "via", &format!("10.78.{third}.1")]);
        network
    }

    /// Ours in the pair: where a task reaches this machine.
    pub fn outside(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.address.octets();
        Ipv4Addr::new(a, b, c, 1)
    }

    /// Path of the namespace, to be entered.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs a command in the node's network; returns what it wrote, or its failure in words.
    pub fn run(&self, command: &[&str]) -> Result<String, String> {
        let mut enter = Command::new("nsenter");
        let output = enter.arg(format!("--net={}", self.path())).arg("--").args(command).output();
        let output = output.map_err(|error| format!("{command:?}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    /// What the node has made here beside its loopback and `eth0`: interfaces, tables of the packet filter.
    pub fn traces(&self) -> Vec<String> {
        let links = self.run(&["ip", "-o", "link"]).unwrap_or_else(|error| error);
        let links = links.lines().filter_map(|line| line.split(": ").nth(1));
        let links = links.map(|name| name.split('@').next().unwrap_or(name).to_owned());
        let tables = self.run(&["nft", "list", "tables"]).unwrap_or_else(|error| error);
        links.filter(|name| name != "lo" && name != "eth0").chain(tables.lines().map(str::to_owned)).collect()
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Deleting one end deletes both; without it the kernel would take its time.
        for args in [["link", "del", self.link.as_str()], ["netns", "del", self.name.as_str()]] {
            let _ = Command::new("ip").args(args).output();
        }
    }
}

#[track_caller]
fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("the program ip");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args:?}: {said}; these tests need root");
}
