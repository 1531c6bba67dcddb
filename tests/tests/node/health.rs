//! Health checks that are really made: what they find is seen, waited for, and acted upon.

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};
use tests::node::{Node, Options};

/// Serves the folder `www` of its sandbox on the port it is given: `up` is there from the start.
const SERVER: &str = "mkdir www; echo fine > www/up; exec httpd -f -p $PORT0 -h www";

fn app(id: &str, path: &str, more: Value) -> Value {
    let mut app = json!({
        "id": id, "cmd": SERVER, "cpus": 0.1, "mem": 32,
        "backoffSeconds": 0.3, "backoffFactor": 1,
        "portDefinitions": [{"port": 0, "name": "web"}],
        "healthChecks": [{
            "protocol": "HTTP", "path": path, "portIndex": 0, "gracePeriodSeconds": 30, "intervalSeconds": 0.2,
            "timeoutSeconds": 5, "maxConsecutiveFailures": 3,
        }],
    });
    for (key, value) in more.as_object().unwrap() {
        app[key] = value.clone();
    }
    app
}

/// Waits until that many tasks of the app are healthy and that many unhealthy.
#[track_caller]
fn wait_health(node: &Node, id: &str, healthy: u64, unhealthy: u64) -> Value {
    node.wait_for(&format!("{healthy} healthy and {unhealthy} unhealthy tasks of {id}"), || {
        let app = node.app(id)?;
        let is_so = app["tasksHealthy"] == healthy && app["tasksUnhealthy"] == unhealthy;
        if is_so { Ok(app) } else { Err(format!("{app:#}")) }
    })
}

#[test]
fn a_healthy_task_is_seen_and_survives_the_agent() {
    let node = Node::start();
    node.post_app(&app("fit", "/up", json!({ "instances": 2 })));
    let seen = wait_health(&node, "fit", 2, 0);
    for task in seen["tasks"].as_array().unwrap() {
        let result = &task["healthCheckResults"][0];
        assert_eq!((&result["alive"], &result["consecutiveFailures"]), (&json!(true), &json!(0)), "{task:#}");
        assert!(result["firstSuccess"].as_str().is_some_and(|at| at.ends_with('Z')), "{task:#}");
        assert!(task["id"].as_str().unwrap().starts_with(result["instanceId"].as_str().unwrap()), "{task:#}");
    }
    node.wait_settled("fit");
    let tasks = node.running("fit").unwrap();
    node.kill_role("agent");
    let after = wait_health(&node, "fit", 2, 0);
    assert_eq!(node.running("fit").unwrap(), tasks, "{after:#}");
    // It is still being looked at.
    fs::remove_file(node.sandbox_file(&tasks[0], "www/up")).unwrap();
    let failure = node.wait_failure("fit", "");
    assert_eq!(failure["taskId"], tasks[0].as_str(), "{failure:#}");
}

#[test]
fn a_task_that_falls_ill_is_replaced_and_the_reason_told() {
    let node = Node::start();
    let events = BufReader::new(node.http.stream("/v2/events", &[("Accept", "text/event-stream")]).unwrap());
    node.post_app(&app("frail", "/up", json!({})));
    wait_health(&node, "frail", 1, 0);
    node.wait_settled("frail");
    let task = node.running("frail").unwrap().remove(0);
    fs::remove_file(node.sandbox_file(&task, "www/up")).unwrap();
    let failure = node.wait_failure("frail", "");
    assert_eq!((&failure["taskId"], &failure["state"]), (&json!(task), &json!("TASK_FAILED")), "{failure:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("health check kept failing") && message.contains("HTTP status 404"),
        "{message}"
    );
    assert!(message.contains("3 failures in a row"), "{message}");
    let app = wait_health(&node, "frail", 1, 0);
    assert_ne!(app["tasks"][0]["id"], task.as_str());

    let mut kinds: Vec<(String, Value)> = Vec::new();
    for line in events.lines() {
        let line = line.expect("the stream goes on");
        let event = line.strip_prefix("data:").and_then(|data| serde_json::from_str::<Value>(data).ok());
        let Some(event) = event.filter(|event| event["appId"] == "/frail") else { continue };
        let kind = event["eventType"].as_str().unwrap().to_owned();
        if kind.contains("health") {
            kinds.push((kind, event));
        }
        if kinds.len() == 4 {
            break;
        }
    }
    let names: Vec<&str> = kinds.iter().map(|(kind, _)| kind.as_str()).collect();
    let expected = [
        "health_status_changed_event",
        "failed_health_check_event",
        "health_status_changed_event",
        "unhealthy_instance_kill_event",
    ];
    assert_eq!(names, expected);
    assert_eq!((&kinds[0].1["alive"], &kinds[2].1["alive"]), (&json!(true), &json!(false)));
    assert_eq!(kinds[1].1["healthCheck"]["path"], "/up", "{:#}", kinds[1].1);
}

#[test]
fn a_deployment_waits_for_health_and_keeps_the_old_meanwhile() {
    let node = Node::start();
    node.post_app(&app("slow", "/up", json!({})));
    wait_health(&node, "slow", 1, 0);
    node.wait_settled("slow");
    let old = node.running("slow").unwrap().remove(0);
    // The new version is well only once the test says so.
    let waits = "mkdir www; httpd -p $PORT0 -h www; while [ ! -e go ]; do sleep 0.05; done; echo fine > www/up; sleep 1000";
    node.http
        .put("/v2/apps/slow", app("slow", "/up", json!({ "cmd": waits })).to_string())
        .unwrap()
        .expect(200);
    let both = node.wait_running("slow", 2);
    let new = both.iter().find(|task| **task != old).unwrap();
    let seen = wait_health(&node, "slow", 1, 0);
    assert_eq!(seen["deployments"].as_array().map(Vec::len), Some(1), "{seen:#}");
    fs::write(node.sandbox_file(new, "go"), "").unwrap();
    node.wait_settled("slow");
    assert_eq!(node.running("slow").unwrap(), [new.as_str()]);
    wait_health(&node, "slow", 1, 0);
}

#[test]
fn commands_and_connections_are_checks_too() {
    let node = Node::start_with(Options { own_network: true, ..Options::default() });
    node.post_app(&json!({
        "id": "mixed", "cmd": "touch up; exec httpd -f -p 8080", "cpus": 0.2, "mem": 32, "backoffSeconds": 0.3,
        "networks": [{"mode": "container/bridge"}],
        "container": {"type": "MESOS", "portMappings": [{"containerPort": 8080, "hostPort": 0}]},
        "healthChecks": [
            {"protocol": "TCP", "portIndex": 0, "intervalSeconds": 0.2, "maxConsecutiveFailures": 0},
            {"protocol": "COMMAND", "command": {"value": "test -e /mnt/mesos/sandbox/up"}, "delaySeconds": 0,
             "intervalSeconds": 0.2, "timeoutSeconds": 10, "gracePeriodSeconds": 0, "maxConsecutiveFailures": 2},
        ],
    }));
    let app = wait_health(&node, "mixed", 1, 0);
    let task = app["tasks"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(app["tasks"][0]["healthCheckResults"].as_array().map(Vec::len), Some(2), "{app:#}");
    fs::remove_file(node.sandbox_file(&task, "up")).unwrap();
    let failure = node.wait_failure("mixed", "");
    assert_eq!(failure["taskId"], task.as_str());
    assert!(failure["message"].as_str().unwrap().contains("the command ended with code 1"), "{failure:#}");
    wait_health(&node, "mixed", 1, 0);
}
