//! `/v2/tasks`, killing, the text form.

use super::*;

#[tokio::test]
async fn tasks_in_both_forms() {
    let server = Server::new();
    server.running(r#"{"id": "/prod/web", "cmd": "x", "instances": 2, "ports": [0, 0]}"#).await;
    server.running(r#"{"id": "/plain", "cmd": "x", "portDefinitions": []}"#).await;
    let list = server.check("GET /v2/tasks", "", 200, &[]).await.json();
    let task = list["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .find(|task| task["appId"] == "/prod/web")
        .expect("one");
    let keys: Vec<&str> = task.as_object().expect("an object").keys().map(String::as_str).collect();
    // Strict clients fail on any other key.
    let known = [
        "appId",
        "healthCheckResults",
        "host",
        "id",
        "ipAddresses",
        "localVolumes",
        "ports",
        "servicePorts",
        "slaveId",
        "stagedAt",
        "startedAt",
        "state",
        "version",
    ];
    assert!(keys.iter().all(|key| known.contains(key)) && keys.len() == known.len(), "{keys:?}");
    assert_eq!(task["host"], "10.0.0.1");
    assert_eq!(task["ipAddresses"][0]["protocol"], "IPv4");

    let mut addresses: Vec<Vec<String>> = vec![Vec::new(); 2];
    let mut service_ports = Vec::new();
    for task in list["tasks"].as_array().expect("tasks").iter().filter(|task| task["appId"] == "/prod/web") {
        service_ports = [0, 1].map(|n| task["servicePorts"][n].to_string()).to_vec();
        for (n, of_port) in addresses.iter_mut().enumerate() {
            of_port.push(format!("10.0.0.1:{}", task["ports"][n]));
        }
    }
    let mut expected = "plain\t \t10.0.0.1\t\n".to_owned();
    for (port, mut of_port) in service_ports.iter().zip(addresses) {
        of_port.sort();
        expected += &format!("prod_web\t{port}\t{}\t{}\t\n", of_port[0], of_port[1]);
    }
    let text = server.ask_with("GET /v2/tasks", "", &[("accept", "text/plain")]).await;
    assert_eq!(text.text, expected);
    assert!(text.header("content-type").starts_with("text/plain"));
    let of_app = server.ask_with("GET /v2/apps/prod/web/tasks", "", &[("accept", "text/plain")]).await;
    assert_eq!(of_app.text, expected.split_once('\n').expect("lines").1);
    server.check("GET /v2/apps/prod/*/tasks", "", 200, &["/prod/web"]).await;
    server.check("GET /v2/apps/missing/tasks", "", 404, &["App '/missing' does not exist"]).await;
}

#[tokio::test]
async fn the_status_filter() {
    let server = Server::new();
    server.running(r#"{"id": "a", "cmd": "x"}"#).await;
    for (query, expected) in
        [("", 1), ("?status=running", 1), ("?status[]=staging", 0), ("?status=staging&status=running", 1)]
    {
        let list = server.check(&format!("GET /v2/tasks{query}"), "", 200, &[]).await.json();
        assert_eq!(list["tasks"].as_array().map(Vec::len), Some(expected), "{query}");
    }
}

#[tokio::test]
async fn killing() {
    let server = Server::new();
    server.running(r#"{"id": "a", "cmd": "x", "instances": 3}"#).await;
    let tasks = server.node.tasks();
    let one = server.check(&format!("DELETE /v2/apps/a/tasks/{}", tasks[0]), "", 200, &[]).await.json();
    assert_eq!(one["task"]["id"], tasks[0].as_str());
    server
        .check(
            "DELETE /v2/apps/a/tasks/a.instance-1._app.1",
            "",
            404,
            &["Task 'a.instance-1._app.1' does not exist"],
        )
        .await;
    server.node.settle();
    assert_eq!(server.node.tasks().len(), 3, "killed tasks are replaced");

    let victim = server.node.tasks().remove(0);
    let body = serde_json::json!({ "ids": [victim.as_str(), "a.instance-gone._app.1"] }).to_string();
    let scaled =
        server.check("POST /v2/tasks/delete?scale=true", &body, 200, &["version", "deploymentId"]).await;
    assert_eq!(scaled.header("marathon-deployment-id"), scaled.json()["deploymentId"]);
    server.node.settle();
    assert_eq!(server.node.tasks().len(), 2);
    server.check("GET /v2/apps/a", "", 200, &[r#""instances":2"#]).await;

    let all = server.check("DELETE /v2/apps/a/tasks?host=10.0.0.1", "", 200, &[]).await.json();
    assert_eq!(all["tasks"].as_array().map(Vec::len), Some(2));
    server.check("DELETE /v2/apps/a/tasks?host=10.9.9.9", "", 200, &[r#"{"tasks":[]}"#]).await;
    server
        .check("POST /v2/tasks/delete", r#"{"ids": ["gone.instance-1._app.1"]}"#, 200, &[r#"{"tasks":[]}"#])
        .await;
    server.check("POST /v2/tasks/delete", r#"{"ids": ["A b"]}"#, 400, &["Invalid task id 'A b'."]).await;
    server.check("POST /v2/tasks/delete", r#"{"id": 1}"#, 422, &["details"]).await;
    server
        .check(
            "DELETE /v2/apps/a/tasks?scale=true&wipe=true",
            "",
            400,
            &["You cannot use scale and wipe at the same time."],
        )
        .await;
}
