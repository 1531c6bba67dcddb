//! `/v2/apps`, `/v2/deployments` and `/v2/queue`.

use super::*;
use console::Unavailable;
use model::limits::REQUEST_BODY_BYTES_MAX;

#[tokio::test]
async fn the_first_app_of_the_article() {
    let server = Server::new();
    let answer = server
        .check("POST /v2/apps", HELLO, 201, &[r#""id":"/hello2""#, r#""cmd":"echo hello; sleep 10""#])
        .await;
    let body = answer.json();
    assert_eq!(answer.header("location"), "http://10.0.0.1:8080/v2/apps/hello2");
    assert_eq!(answer.header("x-marathon-leader"), "http://10.0.0.1:8080");
    assert_eq!(answer.header("cache-control"), "no-cache, no-store, must-revalidate");
    assert_eq!(body["deployments"][0]["id"], answer.header("marathon-deployment-id"));
    for key in ["tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"] {
        assert_eq!(body[key], 0, "{key}");
    }
    assert!(body["ports"][0].as_u64().is_some_and(|port| port >= 10_000), "{body}");
    assert_eq!(body["args"], Value::Null, "unset keys are there, as null");
    assert!(body["versionInfo"]["lastConfigChangeAt"].is_string());

    server.node.settle();
    let app = server.check("GET /v2/apps/hello2", "", 200, &[]).await.json();
    assert_eq!(app["app"]["tasksRunning"], 1);
    assert_eq!(app["app"]["deployments"], Value::Array(Vec::new()));
    assert_eq!(app["app"]["tasks"][0]["state"], "TASK_RUNNING");
    server.check("GET /v2/apps//hello2/", "", 200, &[r#""id":"/hello2""#]).await;
}

#[tokio::test]
async fn refusals_of_definitions() {
    let server = Server::new();
    let large = format!(r#"{{"id":"a","cmd":"{}"}}"#, "x".repeat(REQUEST_BODY_BYTES_MAX));
    for (body, status, parts) in [
        (
            r#"{"id": "a" "cmd": "x"}"#,
            400,
            &[r#""message":"Invalid JSON","details":""#, "line 1", "column 12"][..],
        ),
        ("", 400, &["Invalid JSON"]),
        (&large, 413, &["larger than 1048576 bytes"]),
        (
            r#"{"id": "/Hello", "cmd": "x"}"#,
            422,
            &[r#""message":"Object is not valid""#, r#""path":"/id""#, "lower-case"],
        ),
        (r#"{"id": "a", "cmd": "x", "args": ["y"]}"#, 422, &["'cmd'", "'args'"]),
        (r#"{"id": "a", "cmd": "x", "cpus": -1}"#, 422, &[r#""path":"/cpus""#]),
        (r#"{"id": "a", "cmd": "x", "ports": [70000]}"#, 422, &[r#""path":"/ports(0)""#, "65535"]),
        (
            r#"{"id": "a", "cmd": "x", "instances": "2"}"#,
            422,
            &[r#""message":"Invalid JSON""#, "error.expected.jsnumber"],
        ),
        (r#"{"id": "a", "CMD": "x"}"#, 422, &["cmd"]),
        (r#"{"id": "a", "cpus": -1, "mem": -1}"#, 422, &[r#""path":"/cpus""#, r#""path":"/mem""#]),
        ("[]", 422, &["details"]),
    ] {
        server.check("POST /v2/apps", body, status, parts).await;
    }
    assert!(server.node.state_is_empty(), "nothing was created");
}

#[tokio::test]
async fn an_oversized_body_without_a_length_is_cut_off() {
    let server = Server::new();
    let chunk = axum::body::Bytes::from(vec![b' '; 64 * 1024]);
    let chunks = futures::stream::iter((0..64).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let mut request = request("POST /v2/apps", "", &[("authorization", basic("admin", fake::PASSWORD))]);
    *request.body_mut() = Body::from_stream(chunks);
    let response = server.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn updates_scale_restart_or_do_nothing() {
    let server = Server::new();
    let created = server.running(HELLO).await.json();
    let tasks = server.node.tasks();

    let same = server.check("PUT /v2/apps/hello2", r#"{"mem": 16}"#, 200, &["deploymentId"]).await;
    assert_eq!(same.json()["version"], created["version"], "nothing differs: no new version");
    assert_eq!(same.header("marathon-deployment-id"), same.json()["deploymentId"]);

    server.check("PUT /v2/apps/hello2", r#"{"instances": 2}"#, 200, &[]).await;
    server.node.settle();
    let scaled = server.node.tasks();
    assert!(scaled.len() == 2 && tasks.iter().all(|task| scaled.contains(task)), "scaling replaces nothing");

    server.check("PATCH /v2/apps/hello2", r#"{"mem": 32}"#, 200, &[]).await;
    server.node.settle();
    let replaced = server.node.tasks();
    assert!(
        replaced.len() == 2 && scaled.iter().all(|task| !replaced.contains(task)),
        "a change replaces all"
    );

    let app = server.ask("GET /v2/apps/hello2", "").await.json()["app"].clone();
    let back = server.check("PUT /v2/apps/hello2", &app.to_string(), 200, &[]).await.json();
    assert_eq!(back["version"], app["version"], "our own output is a no-op");

    server.check("PATCH /v2/apps/missing", r#"{"mem": 1}"#, 404, &["App '/missing' does not exist"]).await;
    server.check("PUT /v2/apps/Upper", r#"{"cmd": "x"}"#, 422, &[r#""path":"/id""#]).await;
    server.check("PUT /v2/apps/new", r#"{"id": "/other", "cmd": "x"}"#, 422, &[r#""path":"/id""#]).await;
    let put = server.check("PUT /v2/apps/new", r#"{"cmd": "x"}"#, 201, &["deploymentId"]).await;
    assert_eq!(put.header("location"), "http://10.0.0.1:8080/v2/apps/new");
}

#[tokio::test]
async fn versions_and_the_way_back() {
    let server = Server::new();
    let first = server.running(HELLO).await.json()["version"].clone();
    let first = first.as_str().expect("a version");
    let put = server.ask("PUT /v2/apps/hello2", r#"{"cmd": "sleep 5"}"#).await.json();
    server.node.settle();

    let versions = server.check("GET /v2/apps/hello2/versions", "", 200, &[]).await.json();
    assert_eq!(versions["versions"], serde_json::json!([put["version"], first]), "newest first");
    let old = server.check(&format!("GET /v2/apps/hello2/versions/{first}"), "", 200, &[]).await.json();
    assert_eq!(old["cmd"], "echo hello; sleep 10");
    let unknown = "2000-01-01T00:00:00.000Z";
    server
        .check(
            &format!("GET /v2/apps/hello2/versions/{unknown}"),
            "",
            404,
            &["does not exist in version 2000"],
        )
        .await;

    server
        .check("PUT /v2/apps/hello2", &format!(r#"{{"version": "{first}"}}"#), 200, &["deploymentId"])
        .await;
    server.node.settle();
    server.check("GET /v2/apps/hello2", "", 200, &[r#""cmd":"echo hello; sleep 10""#]).await;
    server
        .check("PUT /v2/apps/hello2", &format!(r#"{{"version": "{unknown}"}}"#), 404, &["in version"])
        .await;
}

#[tokio::test]
async fn a_deployment_locks_its_app() {
    let server = Server::new();
    let created = server.check("POST /v2/apps", HELLO, 201, &[]).await;
    let deployment = created.header("marathon-deployment-id").to_owned();
    let locked = server
        .check("PUT /v2/apps/hello2", r#"{"mem": 64}"#, 409, &["App is locked by one or more deployments"])
        .await;
    assert_eq!(locked.json()["deployments"][0]["id"], deployment);
    assert!(locked.text.contains(&format!("/v2/deployments/{deployment}")), "{}", locked.text);
    server.check("POST /v2/apps", HELLO, 409, &["An app with id [/hello2] already exists."]).await;

    let list = server.check("GET /v2/deployments", "", 200, &[]).await.json();
    assert_eq!(list[0]["id"], deployment);
    assert_eq!(list[0]["affectedApps"][0], "/hello2");
    assert_eq!(list[0]["currentActions"][0]["action"], "StartApplication");

    server.check("PUT /v2/apps/hello2?force=True", r#"{"mem": 64}"#, 200, &[]).await;
    server.node.settle();
    server.check("GET /v2/deployments", "", 200, &["[]"]).await;
    server.check("DELETE /v2/apps/hello2?force=false", "", 200, &["deploymentId"]).await;
}

#[tokio::test]
async fn a_deployment_is_taken_back() {
    let server = Server::new();
    server.running(HELLO).await;
    let changed = server.check("PUT /v2/apps/hello2", r#"{"cmd": "sleep 99"}"#, 200, &[]).await.json();
    let path = format!("DELETE /v2/deployments/{}", changed["deploymentId"].as_str().expect("an id"));
    server.check(&path, "", 200, &["deploymentId"]).await;
    server.node.settle();
    server.check("GET /v2/apps/hello2", "", 200, &["echo hello"]).await;
    server.check(&path, "", 404, &["DeploymentPlan", "does not exist"]).await;

    let created = server.check("POST /v2/apps", r#"{"id": "new", "cmd": "x"}"#, 201, &[]).await;
    let path = format!("DELETE /v2/deployments/{}", created.header("marathon-deployment-id"));
    server.check(&path, "", 200, &[]).await;
    server.node.settle();
    server.check("GET /v2/apps/new", "", 404, &[]).await;
}

#[tokio::test]
async fn restart_and_delete() {
    let server = Server::new();
    server.running(HELLO).await;
    let before = server.node.tasks();
    server.check("POST /v2/apps/hello2/restart", "", 200, &["version", "deploymentId"]).await;
    server.node.settle();
    assert_ne!(before, server.node.tasks());
    server.check("DELETE /v2/apps/hello2", "", 200, &["version", "deploymentId"]).await;
    server.node.settle();
    server.check("GET /v2/apps/hello2", "", 404, &["App '/hello2' does not exist"]).await;
    server.check("DELETE /v2/apps/hello2", "", 404, &["App '/hello2' does not exist"]).await;
    server.check("POST /v2/apps/hello2/restart", "", 404, &["App '/hello2' does not exist"]).await;
}

#[tokio::test]
async fn lists_are_filtered() {
    let server = Server::new();
    server.running(r#"{"id": "/prod/db", "cmd": "Serve", "labels": {"tier": "data"}}"#).await;
    server.running(r#"{"id": "/prod/web", "cmd": "sleep 1", "labels": {"tier": "web"}}"#).await;
    server.running(r#"{"id": "/product", "cmd": "sleep 2"}"#).await;
    for (query, expected) in [
        ("", &["/prod/db", "/prod/web", "/product"][..]),
        ("?cmd=serve", &["/prod/db"]),
        ("?id=WEB", &["/prod/web"]),
        ("?label=tier", &["/prod/db", "/prod/web"]),
        ("?label=tier%3D%3Dweb", &["/prod/web"]),
        ("?label=tier%20notin%20(web)&id=prod", &["/prod/db"]),
    ] {
        let list = server.check(&format!("GET /v2/apps{query}"), "", 200, &[]).await.json();
        let ids: Vec<&str> =
            list["apps"].as_array().expect("apps").iter().filter_map(|app| app["id"].as_str()).collect();
        assert_eq!(ids, expected, "{query}");
        assert!(list["apps"][0].get("tasks").is_none(), "tasks only when asked for");
    }
    server.check("GET /v2/apps?label=%3D", "", 422, &["/label", "character 1"]).await;
    let embedded = server.check("GET /v2/apps?embed=apps.tasks", "", 200, &[]).await.json();
    assert_eq!(embedded["apps"][0]["tasks"][0]["appId"], "/prod/db");
    let below = server.check("GET /v2/apps/prod/*", "", 200, &[]).await.json();
    assert_eq!(below["*"].as_array().map(Vec::len), Some(2), "/product is not below /prod");
}

#[tokio::test]
async fn several_at_once() {
    let server = Server::new();
    let apps = r#"[{"id": "a", "cmd": "x"}, {"id": "b", "cmd": "y"}]"#;
    server.check("PATCH /v2/apps", apps, 404, &["App '/a' does not exist"]).await;
    server
        .check("PUT /v2/apps", r#"[{"id": "a", "cmd": "x"}, {"id": "B", "cmd": "y"}]"#, 422, &["/apps(1)/id"])
        .await;
    assert!(server.node.state_is_empty(), "one fault refuses all");
    server.check("PUT /v2/apps", apps, 200, &["deploymentId"]).await;
    server.node.settle();
    server.check("PATCH /v2/apps", r#"[{"id": "a", "mem": 99}]"#, 200, &["deploymentId"]).await;
    server.check("GET /v2/apps/a", "", 200, &[r#""mem":99"#]).await;
}

#[tokio::test]
async fn the_queue_says_why() {
    let server = Server::new();
    server.running(HELLO).await;
    let task = server.node.tasks().remove(0);
    server.node.end(&task, model::task::Exit::Code(1));
    let queue = server.check("GET /v2/queue", "", 200, &[]).await.json();
    assert_eq!(queue["queue"][0]["app"]["id"], "/hello2");
    assert_eq!(queue["queue"][0]["count"], 1);
    assert_eq!(queue["queue"][0]["delay"]["overdue"], false);
    assert_eq!(queue["queue"][0]["delay"]["timeLeftSeconds"], 1);
    let failure = server.ask("GET /v2/apps/hello2", "").await.json()["app"]["lastTaskFailure"].clone();
    assert_eq!(
        (failure["state"].as_str(), failure["taskId"].as_str()),
        (Some("TASK_FAILED"), Some(task.as_str()))
    );

    server.check("DELETE /v2/queue/hello2/delay", "", 204, &[]).await;
    server.check("GET /v2/queue", "", 200, &[r#""overdue":true"#]).await;
    server.node.settle();
    server.check("GET /v2/queue", "", 200, &[r#"{"queue":[]}"#]).await;
    server.check("DELETE /v2/queue/hello2/delay", "", 404, &["not found in tasks queue"]).await;
}

#[tokio::test]
async fn dropped_keys_are_named() {
    let server = Server::new();
    let answer =
        server.check("POST /v2/apps", r#"{"id": "a", "cmd": "x", "flavour": "sweet"}"#, 201, &[]).await;
    assert_eq!(answer.header("x-meseta-ignored-keys"), "flavour");
}

#[tokio::test]
async fn a_retry_with_the_same_key_is_applied_once() {
    let server = Server::new();
    let key = [("idempotency-key", "one")];
    let first = server.ask_with("POST /v2/apps", HELLO, &key).await;
    let second = server.ask_with("POST /v2/apps", HELLO, &key).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201), "{}", second.text);
    assert_eq!(first.json()["deployments"], second.json()["deployments"]);
    let third = server.ask_with("POST /v2/apps", HELLO, &[("idempotency-key", "two")]).await;
    assert_eq!(third.status.as_u16(), 409);
}

#[tokio::test]
async fn a_cluster_that_cannot_answer_says_so() {
    let server = Server::new();
    server.running(HELLO).await;
    for (fault, status) in [
        (Unavailable::NoLeader("an election is under way".into()), 503),
        (Unavailable::Unknown, 503),
        (Unavailable::NoSpace("1 MiB free".into()), 507),
    ] {
        *server.node.fault.lock().expect("alone") = Some(fault.clone());
        let message = format!(r#"{{"message":"{fault}"}}"#);
        server.check("PUT /v2/apps/hello2", r#"{"mem": 99}"#, status, &[&message]).await;
        server.check("DELETE /v2/apps/hello2", "", status, &[&message]).await;
    }
    server.check("GET /v2/apps", "", 507, &[]).await;
    server.check("GET /v2/apps?stale=true", "", 200, &["/hello2"]).await;
    server.check("GET /ping", "", 200, &["pong"]).await;
}

#[tokio::test]
async fn wrong_routes_and_methods() {
    let server = Server::new();
    server.check("GET /v2/nonsense", "", 404, &["There is nothing at /v2/nonsense"]).await;
    server.check("GET /v2/apps/x/versions/y", "", 404, &["App '/x/versions/y' does not exist"]).await;
    for line in ["DELETE /v2/apps", "POST /v2/apps/x", "PUT /v2/info", "GET /v2/apps/x/restart", "POST /ping"]
    {
        server.check(line, "", 405, &["Method Not Allowed"]).await;
    }
    server.check("PUT /v2/apps/x?force=perhaps", "{}", 400, &["force must be true or false"]).await;
}
