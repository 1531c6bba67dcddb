//! Who is let in and who is not.

use std::process::Command;

use tests::http::Answer;

use crate::Lab;

fn token(lab: &Lab, body: &str) -> Answer {
    lab.node(1).post("/meseta/v1/join-tokens", body).expect("an answer")
}

/// Adds node 2 by hand with this token; what it says in its log within the lab's patience.
fn join(lab: &Lab, token: &str, expected: &str) {
    std::fs::write("/run/meseta-lab/2/args", format!("--join\n{token}\n")).expect("the lab's node 2");
    // It answers only once it belongs somewhere: the lab's patience is not waited for.
    let mut start = Command::new(tests::vm::root().join("scripts/lab"))
        .args(["start", "2"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("scripts/lab starts");
    lab.until("its log tells", || {
        let log = std::fs::read_to_string("/run/meseta-lab/2/log").map_err(|error| error.to_string())?;
        if log.contains(expected) { Ok(()) } else { Err(format!("no {expected:?}")) }
    });
    start.kill().expect("it was started here");
    start.wait().expect("it was started here");
    lab.run(&["kill", "2"]);
    std::fs::remove_file("/run/meseta-lab/2/log").expect("its log");
    forget(2);
}

/// Node `n`, which must be down, is a machine that was never set up.
pub fn forget(n: usize) {
    let state = format!("/run/meseta-lab/{n}/state");
    for name in std::fs::read_dir(state).expect("a node of the lab").flatten() {
        let path = name.path();
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.expect("the lab's own file");
    }
}

#[test]
fn wrong_used_expired_and_foreign_tokens_are_refused_with_the_reason() {
    let lab = Lab::up(2);
    lab.run(&["kill", "2"]);
    let refusal = token(&lab, r#"{"name":"x","uses":0}"#).expect(422).text();
    assert!(refusal.contains("must be 1 to"), "{refusal}");
    let refusal = token(&lab, r#"{"name":"x","hours":0}"#).expect(422).text();
    assert!(refusal.contains("expected 1 to 8760"), "{refusal}");

    let good =
        token(&lab, r#"{"name":"one"}"#).expect(201).json()["token"].as_str().expect("a token").to_owned();
    let listed = lab.json(1, "/meseta/v1/join-tokens").to_string();
    assert!(listed.contains("\"one\"") && !listed.contains("secret"), "{listed}");
    lab.node(1).delete("/meseta/v1/join-tokens/one").expect("an answer").expect(200);
    forget(2);
    join(&lab, &good, "is unknown to this cluster, or was revoked");
    // The same addresses, but another cluster's fingerprint.
    let foreign = tests::token::with_other_authority(&good);
    join(&lab, &foreign, "UnknownIssuer");
}

#[test]
fn a_removed_node_is_refused_and_its_tasks_go_elsewhere() {
    let lab = Lab::up(3);
    let app = r#"{"id":"two","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":3}"#;
    lab.node(1).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("three run", || lab.runs(1, "two", 3));
    let leader = lab.leader();
    let gone = leader % 3 + 1;
    let nodes = lab.json(leader, "/meseta/v1/nodes");
    let address = format!("10.77.0.{gone}");
    let id = nodes["nodes"].as_array().expect("nodes").iter().find(|node| node["addresses"][0] == *address);
    let id = id.and_then(|node| node["id"].as_str()).expect("its id").to_owned();
    lab.node(leader).delete("/meseta/v1/nodes/n0000000000000000").expect("an answer").expect(404);
    lab.node(leader).delete(&format!("/meseta/v1/nodes/{id}")).expect("an answer").expect(200);
    lab.until("its task runs elsewhere", || {
        let hosts = lab.hosts(leader, "two");
        if hosts.len() == 3 && !hosts.contains(&address) { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    let answer = lab.node(gone).post("/v2/apps", r#"{"id":"x","cmd":"true"}"#).expect("an answer");
    assert_eq!(answer.status, 503, "{answer}");
}

#[test]
fn an_unclaimed_node_joins_by_its_code_and_a_token() {
    let lab = Lab::up(2);
    lab.run(&["kill", "2"]);
    forget(2);
    std::fs::write("/run/meseta-lab/2/args", "").expect("the lab's node 2");
    lab.run(&["start", "2"]);
    let identity = std::fs::read_to_string("/run/meseta-lab/2/state/identity.json").expect("its identity");
    let identity: serde_json::Value = serde_json::from_str(&identity).expect("JSON");
    let code = identity["claim_code"].as_str().expect("a code");
    let good =
        token(&lab, r#"{"name":"one"}"#).expect(201).json()["token"].as_str().expect("a token").to_owned();
    let stranger = tests::http::Client::new("10.77.0.2:8080");
    let ask = |code: &str, token: &str| {
        let body = serde_json::json!({ "code": code, "token": token }).to_string();
        stranger.post("/meseta/v1/join", body).expect("an answer")
    };
    let text = ask("WRON-GONE", &good).expect(403).text();
    assert!(text.contains("code is wrong"), "{text}");
    let text = ask(code, "meseta1.nonsense").expect(422).text();
    assert!(text.contains("copy all of the line"), "{text}");
    ask(code, &good).expect(202);
    lab.until("the password of the cluster is its password", || {
        let nodes = lab.node(2).get("/meseta/v1/nodes").map_err(|error| error.to_string())?;
        let nodes = nodes.json();
        let here = |node: &serde_json::Value| node["is_self"] == true && node["reach"] == "up";
        let up = nodes["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(here));
        if up { Ok(()) } else { Err(nodes.to_string()) }
    });
    ask(code, &good).expect(409);
    // It survives its own restart as what it has become.
    lab.run(&["kill", "2"]);
    lab.run(&["start", "2"]);
    lab.until("it is still a member", || {
        lab.node(2).get("/v2/apps").map(|_| ()).map_err(|error| error.to_string())
    });
}
