//! A node that comes and goes is given nothing until a person says so: each time its tasks would be moved for nothing.

use serde_json::{Value, json};

use crate::Lab;

/// That often within ten minutes is too often.
const LOSSES: usize = 3;

#[test]
fn a_node_that_comes_and_goes_is_quarantined_until_a_person_lifts_it() {
    let lab = Lab::up(3);
    let asked = lab.leader();
    let flapping = asked % 3 + 1;
    let host = format!("10.77.0.{flapping}");
    let listed = || {
        let nodes = lab.json(asked, "/meseta/v1/nodes");
        let nodes = nodes["nodes"].as_array().expect("nodes");
        nodes.iter().find(|node| node["addresses"][0] == host.as_str()).expect("it is a member").clone()
    };
    let availability = || listed()["availability"].clone();
    for _ in 0..LOSSES {
        assert_eq!(availability(), "active");
        for other in (1..=3).filter(|other| *other != flapping) {
            lab.run(&["cut", &format!("n{flapping}"), &format!("n{other}")]);
        }
        lab.until("it is lost", || {
            let node = listed();
            if node["reach"] != "up" { Ok(()) } else { Err(node.to_string()) }
        });
        lab.run(&["heal"]);
        lab.all_up(asked, 3);
    }
    let node = listed();
    assert_eq!(node["availability"], "quarantined");
    assert_eq!(node["losses"].as_array().map(Vec::len), Some(LOSSES), "the reason is told: {node}");

    let app =
        |id: &str| json!({ "id": id, "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16, "instances": 4 });
    let hosts = |id: &str| -> Vec<String> {
        lab.node(asked).post("/v2/apps", app(id).to_string()).expect("an answer").expect(201);
        lab.until("all of it runs", || lab.runs(asked, id, 4));
        lab.hosts(asked, id)
    };
    let without = hosts("without");
    assert!(!without.contains(&host), "{without:?}");

    let path = format!("/meseta/v1/nodes/{}", listed()["id"].as_str().expect("an id"));
    let wish = |availability: &str| -> (u16, Value) {
        let body = json!({ "availability": availability }).to_string();
        let answer = lab.node(flapping).send("PATCH", &path, &[], Some(body.as_bytes())).expect("an answer");
        (answer.status, answer.json())
    };
    let (status, said) = wish("quarantined");
    assert_eq!(status, 422, "only the cluster says so: {said}");
    assert_eq!(wish("active").0, 200);
    let with = hosts("with");
    assert!(with.contains(&host), "{with:?}");
}
