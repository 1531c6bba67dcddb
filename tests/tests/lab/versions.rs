//! Nodes of the previous build and of this one in one cluster, while it is upgraded node by node.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::lab::signal;
use tests::vm::root;

use crate::Lab;

const SLEEPERS: &str = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":3}"#;
/// What `scripts/previous` ends with where the clone lacks the commit.
const NO_COMMIT: i32 = 3;

/// The program of an earlier commit; `None`, and said, if this clone is too shallow for it.
fn previous() -> Option<String> {
    let built =
        Command::new(root().join("scripts/previous")).stderr(Stdio::inherit()).output().expect("it starts");
    if built.status.code() == Some(NO_COMMIT) {
        println!("SKIPPED: this clone does not have the earlier commit");
        return None;
    }
    assert!(built.status.success(), "scripts/previous: {}", built.status);
    Some(String::from_utf8_lossy(&built.stdout).trim().to_owned())
}

/// One of `nodes` leads: whoever else does is ended until it is so.
fn lead(lab: &Lab, nodes: &[usize]) {
    lab.until("one of these builds leads", || {
        let leader = lab.leader();
        if nodes.contains(&leader) {
            return Ok(());
        }
        signal(&[lab.agent(leader)], Signal::SIGKILL);
        Err(format!("node {leader} leads, wanted is one of {nodes:?}"))
    });
}

/// Through each node one app is created, and all others know it.
fn write_everywhere(lab: &Lab, stage: &str, written: &mut Vec<String>) {
    for n in 1..=3 {
        let id = format!("{stage}-{n}");
        lab.until("a write is accepted", || {
            let app = format!(r#"{{"id":"{id}","cmd":"true","instances":0,"labels":{{"stage":"{stage}"}}}}"#);
            let answer = lab.node(n).post("/v2/apps", app).map_err(|error| error.to_string())?;
            // Who was just ended may have let the answer to one that was applied get lost.
            if [201, 409].contains(&answer.status) { Ok(()) } else { Err(answer.to_string()) }
        });
        written.push(id);
    }
    for n in 1..=3 {
        lab.until("each node has all that was written", || {
            let all = lab.node(n).get("/v2/apps").map_err(|error| error.to_string())?.text();
            let lacks = written.iter().find(|id| !all.contains(&format!("\"/{id}\"")));
            lacks.map_or(Ok(()), |id| Err(format!("node {n} lacks {id}")))
        });
    }
}

/// The states are one and the same, byte by byte.
fn agree(lab: &Lab) {
    lab.until("all know the same", || {
        let hash = |n| {
            let answer = lab.node(n).get("/meseta/v1/state-hash").map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(answer.text()) } else { Err(answer.to_string()) }
        };
        let hashes = (1..=3).map(hash).collect::<Result<Vec<String>, String>>()?;
        if hashes.iter().all(|hash| *hash == hashes[0]) { Ok(()) } else { Err(format!("{hashes:?}")) }
    });
}

/// What this build's node `n` answers to a wish that the previous build does not know.
fn newer(lab: &Lab, n: usize) -> Result<(u16, String), String> {
    let nodes = lab.node(n).get("/meseta/v1/nodes").map_err(|error| error.to_string())?.json();
    let id = nodes["nodes"][0]["id"].as_str().ok_or_else(|| nodes.to_string())?;
    let answer =
        lab.node(n).post(&format!("/meseta/v1/nodes/{id}/key"), "").map_err(|error| error.to_string())?;
    Ok((answer.status, answer.text()))
}

#[test]
fn a_cluster_is_upgraded_node_by_node() {
    let Some(old) = previous() else { return };
    let lab = Lab::up_with_program(3, &old);
    lab.node(1).post("/v2/apps", SLEEPERS).expect("an answer").expect(201);
    lab.until("three sleepers run", || lab.runs(1, "sleepers", 3));
    let mut written = Vec::new();
    write_everywhere(&lab, "old", &mut written);
    for n in 1..=3 {
        lab.run(&["kill", &format!("n{n}")]);
        lab.run(&["start", &format!("n{n}"), "--program", "tree"]);
        for at in 1..=3 {
            lab.all_up(at, 3);
        }
        let (new, old): (Vec<usize>, Vec<usize>) = (1..=3).partition(|at| *at <= n);
        for (build, nodes) in [("new", &new), ("old", &old)] {
            if !nodes.is_empty() {
                lead(&lab, nodes);
                write_everywhere(&lab, &format!("upgraded-{n}-{build}-leads"), &mut written);
                agree(&lab);
            }
        }
        lab.until("the sleepers run", || lab.runs(n, "sleepers", 3));
        if !old.is_empty() {
            lab.until("what is newer is refused with the reason", || match newer(&lab, n)? {
                (409, text) if text.contains("feature level") => Ok(()),
                (202, text) => panic!("an older node leads or follows, and it was accepted: {text}"),
                (status, text) => Err(format!("{status} {text}")),
            });
        }
    }
    lab.until("what is new is understood by all", || match newer(&lab, 1)? {
        (202, _) => Ok(()),
        (status, text) => Err(format!("{status} {text}")),
    });
    write_everywhere(&lab, "new", &mut written);
    agree(&lab);
    let tasks: Value = lab.json(2, "/v2/apps/sleepers/tasks");
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(3), "{tasks}");
}
