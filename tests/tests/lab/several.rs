//! Three nodes: any of them answers, any of them may be lost.

use std::process::Command;

use crate::Lab;

const SLEEPERS: &str = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":3}"#;

fn sleepers(lab: &Lab, n: usize) {
    let created = lab.node(n).post("/v2/apps", SLEEPERS).expect("an answer");
    assert_eq!(created.status, 201, "{created}");
    lab.until("three sleepers run", || lab.runs(n, "sleepers", 3));
}

/// Processes of the app that really run on node `n`, whatever anybody says of them.
fn processes(n: usize) -> usize {
    let cgroups = Command::new("find")
        .args(["/sys/fs/cgroup", "-path", &format!("*/meseta-lab-{n}/*sleepers*"), "-name", "cgroup.procs"])
        .output()
        .expect("find starts");
    let files = String::from_utf8_lossy(&cgroups.stdout).into_owned();
    let pids: std::collections::BTreeSet<String> = files
        .lines()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|pids| pids.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    pids.len()
}

fn host(n: usize) -> String {
    format!("10.77.0.{n}")
}

#[test]
fn any_node_answers_and_each_gets_its_share() {
    let lab = Lab::up(3);
    assert_eq!(lab.json(2, "/meseta/v1/nodes")["survives"], 1);
    sleepers(&lab, 2);
    assert_eq!(lab.hosts(3, "sleepers"), [host(1), host(2), host(3)]);
    for n in 1..=3 {
        let id = format!("/from-{n}");
        let app = format!(r#"{{"id":"{id}","cmd":"true","instances":0}}"#);
        let created = lab.node(n).post("/v2/apps", app).expect("an answer").expect(201);
        let leader = format!("http://10.77.0.{}:8080", lab.leader());
        assert_eq!(created.header("x-marathon-leader"), leader);
        for reader in 1..=3 {
            lab.node(reader).get(&format!("/v2/apps{id}")).expect("an answer").expect(200);
        }
    }
    // Equal logs give equal states.
    lab.until("all have applied the same", || {
        let hashes: Vec<String> = (1..=3).map(|n| lab.json(n, "/meseta/v1/state-hash").to_string()).collect();
        if hashes.iter().all(|hash| *hash == hashes[0]) { Ok(()) } else { Err(format!("{hashes:?}")) }
    });
}

#[test]
fn output_and_files_of_any_task_are_read_through_any_node() {
    let lab = Lab::up(3);
    let app =
        r#"{"id":"talkers","cmd":"echo $HOST speaks; exec sleep 1000","cpus":0.1,"mem":16,"instances":3}"#;
    lab.node(1).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("three talk", || lab.runs(1, "talkers", 3));
    let tasks = lab.json(1, "/v2/apps/talkers/tasks");
    for task in tasks["tasks"].as_array().expect("tasks") {
        let (id, host) = (task["id"].as_str().expect("an id"), task["host"].as_str().expect("a host"));
        let log = format!("/meseta/v1/tasks/{id}/logs/stdout");
        for n in 1..=3 {
            lab.until("its output is read", || {
                let text = lab.node(n).get(&log).map_err(|error| error.to_string())?.text();
                if text == format!("{host} speaks\n") { Ok(()) } else { Err(format!("{n}: {text}")) }
            });
            let files = lab.json(n, &format!("/meseta/v1/tasks/{id}/files")).to_string();
            assert!(files.contains("stdout"), "{n}: {files}");
        }
        // What was handed on once is answered where it is, even if another node would know better.
        let elsewhere = if host == "10.77.0.1" { 2 } else { 1 };
        let via = lab.node(elsewhere).send("GET", &log, &[("X-Marathon-Via", "n9")], None);
        assert_eq!(via.expect("an answer").status, 404);
        // Handing on is no way round the login.
        let stranger = tests::http::Client::new("10.77.0.1:8080");
        let refused = stranger.get(&format!("/meseta/v1/tasks/{id}/logs/stdout")).expect("an answer");
        assert_eq!(refused.status, 401, "{refused}");
    }
}

#[test]
fn a_dead_leader_s_tasks_run_elsewhere_and_do_not_come_back() {
    let lab = Lab::up(3);
    sleepers(&lab, 1);
    let dead = lab.leader();
    let asked = dead % 3 + 1;
    lab.run(&["kill", &format!("n{dead}")]);
    let late = r#"{"id":"late","cmd":"exec sleep 1000","cpus":0.1,"mem":16}"#;
    lab.node(asked).post("/v2/apps", late).expect("an answer").expect(201);
    lab.until("its tasks run elsewhere", || {
        let hosts = lab.hosts(asked, "sleepers");
        if hosts.len() == 3 && !hosts.contains(&host(dead)) { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    lab.until("all of them", || lab.runs(asked, "sleepers", 3));

    lab.run(&["start", &format!("n{dead}")]);
    lab.until("it is a member again", || {
        let nodes = lab.json(asked, "/meseta/v1/nodes");
        let up =
            nodes["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(|node| node["reach"] == "up"));
        if up { Ok(()) } else { Err(nodes.to_string()) }
    });
    lab.until("it has what was written meanwhile", || lab.runs(dead, "late", 1));
    assert!(!lab.hosts(dead, "sleepers").contains(&host(dead)), "nothing moves back by itself");
}

#[test]
fn a_node_cut_off_keeps_its_tasks_until_others_have_taken_over() {
    let lab = Lab::up(3);
    sleepers(&lab, 1);
    let cut = lab.leader();
    let other = cut % 3 + 1;
    // From the others, not from people.
    for at in (1..=3).filter(|at| *at != cut) {
        lab.run(&["cut", &format!("n{cut}"), &format!("n{at}")]);
    }
    lab.until("its task runs elsewhere", || {
        let hosts = lab.hosts(other, "sleepers");
        if hosts.len() == 3 && !hosts.contains(&host(cut)) { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    lab.until("all of them", || lab.runs(other, "sleepers", 3));
    assert_eq!(processes(cut), 1, "what it runs goes on: the node may be the only one that its users reach");

    lab.until("it says that it may know less than others", || {
        let node = lab.json(cut, "/meseta/v1/node");
        if node["out_of_touch_s"].as_u64() >= Some(3) { Ok(()) } else { Err(node.to_string()) }
    });
    assert!(lab.json(other, "/meseta/v1/node")["out_of_touch_s"].is_null());

    lab.run(&["heal"]);
    lab.until("it is in touch again", || {
        let node = lab.json(cut, "/meseta/v1/node");
        if node["out_of_touch_s"].is_null() { Ok(()) } else { Err(node.to_string()) }
    });
    lab.until("what was replaced is stopped there", || match processes(cut) {
        0 => Ok(()),
        left => Err(format!("{left} processes")),
    });
    lab.until("it takes writes again", || {
        let answer = lab.node(cut).put("/v2/apps/after", r#"{"cmd":"true","instances":0}"#);
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status < 300 { Ok(()) } else { Err(answer.to_string()) }
    });
}

#[test]
fn every_acknowledged_write_survives_the_end_of_all() {
    let lab = Lab::up(3);
    let mut acknowledged = Vec::new();
    for round in 0..30 {
        let id = format!("/written-{round}");
        let app = format!(r#"{{"id":"{id}","cmd":"true","instances":0}}"#);
        let answer = lab.node(round % 3 + 1).post("/v2/apps", app).expect("an answer");
        assert_eq!(answer.status, 201, "{answer}");
        acknowledged.push(id);
    }
    for n in ["n1", "n2", "n3"] {
        lab.run(&["kill", n]);
    }
    for n in ["n1", "n2", "n3"] {
        lab.run(&["start", n]);
    }
    lab.until("a fresh read is answered", || {
        let answer = lab.node(2).get("/v2/apps").map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    });
    for (at, id) in acknowledged.iter().enumerate() {
        lab.node(at % 3 + 1).get(&format!("/v2/apps{id}")).expect("an answer").expect(200);
    }
}

#[test]
fn without_a_majority_reads_and_writes_say_why() {
    let lab = Lab::up(3);
    lab.run(&["kill", "n2"]);
    lab.run(&["kill", "n3"]);
    let answer = lab.node(1).post("/v2/apps", SLEEPERS).expect("an answer");
    assert_eq!(answer.status, 503, "{answer}");
    assert!(answer.text().contains("leader") || answer.text().contains("unknown"), "{answer}");
    let answer = lab.node(1).get("/v2/apps").expect("an answer");
    assert_eq!(answer.status, 503, "{answer}");
    lab.node(1).get("/v2/apps?stale=true").expect("an answer").expect(200);
    lab.run(&["start", "n3"]);
    lab.until("two of three are a majority", || {
        let answer = lab.node(1).put("/v2/apps/again", r#"{"cmd":"true","instances":0}"#);
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status < 300 { Ok(()) } else { Err(answer.to_string()) }
    });
}
