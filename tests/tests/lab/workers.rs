//! Nodes that hold no log: by a person's wish, and because there are servers enough.

use std::path::Path;

use serde_json::{Value, json};

use crate::Lab;

fn roles(lab: &Lab) -> Vec<String> {
    lab.roles().into_iter().map(|[_, role, _]| role).collect()
}

fn until_role(lab: &Lab, n: usize, wanted: &str) {
    lab.until(&format!("node {n} is a {wanted}"), || {
        let roles = roles(lab);
        if roles[n - 1] == wanted { Ok(()) } else { Err(format!("{roles:?}")) }
    });
}

fn until_equal(lab: &Lab, nodes: &[usize]) {
    lab.until("all know the same", || {
        let hash = |n: &usize| {
            let answer = lab.node(*n).get("/meseta/v1/state-hash").map_err(|error| error.to_string())?;
            // A node that begins anew says so meanwhile.
            if answer.status == 200 { Ok(answer.text()) } else { Err(answer.to_string()) }
        };
        let hashes = nodes.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        if hashes.iter().all(|hash| *hash == hashes[0]) { Ok(()) } else { Err(format!("{hashes:?}")) }
    });
}

fn may_hold_the_log(lab: &Lab, asked: usize, n: usize, wish: bool) {
    let nodes = lab.json(asked, "/meseta/v1/nodes");
    let is_it = |node: &&Value| node["addresses"][0] == format!("10.77.0.{n}");
    let id =
        nodes["nodes"].as_array().and_then(|nodes| nodes.iter().find(is_it)).expect("it is a member")["id"]
            .clone();
    let path = format!("/meseta/v1/nodes/{}", id.as_str().expect("an id"));
    let wish = json!({ "attributes": { "MESETA_SERVER": wish.to_string() } }).to_string();
    lab.node(asked).send("PATCH", &path, &[], Some(wish.as_bytes())).expect("an answer").expect(200);
}

fn has_log(n: usize) -> bool {
    Path::new(&format!("/run/meseta-lab/{n}/state/raft.db")).exists()
}

#[test]
fn a_node_gives_up_the_log_works_on_and_takes_it_up_again() {
    let lab = Lab::up(4);
    until_role(&lab, 4, "learner");
    let app = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":4}"#;
    lab.node(4).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("four sleepers run", || lab.runs(4, "sleepers", 4));
    let tasks = |n: usize| {
        let body = lab.json(n, "/v2/apps/sleepers/tasks");
        let mut ids: Vec<String> =
            body["tasks"].as_array().expect("tasks").iter().map(|t| t["id"].to_string()).collect();
        ids.sort();
        ids
    };
    let before = tasks(1);

    may_hold_the_log(&lab, 1, 4, false);
    until_role(&lab, 4, "worker");
    lab.until("its log is gone", || if has_log(4) { Err("raft.db is there".to_owned()) } else { Ok(()) });
    until_equal(&lab, &[1, 2, 3, 4]);
    assert_eq!(tasks(4), before, "nothing was replaced");
    let nothing = r#"{"id":"nothing","cmd":"true","instances":0}"#;
    lab.node(4).post("/v2/apps", nothing).expect("an answer").expect(201);
    lab.node(1).get("/v2/apps/nothing").expect("an answer").expect(200);

    // It goes on whoever leads, and is missed as any other.
    let leader = lab.leader();
    lab.run(&["kill", &format!("n{leader}")]);
    lab.node(4).put("/v2/apps/nothing", r#"{"cmd":"false"}"#).expect("an answer").expect(200);
    lab.until("the lost node's task runs elsewhere", || lab.runs(4, "sleepers", 4));
    lab.run(&["start", &format!("n{leader}")]);
    lab.all_up(4, 4);
    lab.run(&["kill", "n4"]);
    let gone = "10.77.0.4".to_owned();
    lab.until("the worker's tasks run elsewhere", || {
        let hosts = lab.hosts(1, "sleepers");
        if hosts.len() == 4 && !hosts.contains(&gone) {
            lab.runs(1, "sleepers", 4)
        } else {
            Err(format!("{hosts:?}"))
        }
    });
    lab.run(&["start", "n4"]);
    lab.all_up(1, 4);
    until_equal(&lab, &[1, 2, 3, 4]);
    assert!(!has_log(4));

    may_hold_the_log(&lab, 4, 4, true);
    until_role(&lab, 4, "learner");
    lab.until("it has the log", || if has_log(4) { Ok(()) } else { Err("no raft.db".to_owned()) });
    until_equal(&lab, &[1, 2, 3, 4]);
}

#[test]
fn the_seventh_node_finds_servers_enough() {
    let lab = Lab::up(7);
    lab.until("there are five voters, one to spare and a worker", || {
        let mut found = roles(&lab);
        found.sort();
        let wanted = ["leader", "learner", "voter", "voter", "voter", "voter", "worker"];
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let worker = roles(&lab).iter().position(|role| role == "worker").expect("there is one") + 1;
    until_equal(&lab, &[worker, lab.leader()]);
    let app = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":7}"#;
    lab.node(worker).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("seven sleepers run", || lab.runs(worker, "sleepers", 7));
    assert!(
        lab.hosts(worker, "sleepers").contains(&format!("10.77.0.{worker}")),
        "it is given work as any other"
    );
    assert!(!has_log(worker));
}
