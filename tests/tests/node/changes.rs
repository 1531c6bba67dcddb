//! Changing an app: scaling, replacing, restarting, stopping.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::node::Node;

fn sleeper(id: &str, instances: u32) -> Value {
    json!({ "id": id, "cmd": "sleep 1000", "instances": instances, "cpus": 0.01, "mem": 16 })
}

fn version(node: &Node, id: &str) -> String {
    node.app(id).unwrap()["version"].as_str().unwrap().to_owned()
}

#[test]
fn scaling_up_and_down_keeps_the_tasks_that_stay() {
    let node = Node::start();
    node.post_app(&sleeper("scaled", 1));
    let first = node.wait_running("scaled", 1).remove(0);

    node.wait_settled("scaled");

    let answer = node.http.put("/v2/apps/scaled", r#"{"instances": 4}"#).unwrap().expect(200);
    assert!(!answer.header("Marathon-Deployment-Id").is_empty(), "{:?}", answer.headers);
    let four = node.wait_running("scaled", 4);
    assert!(four.contains(&first), "{first} was replaced by {four:?}");

    node.wait_settled("scaled");

    node.http.put("/v2/apps/scaled", r#"{"instances": 2}"#).unwrap().expect(200);
    let two: BTreeSet<String> = node.wait_running("scaled", 2).into_iter().collect();
    assert!(two.is_subset(&four.into_iter().collect()), "{two:?} are new");
    node.wait_for("the ended tasks' processes are gone", || match node.task_pids("").len() {
        2 => Ok(()),
        other => Err(format!("{other} processes in the tasks' cgroups")),
    });

    node.wait_settled("scaled");

    node.http.put("/v2/apps/scaled", r#"{"instances": 0}"#).unwrap().expect(200);
    node.wait_running("scaled", 0);
    assert_eq!(node.app("scaled").unwrap()["instances"], 0);
}

#[test]
fn an_equal_definition_changes_nothing() {
    let node = Node::start();
    node.post_app(&sleeper("same", 1));
    let task = node.wait_running("same", 1);
    let (before, pid) = (version(&node, "same"), node.task_pid(&task[0]));

    node.wait_settled("same");

    node.http.put("/v2/apps/same", sleeper("same", 1).to_string()).unwrap().expect(200);
    assert_eq!(version(&node, "same"), before);
    // A write after it, applied in order: whatever the equal one set off would be seen by now.
    node.post_app(&sleeper("marker", 1));
    node.wait_running("marker", 1);
    assert_eq!((node.running("same").unwrap(), node.task_pid(&task[0])), (task, pid));
}

#[test]
fn a_new_definition_and_a_restart_replace_the_tasks() {
    let node = Node::start();
    node.post_app(&sleeper("rolling", 2));
    let first: BTreeSet<String> = node.wait_running("rolling", 2).into_iter().collect();
    let old_version = version(&node, "rolling");

    let new = json!({ "cmd": "echo renewed; sleep 1000" });
    node.wait_settled("rolling");
    node.http.put("/v2/apps/rolling", new.to_string()).unwrap().expect(200);
    let all_new = |before: &BTreeSet<String>| {
        node.wait_for("all tasks are new ones", || {
            let tasks: BTreeSet<String> = node.running("rolling")?.into_iter().collect();
            let live = node.app("rolling")?["tasks"].as_array().map(Vec::len);
            match tasks.len() == 2 && live == Some(2) && tasks.is_disjoint(before) {
                true => Ok(tasks),
                false => Err(format!("{tasks:?} of {live:?}, before {before:?}")),
            }
        })
    };
    let second = all_new(&first);
    for task in &second {
        node.wait_output(task, "stdout", |text| text == "renewed\n");
    }
    let versions = node.http.get("/v2/apps/rolling/versions").unwrap().expect(200).json();
    let listed: Vec<&str> =
        versions["versions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(listed, [version(&node, "rolling").as_str(), old_version.as_str()], "newest first");
    let stored =
        node.http.get(&format!("/v2/apps/rolling/versions/{old_version}")).unwrap().expect(200).json();
    assert_eq!(stored["cmd"], "sleep 1000", "{stored:#}");

    node.wait_settled("rolling");

    node.http.post("/v2/apps/rolling/restart", "").unwrap().expect(200);
    all_new(&second);
}

#[test]
fn a_task_that_ignores_sigterm_is_killed_after_its_grace() {
    let node = Node::start();
    node.post_app(&json!({
        "id": "deaf", "cmd": "trap 'echo heard' TERM; echo ready; while true; do sleep 0.1; done",
        "cpus": 0.1, "mem": 16, "taskKillGracePeriodSeconds": 1,
    }));
    let task = node.wait_running("deaf", 1).remove(0);
    node.wait_output(&task, "stdout", |text| text == "ready\n");
    let pid = node.task_pid(&task).expect("a process");

    node.wait_settled("deaf");

    node.http.put("/v2/apps/deaf", r#"{"instances": 0}"#).unwrap().expect(200);
    // SIGTERM came first and was ignored; what ended the task was SIGKILL.
    node.wait_output(&task, "stdout", |text| text == "ready\nheard\n");
    node.wait_running("deaf", 0);
    node.wait_for("its process is gone", || match std::fs::metadata(format!("/proc/{pid}")) {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("pid {pid} is there")),
    });
    // An ordered end is no failure: nothing is held back afterwards.
    node.wait_settled("deaf");
    node.http.put("/v2/apps/deaf", r#"{"instances": 1}"#).unwrap().expect(200);
    node.wait_running("deaf", 1);
}

#[test]
fn a_killed_task_is_replaced() {
    let node = Node::start();
    node.post_app(&sleeper("victim", 2));
    let before = node.wait_running("victim", 2);
    node.http.delete(&format!("/v2/apps/victim/tasks/{}", before[0])).unwrap().expect(200);
    node.wait_for("another task takes its place", || {
        let now = node.running("victim")?;
        match now.len() == 2 && !now.contains(&before[0]) && now.contains(&before[1]) {
            true => Ok(()),
            false => Err(format!("{now:?}, before {before:?}")),
        }
    });
}

#[test]
fn tasks_are_listed_as_json_and_as_text() {
    let node = Node::start();
    let mut app = sleeper("/front/listed", 2);
    app["portDefinitions"] = json!([{ "port": 10_050, "protocol": "tcp" }]);
    node.post_app(&app);
    node.wait_running("front/listed", 2);

    let all = node.http.get("/v2/tasks?status=running").unwrap().expect(200).json();
    let tasks = all["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2, "{all:#}");
    assert!(
        tasks.iter().all(|t| t["appId"] == "/front/listed" && t["servicePorts"] == json!([10_050])),
        "{all:#}"
    );

    let text =
        node.http.send("GET", "/v2/tasks", &[("Accept", "text/plain")], None).unwrap().expect(200).text();
    let mut addresses: Vec<String> =
        tasks.iter().map(|t| format!("{}:{}", t["host"].as_str().unwrap(), t["ports"][0])).collect();
    addresses.sort();
    let fields: Vec<&str> = text.trim_end().split('\t').collect();
    assert_eq!(fields, ["front_listed", "10050", addresses[0].as_str(), addresses[1].as_str()], "{text:?}");

    let own = node.http.get("/v2/apps/front/listed/tasks").unwrap().expect(200).json();
    assert_eq!(own["tasks"].as_array().map(Vec::len), Some(2), "{own:#}");
    let none = node.http.get("/v2/tasks?status=staging").unwrap().expect(200).json();
    assert_eq!(none["tasks"], json!([]));
}
