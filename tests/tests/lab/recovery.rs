//! Two of three nodes lost for good, and the third that goes on.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::Lab;

const SLEEPERS: &str = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":3,
    "labels":{"MESETA_EXCLUSIVE":"true"}}"#;

fn recover(lab: &Lab, n: usize, confirm: &str) -> tests::http::Answer {
    lab.node(n).post("/meseta/v1/recover", json!({ "confirm": confirm }).to_string()).expect("an answer")
}

#[test]
fn a_survivor_goes_on_alone_and_old_members_are_refused() {
    let lab = Lab::up(3);
    lab.node(1).post("/v2/apps", SLEEPERS).expect("an answer").expect(201);
    lab.until("three sleepers run", || lab.runs(3, "sleepers", 3));
    let refused = recover(&lab, 3, "whatever");
    assert!(refused.status == 409 && refused.text().contains("the majority answers"), "{refused}");

    for lost in ["n1", "n2"] {
        lab.run(&["kill", lost]);
    }
    let asked = lab.until("what may be lost is told", || {
        let answer = lab.node(3).get("/meseta/v1/recover").map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(answer.json()) } else { Err(answer.to_string()) }
    });
    let gone: Vec<&Value> =
        asked["gone"].as_array().expect("a list").iter().map(|n| &n["addresses"][0]).collect();
    assert_eq!(gone.len(), 2, "{asked}");
    assert!(gone.contains(&&json!("10.77.0.1")) && gone.contains(&&json!("10.77.0.2")), "{asked}");
    assert!(asked["last_contact"].is_string() && asked["last_change"].is_u64(), "{asked}");
    assert_eq!(recover(&lab, 3, "another").status, 422);
    let name = asked["node"].as_str().expect("its name");
    recover(&lab, 3, name).expect(202);
    lab.until("all run on the survivor", || {
        let answer = lab.node(3).get("/v2/apps/sleepers/tasks").map_err(|error| error.to_string())?;
        let text = answer.text();
        if text.matches("10.77.0.3").count() >= 3 && lab.runs(3, "sleepers", 3).is_ok() {
            Ok(())
        } else {
            Err(text)
        }
    });
    let nodes = lab.json(3, "/meseta/v1/nodes");
    assert_eq!(nodes["nodes"].as_array().map(Vec::len), Some(1), "{nodes}");
    let app = r#"{"id":"later","cmd":"exec sleep 1000","cpus":0.1,"mem":16}"#;
    lab.node(3).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("the survivor does its work", || lab.runs(3, "later", 1));

    // Who comes back all the same finds nobody who listens, and disturbs nobody.
    let mut start = Command::new(tests::vm::root().join("scripts/lab"))
        .args(["start", "1"])
        .stderr(Stdio::null())
        .spawn()
        .expect("scripts/lab starts");
    lab.until("the one that is back asks in vain", || {
        let answer = lab.node(1).post("/v2/apps", app).map_err(|error| error.to_string())?;
        // Not the 503 of a node that is only starting.
        let in_vain = answer.status == 503 && answer.text().contains("no leader");
        if in_vain { Ok(()) } else { Err(answer.to_string()) }
    });
    start.kill().expect("it was started here");
    start.wait().expect("it was started here");
    lab.runs(3, "later", 1).expect("undisturbed");
    let nodes = lab.json(3, "/meseta/v1/nodes");
    assert_eq!(nodes["nodes"][0]["role"], "leader", "{nodes}");
    let app = r#"{"id":"last","cmd":"exec sleep 1000","cpus":0.1,"mem":16}"#;
    lab.node(3).post("/v2/apps", app).expect("an answer").expect(201);
}
