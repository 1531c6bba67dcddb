//! The HTTP API of Mesos-DNS.

use super::*;

const WEB: &str = r#"{"id":"/shop/web","cmd":"serve","instances":2,
    "portDefinitions":[{"port":0,"protocol":"tcp","name":"http"}]}"#;

async fn furnished() -> Server {
    let server = Server::new();
    server.running(WEB).await;
    Server { router: crate::api::mesos_dns::router(server.node.clone()), node: server.node }
}

#[tokio::test]
async fn names_and_services_are_answered_as_mesos_dns_did() {
    let server = furnished().await;
    for (path, parts) in [
        ("/v1/version", &[r#""Service":"Mesos-DNS""#][..]),
        ("/v1/config", &[r#""Domain":"mesos""#, r#""TTL":5"#, r#""SOAMname":"ns1.mesos.""#]),
        ("/v1/hosts/Leader.mesos", &[r#"[{"host":"leader.mesos.","ip":"10.0.0.1"}]"#]),
        (
            "/v1/hosts/web-shop.*.marathon.mesos.",
            &[r#"[{"host":"web-shop.marathon.mesos.","ip":"10.0.0.1"}]"#],
        ),
        ("/v1/hosts/nobody.mesos", &[r#"[{"host":"","ip":""}]"#]),
        ("/v1/services/_leader._tcp.mesos", &[r#""host":"leader.mesos.""#, r#""port":"5050""#]),
        ("/v1/services/_nobody._tcp.mesos", &[r#"[{"host":"","ip":"","port":"","service":""}]"#]),
    ] {
        server.check(&format!("GET {path}"), "", 200, parts).await;
    }
    let services = server.ask("GET /v1/services/_web-shop._tcp.marathon.mesos", "").await.json();
    let ports: std::collections::BTreeSet<&str> =
        services.as_array().expect("a list").iter().filter_map(|s| s["port"].as_str()).collect();
    assert_eq!(ports.len(), 2, "{services:#}");
    server.check("GET /v1/hosts/leader.mesos/ports", "", 501, &[]).await;
    server.check("GET /v1/nothing", "", 404, &[]).await;
    let json = [("accept", "application/json")];
    assert_eq!(server.ask_with("GET /v1/axfr", "", &json).await.status, 200);
}

#[tokio::test]
async fn lists_hold_every_record_once() {
    let server = furnished().await;
    let whole = server.ask("GET /v1/axfr", "").await.json();
    assert_eq!(whole["Records"]["As"]["web-shop.marathon.mesos."], serde_json::json!(["10.0.0.1"]));
    let services = &whole["Records"]["SRVs"]["_web-shop._tcp.marathon.mesos."];
    assert_eq!(services.as_array().map(Vec::len), Some(2), "{whole:#}");
    let text = services[0].as_str().expect("text");
    assert!(text.starts_with("web-shop-") && text.contains(".marathon.mesos.:"), "{text}");

    let listed = server.ask("GET /v1/enumerate", "").await.json();
    let tasks = listed["frameworks"][0]["tasks"].as_array().expect("tasks").clone();
    assert_eq!((listed["frameworks"][0]["name"].as_str(), tasks.len()), (Some("marathon"), 2));
    assert_eq!(tasks[0]["name"], "web.shop");
    let with_shared = |task: &Value| {
        let records = task["records"].as_array().expect("records");
        records.iter().filter(|r| r["name"] == "web-shop.marathon.mesos.").count()
    };
    assert_eq!(tasks.iter().map(with_shared).collect::<Vec<_>>(), [1, 0], "shared ones with the first");
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let server = furnished().await;
    assert_eq!(server.ask_raw("GET /v1/axfr", "", &[]).await.status, 401);
    let unclaimed = Server::unclaimed();
    let router = crate::api::mesos_dns::router(unclaimed.node.clone());
    let server = Server { router, node: unclaimed.node };
    assert_eq!(server.ask("GET /v1/version", "").await.status, 403);
}
