//! `scripts/lab` as people use it: a real node in a network namespace of its own.

use std::process::{Command, Output};

use tests::http::Client;
use tests::vm::root;
use tests::wait;

const PASSWORD: &str = "lab-test-word";

/// Takes the lab down however the test ends.
struct Lab;

impl Lab {
    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        let output = lab(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/lab {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
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

#[test]
fn a_node_in_its_namespace_is_killed_and_comes_back() {
    let lab = Lab;
    lab.run(&["up", "1", "--password", PASSWORD]);
    assert_eq!(lab.run(&["ls"]).split_whitespace().collect::<Vec<_>>(), ["n1", "10.77.0.1", "leader", "up"]);
    let node = Client::new("10.77.0.1:8080").with_password("admin", PASSWORD);
    let created = node.post("/v2/apps", r#"{"id":"sleeper","cmd":"sleep 1000"}"#).expect("an answer");
    assert_eq!(created.status, 201, "{created}");

    lab.run(&["kill", "1"]);
    assert!(lab.run(&["ls"]).contains("down"));
    lab.run(&["start", "1"]);
    let tail = || lab.run(&["ls"]);
    wait::until("the app runs again", std::time::Duration::from_secs(60), || running(&node), tail);

    lab.run(&["down"]);
    assert_eq!(lab.run(&["ls"]), "");
    let spaces = Command::new("ip").arg("netns").output().expect("ip starts").stdout;
    assert!(!String::from_utf8_lossy(&spaces).contains("meseta"), "a namespace is left");
}

fn running(node: &Client) -> Result<(), String> {
    let answer = node.get("/v2/apps/sleeper").map_err(|error| error.to_string())?;
    let body = answer.json();
    if body["app"]["tasksRunning"] == 1 { Ok(()) } else { Err(body.to_string()) }
}
