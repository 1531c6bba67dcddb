//! The whole node goes: orderly, by power cut, and with its tasks left behind. It comes back without a hand.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::node::Node;

fn sleeper(id: &str, instances: u32) -> Value {
    json!({ "id": id, "cmd": "echo alive; sleep 1000", "instances": instances, "cpus": 0.01, "mem": 16 })
}

/// Both tasks run, are new ones, and nothing of the old ones is on the machine.
fn came_back(node: &Node, before: &BTreeSet<String>) -> BTreeSet<String> {
    let tasks = node.wait_for("two new tasks run", || {
        let tasks: BTreeSet<String> = node.running("phoenix")?.into_iter().collect();
        let fresh = tasks.len() == 2 && tasks.is_disjoint(before);
        if fresh { Ok(tasks) } else { Err(format!("{:#}", node.app("phoenix")?)) }
    });
    for task in &tasks {
        node.wait_output(task, "stdout", |text| text == "alive\n");
    }
    node.wait_for("nothing of the old tasks is left", || {
        let now = node.census().to_string();
        if before.iter().any(|t| now.contains(t)) { Err(now) } else { Ok(()) }
    });
    tasks
}

#[test]
fn an_orderly_restart_brings_the_app_back() {
    let mut node = Node::start();
    node.post_app(&sleeper("phoenix", 2));
    let before: BTreeSet<String> = node.wait_running("phoenix", 2).into_iter().collect();
    node.stop();
    assert_eq!(node.census().to_string(), "");
    node.launch();
    came_back(&node, &before);
}

#[test]
fn a_power_cut_loses_no_acknowledged_write() {
    const WRITES_MIN: usize = 20;
    let mut node = Node::start();
    node.post_app(&sleeper("phoenix", 2));
    let mut before: BTreeSet<String> = node.wait_running("phoenix", 2).into_iter().collect();
    for round in 0..2 {
        // Cut amid a stream of writes: the last one is in flight.
        let client = node.http.clone();
        let (tell, hear) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for number in 0.. {
                let id = format!("/kept/r{round}-{number}");
                let mut app = sleeper(&id, 0);
                app["labels"] = json!({ "number": number.to_string() });
                match client.post("/v2/apps", app.to_string()) {
                    Ok(answer) if answer.status == 201 => {
                        if tell.send(id).is_err() {
                            return;
                        }
                    }
                    _ => return,
                }
            }
        });
        let mut acknowledged: Vec<String> = hear.iter().take(WRITES_MIN).collect();
        // The second time the tasks outlive their init, as they can only off the image.
        if round == 0 {
            node.power_cut()
        } else {
            node.kill_roles()
        }
        acknowledged.extend(hear.iter());
        writer.join().unwrap();

        node.launch();
        before = came_back(&node, &before);
        let apps = node.http.get("/v2/apps").unwrap().expect(200).json();
        let ids: BTreeSet<&str> =
            apps["apps"].as_array().unwrap().iter().filter_map(|a| a["id"].as_str()).collect();
        assert!(acknowledged.len() >= WRITES_MIN, "{acknowledged:?}");
        for id in &acknowledged {
            assert!(ids.contains(id.as_str()), "{id} was acknowledged and is lost; there are {ids:?}");
        }
    }
}

#[test]
fn claim_and_password_survive() {
    let mut node = Node::start();
    let code = node.claim_code();
    node.power_cut();
    node.launch();
    assert_eq!(node.claim_code(), code);
    node.wait_for("the password is known again", || {
        let answer = node.http.get("/v2/apps").map_err(|e| e.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    });
    assert_eq!(node.open().get("/v2/apps").unwrap().status, 401);
}
