//! Nodes change their keys while they work: nothing stops, and what a key was before is dead.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::lab::signal;

use crate::Lab;

pub const SLEEPERS: &str = r#"{"id":"sleepers","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":3}"#;

/// Node `n` as node `asked` lists it.
pub fn listed(lab: &Lab, asked: usize, n: usize) -> Result<Value, String> {
    let nodes = lab.node(asked).get("/meseta/v1/nodes").map_err(|error| error.to_string())?.json();
    let is_it = |node: &&Value| node["addresses"][0] == format!("10.77.0.{n}");
    nodes["nodes"]
        .as_array()
        .and_then(|nodes| nodes.iter().find(is_it).cloned())
        .ok_or_else(|| nodes.to_string())
}

/// What a thief would have of node `n`: its key, its certificate and the authority's, copied to `dir`.
pub fn steal(n: usize, dir: &Path) {
    let state = Path::new("/run/meseta-lab").join(n.to_string()).join("state");
    fs::copy(state.join("peer.key"), dir.join("key")).expect("its key");
    let membership = fs::read(state.join("membership.json")).expect("its membership");
    let membership: Value = serde_json::from_slice(&membership).expect("JSON");
    for (name, key) in [("certificate", "certificate"), ("authority", "authority")] {
        fs::write(dir.join(name), membership[key].as_str().expect("PEM")).expect("written");
    }
}

/// Status and text that node `asked` answers to who shows what is in `dir`.
pub fn show(dir: &Path, asked: usize) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10", "--cert", "certificate", "--key", "key"])
        .args(["--cacert", "authority", "--data", "?", "--write-out", " %{http_code}"])
        .args(["--resolve", &format!("member.meseta:7300:10.77.0.{asked}"), "https://member.meseta:7300/ask"])
        .current_dir(dir)
        .output()
        .expect("curl starts");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Node `n` is told to make a new key, `meanwhile` happens, and a newer one is known in the end.
fn renew(lab: &Lab, n: usize, meanwhile: impl FnOnce()) {
    let asked = n % 3 + 1;
    let before = listed(lab, asked, n).expect("it is a member");
    let path = format!("/meseta/v1/nodes/{}/key", before["id"].as_str().expect("an id"));
    lab.node(asked).post(&path, "").expect("an answer").expect(202);
    meanwhile();
    lab.until("its key is newer", || {
        let now = listed(lab, asked, n)?;
        if now["key_since"].as_str() > before["key_since"].as_str() { Ok(()) } else { Err(now.to_string()) }
    });
}

#[test]
fn keys_are_changed_one_after_the_other_and_the_old_ones_are_dead() {
    let lab = Lab::up(3);
    lab.node(1).post("/v2/apps", SLEEPERS).expect("an answer").expect(201);
    lab.until("three sleepers run", || lab.runs(1, "sleepers", 3));
    let tasks = lab.json(1, "/v2/apps/sleepers/tasks").to_string();
    let stolen = tempfile::tempdir().expect("a folder");
    for n in 1..=3 {
        let other = n % 3 + 1;
        steal(n, stolen.path());
        let heard = show(stolen.path(), other);
        assert!(heard.ends_with(" 200"), "the key still counts: {heard}");
        renew(&lab, n, || {
            for at in 1..=3 {
                let change = format!(r#"{{"labels":{{"by":"{n}-{at}"}}}}"#);
                let app = format!(r#"{{"id":"/w{n}{at}","cmd":"true","instances":0}}"#);
                lab.node(at).post("/v2/apps", app).expect("an answer").expect(201);
                lab.node(at).put(&format!("/v2/apps/w{n}{at}"), &change).expect("an answer").expect(200);
            }
        });
        lab.until("others have heard of it", || {
            let heard = show(stolen.path(), other);
            if heard == "this key was replaced by a newer one of the node 403" { Ok(()) } else { Err(heard) }
        });
        steal(n, stolen.path());
        let heard = show(stolen.path(), other);
        assert!(heard.ends_with(" 200"), "the new key counts: {heard}");
    }
    assert_eq!(lab.json(2, "/v2/apps/sleepers/tasks").to_string(), tasks, "nothing was replaced");

    // A person's wish is kept for a node that is killed, or away.
    renew(&lab, 2, || signal(&[lab.agent(2)], Signal::SIGKILL));
    lab.run(&["kill", "n3"]);
    renew(&lab, 3, || {
        lab.run(&["start", "n3"]);
    });
    lab.all_up(1, 3);
    let app = r#"{"id":"after","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":3}"#;
    lab.node(3).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("all work", || lab.runs(2, "after", 3));
}
