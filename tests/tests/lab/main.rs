//! `scripts/lab` as people use it: real nodes in network namespaces of their own, which are killed, cut off and frozen.

mod adoption;
mod drain;
mod one;
mod several;
mod strangers;

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tests::http::Client;
use tests::vm::root;
use tests::wait;

const PASSWORD: &str = "lab-test-word";
/// Nothing tested here takes this long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the lab down however the test ends.
struct Lab;

impl Lab {
    #[track_caller]
    fn up(nodes: usize) -> Self {
        let lab = Self;
        lab.run(&["up", &nodes.to_string(), "--password", PASSWORD]);
        lab
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        let output = lab(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/lab {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A node's API with the administrator's credentials.
    fn node(&self, n: usize) -> Client {
        Client::new(&format!("10.77.0.{n}:8080")).with_password("admin", PASSWORD)
    }

    #[track_caller]
    fn json(&self, n: usize, path: &str) -> Value {
        self.node(n).get(path).expect("an answer").expect(200).json()
    }

    /// `Ok` if node `n` says that exactly `count` tasks of the app run.
    fn runs(&self, n: usize, app: &str, count: u64) -> Result<(), String> {
        let answer = self.node(n).get(&format!("/v2/apps/{app}")).map_err(|error| error.to_string())?;
        let body = answer.json();
        if body["app"]["tasksRunning"] == count { Ok(()) } else { Err(body.to_string()) }
    }

    /// Waits until `condition` holds; shows the lab's nodes and the end of their logs if it never does.
    #[track_caller]
    fn until<T>(&self, what: &str, condition: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, PATIENCE, condition, || self.tail())
    }

    fn tail(&self) -> String {
        let logs = (1..=9).filter_map(|n| std::fs::read_to_string(format!("/run/meseta-lab/{n}/log")).ok());
        let ends = logs.map(|log| log[log.floor_char_boundary(log.len().saturating_sub(3_000))..].to_owned());
        format!("{}{}", self.run(&["ls"]), ends.collect::<Vec<_>>().join("\n----\n"))
    }

    /// Each node's `name role state`, by number.
    fn roles(&self) -> Vec<[String; 3]> {
        let list = self.run(&["ls"]);
        let words = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            [words[0].clone(), words[2].clone(), words[3].clone()]
        };
        list.lines().map(words).collect()
    }

    /// The number of the node that leads.
    #[track_caller]
    fn leader(&self) -> usize {
        self.until("somebody leads", || {
            let roles = self.roles();
            let at = roles.iter().position(|[_, role, state]| role == "leader" && state == "up");
            at.map(|at| at + 1).ok_or_else(|| format!("{roles:?}"))
        })
    }

    /// Hosts of the app's tasks, sorted, as node `n` knows them.
    fn hosts(&self, n: usize, app: &str) -> Vec<String> {
        let body = self.json(n, &format!("/v2/apps/{app}/tasks"));
        let tasks = body["tasks"].as_array().expect("tasks");
        let mut hosts: Vec<String> =
            tasks.iter().filter_map(|task| task["host"].as_str().map(str::to_owned)).collect();
        hosts.sort();
        hosts
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        lab(&["down"]);
    }
}

fn lab(args: &[&str]) -> Output {
    Command::new(root().join("scripts/lab")).args(args).output().expect("scripts/lab starts")
}
