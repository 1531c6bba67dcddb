//! A backup of one node, and a blank one that begins from it.

use std::fs;
use std::process::{Command, Output};

use serde_json::json;
use tests::http::{Answer, Client};
use tests::node::{Node, Options, PASSWORD, binary};

const PASSPHRASE: &str = "four words of passphrase";
const BOUNDARY: &str = "0123456789abcdef";
pub const SLEEPER: &str = r#"{"id": "kept/sleeper", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16}"#;

fn blank() -> Node {
    Node::start_with(Options { unclaimed: true, ..Options::default() })
}

/// As a browser sends it.
fn form(client: &Client, path: &str, fields: &[(&str, &str)], file: &[u8]) -> Answer {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"a.backup\"";
    body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    client.send("POST", path, &[("Content-Type", &kind)], Some(&body)).unwrap()
}

fn restore(node: &Node, fields: &[(&str, &str)], file: &[u8]) -> Answer {
    form(&node.open(), "/meseta/v1/restore", fields, file)
}

/// Once it is registered, which takes it a moment.
pub fn restored(node: &Node, fields: &[(&str, &str)], file: &[u8]) {
    node.wait_for("it begins from the backup", || {
        let answer = restore(node, fields, file);
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    });
}

fn ctl(node: &Node, args: &[&str]) -> Output {
    let url = format!("http://{}", node.address());
    let mut command = Command::new(binary());
    command.args(["ctl", "--url", &url]).args(args).env("MESETA_PASSWORD", PASSWORD);
    command.output().unwrap()
}

#[test]
fn a_blank_node_begins_from_a_backup_with_apps_and_accounts() {
    let old = Node::start();
    old.http.post("/v2/apps", SLEEPER).unwrap().expect(201);
    old.wait_running("kept/sleeper", 1);
    old.http.put("/v2/apps/kept/sleeper", r#"{"instances": 2}"#).unwrap().expect(200);
    old.wait_running("kept/sleeper", 2);
    let made = old.http.post("/meseta/v1/tokens", r#"{"name": "ci"}"#).unwrap().expect(201).json();
    let token = made["token"].as_str().unwrap();
    let cluster = |node: &Node| fs::read_to_string(node.state().join("membership.json"));

    let short = json!({ "passphrase": "short" }).to_string();
    old.http.post("/meseta/v1/backup", short).unwrap().expect(422);
    old.open().post("/meseta/v1/backup", "{}").unwrap().expect(401);
    let bearer = format!("Bearer {token}");
    let by_token = old.open().send("POST", "/meseta/v1/backup", &[("Authorization", &bearer)], Some(b"{}"));
    by_token.unwrap().expect(403);
    let wish = json!({ "passphrase": PASSPHRASE }).to_string();
    let backup = old.http.post("/meseta/v1/backup", wish).unwrap().expect(200);
    assert!(backup.header("content-disposition").contains(".backup"), "{backup}");
    let events = old.http.get("/meseta/v1/node").unwrap().expect(200);
    assert!(!events.text().contains(PASSPHRASE));
    let file = backup.body;

    let new = blank();
    let code = new.claim_code();
    let wrong = restore(&new, &[("code", "XXXX-XXXX"), ("passphrase", PASSPHRASE)], &file);
    assert_eq!(wrong.status, 403, "{wrong}");
    let fields = |passphrase| [("code", code.as_str()), ("passphrase", passphrase)];
    for (passphrase, file, says) in [
        ("another passphrase", file.as_slice(), "the passphrase is wrong"),
        ("", &file, "its passphrase is needed"),
        (PASSPHRASE, &file[..file.len() - 9], "is damaged"),
        (PASSPHRASE, b"\x1f\x8bsomething else", "no backup of a Meseta cluster"),
    ] {
        let answer = restore(&new, &fields(passphrase), file);
        assert!(answer.status == 422 && answer.text().contains(says), "{says}: {answer}");
    }
    new.open().get("/v2/apps").unwrap().expect(403);

    restored(&new, &fields(PASSPHRASE), &file);
    new.wait_running("kept/sleeper", 2);
    let versions = |node: &Node| node.http.get("/v2/apps/kept/sleeper/versions").unwrap().expect(200).json();
    assert_eq!(versions(&new), versions(&old), "its past is there as well");
    let with_token = new.open().send("GET", "/v2/apps", &[("Authorization", &bearer)], None);
    with_token.unwrap().expect(200);
    assert_eq!(restore(&new, &fields(PASSPHRASE), &file).status, 409, "it is claimed now");
    // It is a cluster of its own: another id, another authority.
    new.wait_for("it takes in others", || cluster(&new).map_err(|error| error.to_string()));
    old.wait_for("so does the old one", || cluster(&old).map_err(|error| error.to_string()));
    assert_ne!(cluster(&new).unwrap(), cluster(&old).unwrap());
    let page = new.http.get("/v2/info").unwrap().expect(200);
    assert!(page.text().contains("marathon"), "{page}");
}

#[test]
fn what_was_restored_is_there_after_a_power_cut() {
    let old = Node::start();
    old.http.post("/v2/apps", SLEEPER).unwrap().expect(201);
    let file = old.http.post("/meseta/v1/backup", "{}").unwrap().expect(200).body;
    let mut new = blank();
    let code = new.claim_code();
    // Without a passphrase there is no account in it.
    new.wait_for("the password is asked for", || {
        let answer = restore(&new, &[("code", &code)], &file);
        if answer.text().contains("give the one that admin is to have") {
            Ok(())
        } else {
            Err(answer.to_string())
        }
    });
    restored(&new, &[("code", &code), ("password", PASSWORD)], &file);
    new.wait_running("kept/sleeper", 1);
    new.power_cut();
    new.launch();
    new.wait_running("kept/sleeper", 1);
}

#[test]
fn the_client_backs_up_and_restores() {
    let old = Node::start();
    old.http.post("/v2/apps", SLEEPER).unwrap().expect(201);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(path("phrase"), format!("{PASSPHRASE}\n")).unwrap();
    let (out, phrase) = (path("out"), path("phrase"));
    let made = ctl(&old, &["backup", "--out", &out, "--passphrase-file", &phrase]);
    assert!(made.status.success(), "{made:?}");
    let again = ctl(&old, &["backup", "--out", &out]);
    assert!(!again.status.success(), "an older backup stays: {again:?}");

    let new = blank();
    let code = new.claim_code();
    new.wait_for("the client restores", || {
        let done = ctl(&new, &["restore", &out, "--code", &code, "--passphrase-file", &phrase]);
        if done.status.success() { Ok(()) } else { Err(format!("{done:?}")) }
    });
    new.wait_running("kept/sleeper", 1);
    let refused = ctl(&new, &["nodes", "recover"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("cluster of one"), "{refused:?}");
}

#[test]
fn a_schedule_writes_backups_that_a_blank_node_can_begin_from() {
    let old = Node::start();
    old.http.post("/v2/apps", SLEEPER).unwrap().expect(201);
    let at = "/meseta/v1/backup/schedule";
    old.http.put(at, r#"{"every_hours": 0, "keep": 2}"#).unwrap().expect(422);
    let plan = json!({ "every_hours": 24, "keep": 2, "passphrase": PASSPHRASE }).to_string();
    let set = old.wait_for("the schedule is taken", || {
        let answer = old.http.put(at, &plan).unwrap();
        if answer.status == 200 { Ok(answer) } else { Err(answer.to_string()) }
    });
    assert!(!set.text().contains(PASSPHRASE), "{set}");
    let folder = old.data().join("backups");
    let files = || -> Vec<_> {
        let found = fs::read_dir(&folder).into_iter().flatten();
        found.map(|entry| entry.unwrap().path()).collect()
    };
    let said = |node: &Node| node.http.get(at).unwrap().expect(200).json();
    old.wait_for("the first is made at once", || {
        let last = said(&old)["last"].clone();
        if last["scheduled"] == true { Ok(()) } else { Err(last.to_string()) }
    });
    assert_eq!(files().len(), 1, "{:?}", files());
    let file = fs::read(&files()[0]).unwrap();
    let new = blank();
    restored(&new, &[("code", &new.claim_code()), ("passphrase", PASSPHRASE)], &file);
    new.wait_running("kept/sleeper", 1);
    assert_eq!(said(&new)["schedule"]["every_hours"], 24, "the schedule goes on");

    // A disk that takes none is told.
    old.http.delete(at).unwrap().expect(200);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    old.http.put(at, &plan).unwrap().expect(200);
    old.wait_for("the failure is told", || {
        let last = said(&old)["last"].clone();
        if last["error"].is_string() { Ok(()) } else { Err(last.to_string()) }
    });
    assert_eq!(said(&old)["schedule"]["locked"], true);
}
