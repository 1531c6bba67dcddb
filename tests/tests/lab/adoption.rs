//! An unclaimed node is heard of by its neighbours and taken in by the code on its screen.

use std::fs;

use serde_json::json;

use crate::Lab;

/// Node 2 as it comes from the factory: it runs, and nobody has claimed it.
fn unclaimed(lab: &Lab) {
    lab.run(&["kill", "2"]);
    super::strangers::forget(2);
    fs::write("/run/meseta-lab/2/args", "").expect("the lab's node 2");
    lab.run(&["start", "2"]);
}

/// As it stands on its screen.
fn code() -> String {
    let text = fs::read_to_string("/run/meseta-lab/2/state/identity.json").expect("its identity");
    let identity: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    identity["claim_code"].as_str().expect("a code").to_owned()
}

#[test]
fn an_unclaimed_node_is_found_and_taken_in_by_its_code() {
    let lab = Lab::up(3);
    let id = lab.json(1, "/meseta/v1/nodes")["nodes"].as_array().and_then(|nodes| {
        let node = nodes.iter().find(|node| node["addresses"][0] == "10.77.0.2")?;
        node["id"].as_str().map(str::to_owned)
    });
    unclaimed(&lab);
    let removed = format!("/meseta/v1/nodes/{}", id.expect("node 2 was a member"));
    lab.node(1).delete(&removed).expect("an answer").expect(200);
    lab.until("its neighbours hear of it", || {
        let found = lab.json(3, "/meseta/v1/unclaimed-nodes");
        let is_there =
            found["nodes"][0]["addresses"].as_array().is_some_and(|a| a.contains(&"10.77.0.2".into()));
        if is_there { Ok(()) } else { Err(found.to_string()) }
    });

    let adopt = |address: &str, code: &str| {
        let wish = json!({ "address": address, "code": code }).to_string();
        lab.node(3).post("/meseta/v1/unclaimed-nodes", wish).expect("an answer")
    };
    let refused = adopt("10.77.0.2", "AAAA-AAAA");
    assert!(refused.status == 403 && refused.text().contains("on the node's screen"), "{refused}");
    assert_eq!(adopt("10.77.0.1", &code()).status, 409, "a member");
    assert_eq!(adopt("10.77.0.99", &code()).status, 502, "nobody");
    let left = lab.json(1, "/meseta/v1/join-tokens");
    assert!(!left.to_string().contains("adopts"), "{left}");

    let taken = adopt("10.77.0.2", &code());
    assert_eq!(taken.status, 201, "{taken}");
    lab.until("it is a member", || {
        let nodes = lab.json(1, "/meseta/v1/nodes");
        let is_up = |node: &serde_json::Value| node["addresses"][0] == "10.77.0.2" && node["reach"] == "up";
        let up = nodes["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(is_up));
        if up { Ok(()) } else { Err(nodes.to_string()) }
    });
    lab.node(2).get("/v2/apps").expect("an answer").expect(200);
    lab.until("nobody announces itself any more", || {
        let found = lab.json(3, "/meseta/v1/unclaimed-nodes");
        if found["nodes"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(found.to_string()) }
    });
}
