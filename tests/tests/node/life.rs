//! The article's first app, and what a task finds around it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Value, json};
use tests::node::Node;

fn hello2() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seed/hello2.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn hello2_is_answered_with_the_superset() {
    let node = Node::start();
    let answer = node.http.post("/v2/apps", hello2().to_string()).unwrap().expect(201);
    assert!(answer.header("Location").ends_with("/v2/apps/hello2"), "{:?}", answer.headers);
    assert!(!answer.header("Marathon-Deployment-Id").is_empty(), "{:?}", answer.headers);
    assert!(answer.header("X-Marathon-Leader").starts_with("http"), "{:?}", answer.headers);

    let app = answer.json();
    let expected = json!({
        "id": "/hello2", "cmd": "echo hello; sleep 10", "args": null, "user": null, "container": null,
        "acceptedResourceRoles": null, "ipAddress": null, "residency": null,
        "cpus": 0.1, "mem": 16, "instances": 1, "requirePorts": false,
        "env": {}, "labels": {}, "constraints": [], "uris": [], "fetch": [], "storeUrls": [],
        "dependencies": [], "healthChecks": [],
        "backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 300,
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
        "tasksStaged": 0, "tasksRunning": 0, "tasksHealthy": 0, "tasksUnhealthy": 0,
    });
    for (key, value) in expected.as_object().unwrap() {
        let same = match (value.as_f64(), app[key].as_f64()) {
            (Some(wanted), Some(got)) => wanted == got,
            _ => app[key] == *value,
        };
        assert!(same && app.get(key).is_some(), "{key} is {} in {app:#}", app[key]);
    }
    assert_eq!(app["ports"].as_array().map(Vec::len), Some(1), "{app:#}");
    assert_eq!(app["portDefinitions"].as_array().map(Vec::len), Some(1), "{app:#}");
    assert!(app["version"].as_str().is_some_and(|v| v.ends_with('Z')), "{app:#}");
    assert_eq!(app["deployments"][0]["id"], answer.header("Marathon-Deployment-Id"));
}

#[test]
fn hello2_runs_finishes_and_is_started_again() {
    let node = Node::start();
    node.post_app(&hello2());
    let mut lives = BTreeSet::new();
    while lives.len() < 3 {
        let fresh = node.wait_for("a further life of hello2", || {
            let tasks = node.running("hello2")?;
            match tasks.into_iter().find(|t| !lives.contains(t)) {
                Some(task) => Ok(task),
                None => Err(format!("{:#}", node.app("hello2")?)),
            }
        });
        node.wait_output(&fresh, "stdout", |text| text == "hello\n");
        lives.insert(fresh);
    }
    // A finished life can still be read.
    for task in &lives {
        assert_eq!(node.output(task, "stdout", 0).unwrap(), (0, b"hello\n".to_vec()), "{task}");
    }
    node.delete_app("hello2");
}

/// Milliseconds since midnight of a stamp such as `2026-11-22T13:35:45.123Z`.
fn millis_of_day(stamp: &str) -> i64 {
    let digits: Vec<i64> = stamp.split(['T', ':', '.', 'Z']).skip(1).filter_map(|p| p.parse().ok()).collect();
    let [hours, minutes, seconds, millis] = digits[..] else { panic!("not a stamp: {stamp}") };
    ((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis
}

#[test]
fn the_launch_delay_grows_and_is_kept() {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    let node = Node::start();
    let events = BufReader::new(node.http.stream("/v2/events", &[("Accept", "text/event-stream")]).unwrap());
    node.post_app(&json!({
        "id": "brief", "cmd": "true", "cpus": 0.01, "mem": 16,
        "backoffSeconds": 0.4, "backoffFactor": 20, "maxLaunchDelaySeconds": 5,
    }));
    // The delays are 0.4, 5 (capped, else 8) and 5 s. The node may be later, never sooner; a task that took 5 s to start
    // on a busy machine would count as one that lived long.
    let mut ended_at: Option<i64> = None;
    let mut gaps = Vec::new();
    let mut started = BTreeSet::new();
    for line in events.lines() {
        let line = line.expect("the stream goes on");
        let Some(event) = line.strip_prefix("data:").and_then(|d| serde_json::from_str::<Value>(d).ok())
        else {
            continue;
        };
        if event["eventType"] != "status_update_event" || event["appId"] != "/brief" {
            continue;
        }
        let at = millis_of_day(event["timestamp"].as_str().unwrap());
        let task = event["taskId"].as_str().unwrap().to_owned();
        match event["taskStatus"].as_str().unwrap() {
            "TASK_FINISHED" => ended_at = Some(at),
            _ if started.insert(task) => gaps.extend(ended_at.map(|end| (at - end).rem_euclid(DAY_MS))),
            _ => {}
        }
        if gaps.len() == 3 {
            break;
        }
    }
    for (gap, least) in gaps.iter().zip([400, 5_000, 5_000]) {
        assert!(*gap >= least, "started again after {gaps:?} ms, expected at least 400, 5000, 5000");
    }
    assert_eq!(gaps.len(), 3, "the event stream ended early");
}

#[test]
fn a_task_finds_the_environment_that_marathon_gives() {
    let node = Node::start();
    let app = node.post_app(&json!({
        "id": "/inner/env", "cmd": "env; echo complete; sleep 1000", "cpus": 0.25, "mem": 24, "disk": 0,
        "env": {"OWN": "kept as it is", "MARATHON_APP_RESOURCE_CPUS": "the user wins"},
        "labels": {"tier": "front", "a.b-c": "odd"},
        "portDefinitions": [
            {"port": 10042, "name": "http", "protocol": "tcp"}, {"port": 0, "protocol": "tcp"}
        ],
    }));
    let task = node.wait_running("inner/env", 1).remove(0);
    let text = node.wait_output(&task, "stdout", |t| t.contains("complete"));
    let value = |key: &str| {
        let found = text.lines().find_map(|l| l.strip_prefix(&format!("{key}=")));
        found.unwrap_or_else(|| panic!("no {key} in:\n{text}")).to_owned()
    };

    let task_json = node.app("inner/env").unwrap()["tasks"][0].clone();
    let ports: Vec<String> = task_json["ports"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(ports.len(), 2, "{task_json:#}");
    assert!(ports.iter().all(|p| (31_000..=32_000).contains(&p.parse::<u32>().unwrap())), "{ports:?}");
    for (key, expected) in [
        ("MESOS_TASK_ID", task.as_str()),
        ("MARATHON_APP_ID", "/inner/env"),
        ("MARATHON_APP_VERSION", app["version"].as_str().unwrap()),
        ("MARATHON_APP_RESOURCE_CPUS", "the user wins"),
        ("MARATHON_APP_LABEL_TIER", "front"),
        ("MARATHON_APP_LABEL_A_B_C", "odd"),
        ("HOST", task_json["host"].as_str().unwrap()),
        ("PORT", &ports[0]),
        ("PORT0", &ports[0]),
        ("PORT1", &ports[1]),
        ("PORTS", &ports.join(",")),
        ("PORT_10042", &ports[0]),
        ("PORT_HTTP", &ports[0]),
        ("OWN", "kept as it is"),
    ] {
        assert_eq!(value(key), expected, "{key}");
    }
    assert_eq!(value("MARATHON_APP_RESOURCE_MEM").parse::<f64>().unwrap(), 24.0);
    assert_eq!(value("MARATHON_APP_RESOURCE_DISK").parse::<f64>().unwrap(), 0.0);
    let labels: BTreeSet<String> = value("MARATHON_APP_LABELS").split(' ').map(str::to_uppercase).collect();
    assert_eq!(labels.len(), 2, "{labels:?}");
    assert!(value("MESOS_SANDBOX").starts_with('/'));
    assert!(!value("MESOS_CONTAINER_NAME").is_empty());
}

#[test]
fn a_whole_life_is_seen_by_the_census_and_leaves_nothing() {
    let mut node = Node::start();
    node.post_app(&json!({ "id": "guest", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1, "mem": 16 }));
    let tasks = node.wait_running("guest", 2);
    let during = node.census();
    assert!(during.processes.len() >= 5, "init, agent, log and two tasks:\n{during}");
    for task in &tasks {
        assert!(during.cgroups.iter().any(|c| c.to_string_lossy().contains(task)), "{task} in\n{during}");
        assert!(node.task_pid(task).is_some(), "{task} in\n{during}");
    }

    node.delete_app("guest");
    let after = node.wait_for("nothing of the tasks is left", || {
        let now = node.census();
        let names = format!("{now}");
        let bundles = fs::read_dir(node.dir().join("run/bundles")).map(Iterator::count).unwrap_or_default();
        match tasks.iter().any(|t| names.contains(t)) || bundles > 0 {
            true => Err(format!("{bundles} bundles\n{names}")),
            false => Ok(now),
        }
    });
    assert!(after.processes.len() < during.processes.len());

    node.stop();
    let left = node.census();
    assert!(left.is_empty(), "after init has ended:\n{left}");
}
