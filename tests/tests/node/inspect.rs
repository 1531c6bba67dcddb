//! Looking into tasks and into the node through its front door: files of a hostile owner, searches, usage, the machine.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;
use serde_json::{Value, json};
use tests::node::Node;

const LARGE_BYTES: u64 = 50_000_000;
const SPARSE_BYTES: u64 = 3 << 30;

/// Makes everything that a sandbox can hold, good and evil.
const MAKE: &str = "mkdir -p a/b; echo content > a/b/file; ln -s /etc/passwd outside; ln -s ../../../../../../etc up; \
    ln -s a/b/file inside; mkfifo pipe; truncate -s 3G sparse; head -c 50000000 /dev/zero | tr '\\0' x > large; \
    printf odd > \"$(printf 'odd\\nname')\"; mkdir many; i=0; while [ $i -lt 300 ]; do : > many/$i; i=$((i+1)); done; \
    echo ready; sleep 1000";

fn furnished(node: &Node) -> String {
    node.post_app(&json!({ "id": "box", "cpus": 0.5, "mem": 64, "backoffSeconds": 600, "cmd": MAKE }));
    let task = node.wait_running("box", 1).remove(0);
    node.wait_output(&task, "stdout", |text| text == "ready\n");
    task
}

fn get(node: &Node, path: &str, status: u16) -> tests::http::Answer {
    node.http.get(path).unwrap().expect(status)
}

fn check_files(node: &Node, task: &str) {
    let base = format!("/meseta/v1/tasks/{task}");
    let listing = get(node, &format!("{base}/files"), 200).json();
    let entries = listing["entries"].as_array().unwrap();
    let named = |name: &str| entries.iter().find(|e| e["name"] == name).unwrap_or(&Value::Null);
    assert_eq!(named("a")["kind"], "folder");
    assert_eq!(
        (named("pipe")["kind"].as_str(), named("outside")["kind"].as_str()),
        (Some("fifo"), Some("link"))
    );
    assert_eq!(named("outside")["target"], "/etc/passwd");
    assert_eq!(named("sparse")["size"], SPARSE_BYTES);
    assert_eq!(named("odd␊name")["path"], "odd%0Aname");
    let page = get(node, &format!("{base}/files?path=many&skip=250&limit=100"), 200).json();
    assert_eq!((page["entries"].as_array().unwrap().len(), page["total"].as_u64()), (50, Some(300)));

    for (path, status) in [
        ("outside", 403),
        ("up", 403),
        ("up/passwd", 403),
        ("pipe", 403),
        ("..", 400),
        ("a/../../stdout", 400),
        ("a", 400),
        ("gone", 404),
    ] {
        let answer = get(node, &format!("{base}/file?path={path}"), status);
        assert!(!answer.text().contains("root:"), "{path}");
    }
    for path in ["a/b/file", "inside"] {
        let file = get(node, &format!("{base}/file?path={path}"), 200);
        assert_eq!(file.text(), "content\n");
        assert!(file.header("content-disposition").starts_with("attachment"));
        assert_eq!(file.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(get(node, &format!("{base}/file?path=odd%0Aname"), 200).text(), "odd");
    node.open().get(&format!("{base}/file?path=a/b/file")).unwrap().expect(401);

    let large = get(node, &format!("{base}/file?path=large"), 200);
    assert_eq!(large.header("content-length"), LARGE_BYTES.to_string());
    assert!(large.body.len() as u64 == LARGE_BYTES && large.body.iter().all(|byte| *byte == b'x'));
    let range = [("Range", "bytes=3221225470-")];
    let end = node.http.send("GET", &format!("{base}/file?path=sparse"), &range, None).unwrap().expect(206);
    assert_eq!(
        (end.body.as_slice(), end.header("content-range")),
        (&[0, 0][..], "bytes 3221225470-3221225471/3221225472")
    );
}

/// Names in an archive, as the machine's own tar reads them.
fn names_in(archive: &[u8]) -> Vec<String> {
    let mut tar =
        Command::new("tar").args(["-tf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = tar.stdin.take().unwrap();
    let bytes = archive.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = tar.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_files_of_a_task_running_and_ended() {
    let node = Node::start();
    let task = furnished(&node);
    check_files(&node, &task);
    let archive = get(&node, &format!("/meseta/v1/tasks/{task}/archive"), 200);
    assert_eq!(archive.header("content-type"), "application/x-tar");
    // 3 GiB of holes are told, not sent.
    let sent = archive.body.len() as u64;
    assert!((LARGE_BYTES..LARGE_BYTES + 4_000_000).contains(&sent), "{sent} bytes");
    let names = names_in(&archive.body);
    for name in
        ["sandbox/a/b/file", "sandbox/outside", "sandbox/sparse", "sandbox/stdout", "sandbox/many/299"]
    {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("pipe") || name.contains("passwd")), "{names:?}");
    let part = get(&node, &format!("/meseta/v1/tasks/{task}/archive?path=a"), 200);
    assert_eq!(names_in(&part.body), ["a/", "a/b/", "a/b/file"]);
    get(&node, &format!("/meseta/v1/tasks/{task}/archive?path=up"), 403);

    node.http.post("/v2/tasks/delete", format!(r#"{{"ids":["{task}"]}}"#)).unwrap().expect(200);
    node.wait_for("it has ended", || match node.running("box")? {
        tasks if !tasks.contains(&task) => Ok(()),
        tasks => Err(format!("{tasks:?}")),
    });
    check_files(&node, &task);
}

/// A task that renames as fast as it can between a folder and a link to the machine's own /etc.
#[test]
fn a_task_that_renames_all_the_time_shows_nothing_of_the_machine() {
    let node = Node::start();
    node.post_app(&json!({ "id": "racer", "cpus": 0.5, "mem": 32, "cmd":
        "mkdir real; echo ours > real/hostname; ln -s ../../../../../../../../../etc link; echo ready; \
         while true; do mv real now; mv now real; mv link now; mv now link; done" }));
    let task = node.wait_running("racer", 1).remove(0);
    node.wait_output(&task, "stdout", |text| text == "ready\n");
    let machine = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let answer = node.http.get(&format!("/meseta/v1/tasks/{task}/file?path=now/hostname")).unwrap();
        if answer.status == 200 {
            assert_eq!(answer.text(), "ours\n", "not {machine:?}");
        }
        seen.insert(answer.status);
    }
    assert!(seen.iter().all(|status| [200, 403, 404, 500].contains(status)), "{seen:?}");
    get(&node, &format!("/meseta/v1/tasks/{task}/archive"), 200);
}

/// Times are marked at most twenty times a second, so what is told apart by its time comes a while after the rest.
#[test]
fn output_is_searched_and_found_by_time() {
    let node = Node::start();
    node.post_app(&json!({ "id": "chatty", "cpus": 0.5, "mem": 32, "cmd":
        "seq 1 30000 | sed 's/.*/line & has Needle-&./'; sleep 1; echo first; while [ ! -e go ]; do sleep 0.05; done; \
         echo second; sleep 1000" }));
    let task = node.wait_running("chatty", 1).remove(0);
    node.wait_output(&task, "stdout", |text| text.ends_with("first\n"));
    let base = format!("/meseta/v1/tasks/{task}/logs/stdout");
    let found = get(&node, &format!("{base}/search?text=needle-29999."), 200).json();
    let hits = found["hits"].as_array().unwrap();
    assert_eq!((hits.len(), hits[0]["line"].as_str()), (1, Some("line 29999 has Needle-29999.")));
    let at = hits[0]["offset"].as_u64().unwrap();
    let line = get(&node, &format!("{base}?offset={at}&limit=28"), 200);
    assert_eq!(line.text(), "line 29999 has Needle-29999.");
    // In parts: what one answer leaves out the next begins with.
    let part = get(&node, &format!("{base}/search?text=has&limit=3"), 200).json();
    assert_eq!(part["complete"], false);
    let next = part["searched_to"].as_u64().unwrap();
    let rest = get(&node, &format!("{base}/search?text=has&limit=1&from={next}"), 200).json();
    assert_eq!(rest["hits"][0]["line"], "line 4 has Needle-4.");
    get(&node, &format!("{base}/search?text="), 400);

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    std::fs::write(node.sandbox_file(&task, "go"), "").unwrap();
    node.wait_output(&task, "stdout", |text| text.ends_with("second\n"));
    let later = get(&node, &format!("{base}?time={}", Timestamp(now)), 200);
    assert_eq!(later.text(), "second\n");
    let all = get(&node, &format!("{base}?time=2020-01-01T00:00:00Z&limit=6"), 200);
    assert_eq!((all.text().as_str(), all.header("x-meseta-offset")), ("line 1", "0"));
}

#[test]
fn a_task_says_what_it_uses() {
    let node = Node::start();
    node.post_app(
        &json!({ "id": "busy", "cpus": 0.5, "mem": 48, "cmd": "while true; do :; done & sleep 1000" }),
    );
    let task = node.wait_running("busy", 1).remove(0);
    let path = format!("/meseta/v1/tasks/{task}/usage");
    node.wait_for("it is seen to use a processor", || {
        let usage = get(&node, &path, 200).json();
        let (cpu, processes) = (usage["cpu_milli"].as_u64().unwrap_or(0), usage["processes"].as_u64());
        let is_seen = cpu > 50 && usage["memory_bytes"].as_u64() > Some(0) && processes >= Some(2);
        if is_seen && usage["memory_limit_bytes"] == 48 << 20 { Ok(()) } else { Err(usage.to_string()) }
    });
    get(&node, "/meseta/v1/tasks/none.1/usage", 404);
}

#[test]
fn the_node_shows_its_machine_and_what_its_roles_wrote() {
    let node = Node::start();
    let hardware = get(&node, "/meseta/v1/node/hardware", 200).json();
    let has = |list: &str, key: &str, value: &str| {
        hardware[list].as_array().unwrap().iter().any(|row| row[key] == value)
    };
    assert!(has("links", "name", "lo") && has("file_systems", "mount", "/"), "{hardware:#}");
    let log = get(&node, "/meseta/v1/node/kernel-log?limit=5", 200).json();
    let lines = log["lines"].as_array().unwrap();
    assert!(!lines.is_empty() && lines.len() <= 5, "{log:#}");
    get(&node, "/meseta/v1/node/kernel-log?level=8", 400);

    let log_of = |role: &str| get(&node, &format!("/meseta/v1/node/services/{role}/log"), 200).text();
    assert!(log_of("agent").contains("the agent starts"));
    assert!(node.log_tail().contains("the agent starts"), "it is also shown where init writes");
    node.kill_role("agent");
    node.wait_for("the end is in its log", || match log_of("agent") {
        text if text.contains("meseta init: agent was ended by SIGKILL") => Ok(()),
        text => Err(text),
    });
    for nobody in ["nobody", "..%2Finit", "%2e%2e"] {
        get(&node, &format!("/meseta/v1/node/services/{nobody}/log"), 404);
    }
}
