//! `/meseta/v1`, `/v2/info` and the other small ones.

use super::*;
use crate::api::meseta::{self, OPENAPI};

#[tokio::test]
async fn info_leader_ping_metrics() {
    let server = Server::new();
    let info = server.check("GET /v2/info", "", 200, &[]).await.json();
    let mut keys: Vec<&str> = info.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    let known = [
        "buildref",
        "elected",
        "frameworkId",
        "http_config",
        "leader",
        "marathon_config",
        "name",
        "version",
        "zookeeper_config",
    ];
    assert_eq!(keys, known, "strict clients fail on any other key");
    assert_eq!((info["name"].as_str(), info["elected"].as_bool()), (Some("marathon"), Some(true)));
    server.check("GET /v2/leader", "", 200, &[r#"{"leader":"10.0.0.1:8080"}"#]).await;
    for (accept, status, text) in [
        ("*/*", 200, "pong"),
        ("text/plain", 200, "pong"),
        ("application/json", 200, "\"pong\""),
        ("image/png", 204, ""),
    ] {
        let ping = server.ask_with("GET /ping", "", &[("accept", accept)]).await;
        assert_eq!((ping.status.as_u16(), ping.text.as_str()), (status, text), "{accept}");
    }
    server.running(HELLO).await;
    let metrics = server.check("GET /metrics", "", 200, &[r#""version":"4.0.0""#]).await.json();
    assert_eq!(metrics["gauges"]["service.mesosphere.marathon.task.running.count"]["value"], 1);
}

#[tokio::test]
async fn output_by_offset() {
    let server = Server::new();
    server.running(HELLO).await;
    let base = format!("GET /meseta/v1/tasks/{}/logs", server.node.tasks()[0]);
    for (query, text, offset, end) in [
        ("", "56789abcdefghij", "5", "20"),
        ("?limit=3", "hij", "17", "20"),
        ("?offset=10&limit=4", "abcd", "10", "14"),
        ("?offset=0&limit=2", "56", "5", "7"),
        ("?offset=20", "", "20", "20"),
    ] {
        let answer = server.check(&format!("{base}/stdout{query}"), "", 200, &[]).await;
        let got = (answer.text.as_str(), answer.header("x-meseta-offset"), answer.header("x-meseta-end"));
        assert_eq!(got, (text, offset, end), "{query}");
        assert_eq!(answer.header("x-meseta-first-offset"), "5");
        assert!(answer.header("content-disposition").starts_with("attachment; filename="));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("sandbox"));
    }
    let followed = server.check(&format!("{base}/stdout?follow=true&offset=8"), "", 200, &[]).await;
    assert_eq!(followed.text, "89abcdefghij");
    server.check(&format!("{base}/stderr"), "", 200, &[]).await;
    server.check(&format!("{base}/stdlog"), "", 404, &["stdout and stderr"]).await;
    server.check(&format!("{base}/stdout?limit=0"), "", 400, &["limit must be 1 to 1048576"]).await;
    server.check(&format!("{base}/stdout?offset=x"), "", 400, &["offset must be a whole number"]).await;
    server.check("GET /meseta/v1/tasks/a.instance-1._app.1/logs/stdout", "", 404, &["no such file"]).await;
    server.check("GET /meseta/v1/tasks/..%2F..%2Fetc/logs/stdout", "", 404, &["does not exist"]).await;
}

#[tokio::test]
async fn the_node() {
    let server = Server::new();
    server.check("GET /meseta/v1/node", "", 200, &[r#""name":"node1""#]).await;
    let hash = server.check("GET /meseta/v1/state-hash", "", 200, &[]).await.json();
    assert_eq!(hash["hash"].as_str().map(str::len), Some(64));
    server.check("POST /meseta/v1/node/power", r#"{"action": "explode"}"#, 422, &["details"]).await;
    assert_eq!(*server.node.powered.lock().expect("alone"), None);
    server.check("POST /meseta/v1/node/power", r#"{"action": "reboot"}"#, 202, &[]).await;
    assert_eq!(*server.node.powered.lock().expect("alone"), Some(console::Power::Reboot));
    server.check("GET /meseta/v1/nonsense", "", 404, &["There is nothing at"]).await;
}

/// Every route of ours is described, and every description leads somewhere.
#[tokio::test]
async fn the_description_is_complete() {
    let server = Server::new();
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = document["paths"].as_object().expect("paths");
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in
            methods.as_object().expect("methods").iter().filter(|(m, _)| *m != "parameters")
        {
            assert!(
                operation["summary"].is_string() && operation["responses"].is_object(),
                "{method} {path}"
            );
            described.push((method.to_uppercase(), path.clone()));
        }
    }
    let operation = |operation: meseta::Operation| (operation.method.to_string(), operation.path.to_owned());
    let mut routes: Vec<(String, String)> = meseta::operations().into_iter().map(operation).collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
    for (method, path) in routes {
        let path = path
            .replace("{id}", "a.instance-1._app.1")
            .replace("{stream}", "stdout")
            .replace("{role}", "agent")
            .replace("{node}", "n0000000000000001")
            .replace("{name}", "rack");
        let answer = server.ask(&format!("{method} {path}"), "").await;
        assert!(!answer.text.contains("There is nothing at"), "{method} {path}");
        assert_ne!(answer.status.as_u16(), 405, "{method} {path}");
    }
    let open = server.ask_raw("GET /meseta/v1/openapi.json", "", &[]).await;
    assert_eq!((open.status.as_u16(), open.text.as_str()), (200, OPENAPI), "open to all");
}

/// The agent serves both from one router: neither may take the other's paths.
#[tokio::test]
async fn the_console_is_served_beside_the_api() {
    let server = Server::unclaimed();
    let both = super::super::router(server.node.clone()).merge(console::router(server.node.clone()));
    let both = Server { router: both, node: server.node };
    for (line, status) in [
        ("GET /", 303),
        ("GET /claim", 200),
        ("GET /v2/apps", 403),
        ("GET /ping", 200),
        ("DELETE /ping", 405),
        ("GET /meseta/v1/openapi.json", 200),
    ] {
        let answer = both.ask_raw(line, "", &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{line} {}", answer.text);
    }
}

#[tokio::test]
async fn answers_are_compressed_on_request() {
    let server = Server::new();
    server.running(HELLO).await;
    let headers = [("authorization", basic("admin", fake::PASSWORD)), ("accept-encoding", "gzip".to_owned())];
    let response =
        server.router.clone().oneshot(request("GET /v2/apps", "", &headers)).await.expect("infallible");
    assert_eq!(response.headers()["content-encoding"], "gzip");
}
