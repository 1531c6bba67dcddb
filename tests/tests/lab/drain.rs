//! Three nodes: one is drained and named by its operator, one task is moved, and a request is said twice.

use serde_json::{Value, json};

use crate::Lab;

const SLEEPERS: &str = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.2,"mem":16,"instances":3}"#;

/// The node's entry in the list of nodes, as node `asked` has it.
fn listed(lab: &Lab, asked: usize, n: usize) -> Value {
    let address = format!("10.77.0.{n}");
    let nodes = lab.json(asked, "/meseta/v1/nodes");
    let found = nodes["nodes"]
        .as_array()
        .and_then(|nodes| nodes.iter().find(|node| node["addresses"][0] == address.as_str()).cloned());
    found.unwrap_or_else(|| panic!("{address} is not in {nodes}"))
}

fn change(lab: &Lab, asked: usize, n: usize, wish: &Value) -> u16 {
    let path = format!("/meseta/v1/nodes/{}", listed(lab, asked, n)["id"].as_str().expect("an id"));
    let answer = lab.node(asked).send("PATCH", &path, &[], Some(wish.to_string().as_bytes()));
    answer.expect("an answer").status
}

#[test]
fn a_drained_node_is_emptied_without_a_gap_and_given_nothing() {
    let lab = Lab::up(3);
    lab.node(1).post("/v2/apps", SLEEPERS).expect("an answer").expect(201);
    lab.until("three sleepers run", || lab.runs(1, "sleepers", 3));
    let drained = lab.leader();
    let asked = drained % 3 + 1;
    let gone = format!("10.77.0.{drained}");

    assert_eq!(change(&lab, asked, drained, &json!({ "availability": "idle" })), 422);
    assert_eq!(change(&lab, asked, drained, &json!({ "name": "two words" })), 422);
    assert_eq!(change(&lab, asked, drained, &json!({ "availability": "draining", "name": "old-iron" })), 200);
    lab.until("its task runs elsewhere", || {
        let app = lab.json(asked, "/v2/apps/sleepers")["app"].clone();
        let running = app["tasksRunning"].as_u64().unwrap_or_default();
        assert!(running >= 3, "only {running} of 3 run: the old one went before the new one served");
        let hosts = lab.hosts(asked, "sleepers");
        if hosts.len() == 3 && !hosts.contains(&gone) { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    let node = listed(&lab, asked, drained);
    assert_eq!((&node["availability"], &node["name"]), (&"draining".into(), &"old-iron".into()));
    let more = lab.node(asked).put("/v2/apps/sleepers", r#"{"instances":6}"#).expect("an answer");
    assert_eq!(more.status, 200, "{more}");
    lab.until("six run", || lab.runs(asked, "sleepers", 6));
    assert!(!lab.hosts(asked, "sleepers").contains(&gone));
    lab.until("nothing is being deployed", || {
        let app = lab.json(asked, "/v2/apps/sleepers")["app"]["deployments"].clone();
        if app.as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(app.to_string()) }
    });

    assert_eq!(change(&lab, asked, drained, &json!({ "availability": "active" })), 200);
    let planned = lab.json(asked, "/meseta/v1/rebalance")["moves"].as_array().map_or(0, Vec::len);
    lab.node(asked).post("/meseta/v1/rebalance", "").expect("an answer").expect(202);
    lab.until("the load is evened out", || {
        let there = lab.hosts(asked, "sleepers").iter().filter(|host| **host == gone).count();
        if there == planned && planned == 2 { Ok(()) } else { Err(format!("{there} of {planned}")) }
    });
    let there = r#"{"id":"there","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"constraints":[["rack","CLUSTER","r9"]]}"#;
    lab.node(asked).post("/v2/apps", there).expect("an answer").expect(201);
    assert_eq!(change(&lab, asked, drained, &json!({ "attributes": { "rack": "r9" } })), 200);
    lab.until("the only node of the rack has it", || lab.runs(asked, "there", 1));
    assert_eq!(lab.hosts(asked, "there"), [gone]);
}

#[test]
fn one_task_is_moved_and_its_successor_serves_first() {
    let lab = Lab::up(3);
    let app = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16}"#;
    lab.node(1).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("it runs", || lab.runs(1, "sleepers", 1));
    let before = lab.hosts(2, "sleepers");
    let task = lab.json(2, "/v2/apps/sleepers/tasks")["tasks"][0]["id"].clone();
    let path = format!("/meseta/v1/tasks/{}/move", task.as_str().expect("an id"));
    lab.node(2).post(&path, "").expect("an answer").expect(202);
    lab.until("it runs elsewhere", || {
        let hosts = lab.hosts(3, "sleepers");
        if hosts.len() == 1 && hosts != before { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    lab.node(3).post(&path, "").expect("an answer").expect(404);
}

#[test]
fn a_request_that_is_said_twice_through_different_nodes_is_applied_once() {
    let lab = Lab::up(3);
    let app = r#"{"id":"once","cmd":"true","instances":0}"#;
    let say = |n: usize| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "the-same-request")];
        let answer = lab.node(n).send("POST", "/v2/apps", &headers, Some(app.as_bytes()));
        answer.expect("an answer").expect(201).json()["version"].clone()
    };
    let versions = [say(1), say(2), say(3)];
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    let other = lab.node(2).post("/v2/apps", app).expect("an answer");
    assert_eq!(other.status, 409, "another request for the same app: {other}");
}

#[test]
fn a_cluster_that_evens_itself_out_moves_one_after_the_other() {
    let lab = Lab::up(3);
    let idle = lab.leader();
    let asked = idle % 3 + 1;
    assert_eq!(change(&lab, asked, idle, &json!({ "availability": "cordoned" })), 200);
    let six = SLEEPERS.replace(r#""instances":3"#, r#""instances":6"#);
    lab.node(1).post("/v2/apps", six).expect("an answer").expect(201);
    lab.until("six sleepers run", || lab.runs(1, "sleepers", 6));
    assert_eq!(change(&lab, asked, idle, &json!({ "availability": "active" })), 200);
    let wish = |wish: &str| {
        let answer = lab.node(asked).send("PATCH", "/meseta/v1/settings", &[], Some(wish.as_bytes()));
        answer.expect("an answer").status
    };
    assert_eq!(wish(r#"{"rebalance":"never"}"#), 422);
    assert_eq!(wish(r#"{"rebalance":"automatic"}"#), 200);
    let host = format!("10.77.0.{idle}");
    let there = |hosts: &[String]| hosts.iter().filter(|other| **other == host).count();
    let mut most = 0;
    lab.until("two of six moved to it", || {
        let app = lab.json(asked, "/v2/apps/sleepers")["app"].clone();
        assert!(app["tasksRunning"].as_u64() >= Some(6), "the old one went before the new one served: {app}");
        let hosts = lab.hosts(asked, "sleepers");
        most = most.max(hosts.len());
        if there(&hosts) == 2 && hosts.len() == 6 { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    assert!(most <= 7, "{most} at once: more than one moved at a time");
}
