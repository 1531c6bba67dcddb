//! The large list: written once from the state to the wire, linear in what it says.

use super::*;
use std::time::Instant;

/// 1,000 apps and 5,000 tasks. The target of 30 ms is for a release build on a machine at rest; the bound here only
/// catches what would be ten times too slow even so, e.g. work that is quadratic in apps.
const DEBUG_BOUND_MS: u128 = 2_000;

#[tokio::test]
async fn a_thousand_apps_with_five_thousand_tasks() {
    let server = Server::new();
    for n in 0..1_000 {
        let body = format!(
            r#"{{"id": "/group-{}/app-{n}", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 5}}"#,
            n % 10
        );
        server.check("POST /v2/apps?force=true", &body, 201, &[]).await;
        // Deployments under way are limited.
        if n % 50 == 49 {
            server.node.settle();
        }
    }
    assert_eq!(server.node.tasks().len(), 5_000);
    let mut best = u128::MAX;
    let mut bytes = 0;
    for _ in 0..5 {
        let start = Instant::now();
        let answer = server.ask("GET /v2/apps?embed=apps.tasks", "").await;
        best = best.min(start.elapsed().as_millis());
        bytes = answer.text.len();
        assert_eq!(answer.status, StatusCode::OK);
    }
    println!("GET /v2/apps?embed=apps.tasks, 1,000 apps, 5,000 tasks: {best} ms, {bytes} bytes");
    assert!(best < DEBUG_BOUND_MS, "{best} ms");
}
