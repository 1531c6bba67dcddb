//! Bad input: each is answered clearly, and nothing is lost or left by it.

use serde_json::json;
use tests::node::{Node, Options, PASSWORD};

/// Method, path, body, status, and what the answer must say.
type Case = (&'static str, &'static str, String, u16, &'static [&'static str]);

fn cases() -> Vec<Case> {
    let app = |fields: &str| format!(r#"{{"id": "refused", {fields}}}"#);
    let post = "POST";
    let apps = "/v2/apps";
    vec![
        (post, apps, r#"{"id": "refused", "cmd": }"#.into(), 400, &["Invalid JSON", "line 1", "column"]),
        (post, apps, String::new(), 400, &["Invalid JSON"]),
        (post, apps, "x".repeat(1024 * 1024 + 1), 413, &["1048576"]),
        (post, apps, r#"{"id": "Refused", "cmd": "true"}"#.into(), 422, &["Object is not valid", "/id"]),
        (post, apps, r#"{"cmd": "true"}"#.into(), 422, &["/id"]),
        (post, apps, app(r#""cmd": "true", "args": ["true"]"#), 422, &["cmd", "args"]),
        (post, apps, app(r#""instances": 1"#), 422, &["cmd", "args", "container"]),
        (post, apps, app(r#""cmd": "true", "cpus": -1"#), 422, &["/cpus"]),
        (post, apps, app(r#""cmd": "true", "mem": "much""#), 422, &["/mem"]),
        (post, apps, app(r#""cmd": "true", "instances": -1"#), 422, &["/instances"]),
        (post, apps, app(r#""cmd": "true", "ports": [65536]"#), 422, &["/ports", "65535"]),
        (post, apps, app(r#""cmd": "true", "Cpus": 1"#), 422, &["Cpus", "cpus"]),
        // All faults at once, each with its path.
        (
            post,
            apps,
            app(r#""cmd": "true", "cpus": -1, "mem": -1, "instances": -1"#),
            422,
            &["/cpus", "/mem", "/instances"],
        ),
        ("PUT", "/v2/apps/kept", r#"{"id": "/other", "cmd": "true"}"#.into(), 422, &["id"]),
        ("PUT", "/v2/apps/kept", r#"{"cpus": -3}"#.into(), 422, &["/cpus"]),
        (post, apps, r#"{"id": "kept", "cmd": "true"}"#.into(), 409, &["/kept", "already exists"]),
        ("GET", "/v2/apps/absent", String::new(), 404, &["App '/absent' does not exist"]),
        ("DELETE", "/v2/apps/absent", String::new(), 404, &["App '/absent' does not exist"]),
        ("GET", "/v2/apps/kept/versions/2001-01-01T00:00:00.000Z", String::new(), 404, &["/kept"]),
        ("GET", "/v2/nothing/of/the/kind", String::new(), 404, &["message"]),
        ("DELETE", "/v2/info", String::new(), 405, &[]),
        ("GET", "/meseta/v1/tasks/no-such-task/logs/stdout?offset=0", String::new(), 404, &["message"]),
    ]
}

#[test]
fn bad_requests_are_answered_clearly_and_change_nothing() {
    let node = Node::start();
    node.post_app(&json!({ "id": "kept", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16 }));
    let task = node.wait_running("kept", 1);
    let before = node.http.get("/v2/apps").unwrap().expect(200).json();
    for (method, path, body, status, words) in cases() {
        let body_bytes = (method != "GET" && method != "DELETE").then_some(body.as_bytes());
        let headers = [("Content-Type", "application/json")];
        let answer = node.http.send(method, path, &headers, body_bytes).unwrap();
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{method} {path} {shown}: {answer}");
        for word in words {
            assert!(
                answer.text().contains(word),
                "no `{word}` in the answer to {method} {path} {shown}: {answer}"
            );
        }
    }
    assert_eq!(node.http.get("/v2/apps").unwrap().expect(200).json(), before);
    assert_eq!(node.running("kept").unwrap(), task);
}

#[test]
fn without_a_password_only_ping_answers() {
    let node = Node::start();
    let stranger = node.open();
    assert_eq!(stranger.get("/ping").unwrap().status, 200);
    for path in ["/v2/apps", "/v2/tasks", "/v2/info", "/v2/events", "/meseta/v1/node"] {
        let answer = stranger.get(path).unwrap();
        assert_eq!(answer.status, 401, "{path}: {answer}");
        assert!(answer.header("WWW-Authenticate").starts_with("Basic"), "{path}: {:?}", answer.headers);
    }
    let wrong = stranger.with_password("admin", "not the password").get("/v2/apps").unwrap();
    assert_eq!(wrong.status, 401, "{wrong}");
}

#[test]
fn a_wrong_claim_code_has_limited_tries() {
    const TRIES_MAX: u32 = 100;
    let node = Node::start_with(Options { unclaimed: true, ..Options::default() });
    let closed = node.http.get("/v2/apps").unwrap();
    assert_eq!(closed.status, 403, "{closed}");
    assert!(closed.text().contains("claim"), "{closed}");

    let wrong = json!({ "code": "000-000-000", "password": PASSWORD }).to_string();
    let mut tries = 0;
    let refused = loop {
        let answer = node.open().post("/meseta/v1/claim", &wrong).unwrap();
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 403, "try {tries}: {answer}");
        tries += 1;
        assert!(tries < TRIES_MAX, "{tries} wrong codes were looked at");
    };
    assert!(tries >= 1, "the first try was refused unseen");
    let seconds: u64 = refused.header("Retry-After").parse().expect("seconds to wait");
    // Even the right code must wait; after that time it is taken.
    let right = json!({ "code": node.claim_code(), "password": PASSWORD }).to_string();
    assert_eq!(node.open().post("/meseta/v1/claim", &right).unwrap().status, 429);
    node.wait_for(&format!("the right code is taken, {seconds} s were named"), || {
        let answer = node.open().post("/meseta/v1/claim", &right).map_err(|e| e.to_string())?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(answer.to_string()) }
    });
    node.http.get("/v2/apps").unwrap().expect(200);
    assert_eq!(node.open().post("/meseta/v1/claim", &right).unwrap().status, 409);
}

#[test]
fn a_command_that_does_not_exist_fails_with_its_name() {
    let node = Node::start();
    node.post_app(&json!({
        "id": "no-program", "args": ["/no/such/program", "--flag"], "cpus": 0.1, "mem": 16, "backoffSeconds": 60,
    }));
    let failure = node.wait_failure("no-program", "");
    let state = failure["state"].as_str().unwrap();
    assert!(matches!(state, "TASK_ERROR" | "TASK_FAILED"), "{failure:#}");
    assert!(failure["message"].as_str().unwrap().contains("/no/such/program"), "{failure:#}");

    node.post_app(&json!({
        "id": "no-command", "cmd": "no-such-command --flag", "cpus": 0.1, "mem": 16, "backoffSeconds": 60,
    }));
    let failure = node.wait_failure("no-command", "");
    assert_eq!(failure["state"], "TASK_FAILED", "{failure:#}");
    assert!(failure["message"].as_str().unwrap().contains("127"), "{failure:#}");
    let task = failure["taskId"].as_str().unwrap();
    node.wait_output(task, "stderr", |text| text.contains("no-such-command") && text.contains("not found"));
}
