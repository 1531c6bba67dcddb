//! Health in words, on the pages of an app and its tasks.

use std::sync::Arc;

use model::health::CheckHealth;
use model::task::TaskState;

use super::fake::{self, Fake};
use super::{NOW, logged_in};

#[tokio::test]
async fn health_is_told_in_words() {
    let fake = Arc::new(Fake::claimed(NOW));
    let mut ids = Vec::new();
    fake.change(|state| {
        let app = fake::put(state, r#"{"id": "web", "cmd": "x", "instances": 3, "healthChecks": [{}]}"#);
        for (n, alive) in [(1, None), (2, Some(true)), (3, Some(false))] {
            let task = fake::launch(state, &app, n, TaskState::Running, 60);
            let check = CheckHealth {
                alive,
                consecutive_failures: 2,
                last_failure_cause: "HTTP status <500>".into(),
                ..CheckHealth::default()
            };
            fake::edit(state, &app, |app| {
                let task = app.tasks.get_mut(&task).expect("it was launched");
                Arc::make_mut(task).health = vec![check];
            });
            ids.push(task);
        }
    });
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/apps/web").await;
    page.has("3 of 3, 1 unhealthy");
    let bad = "Unhealthy: 2 failures in a row, the last: HTTP status &#60;500&#62;";
    for (task, words) in ids.iter().zip(["Health not known yet", "Healthy", bad]) {
        page.has(words);
        let page = browser.get(&format!("/tasks/{task}")).await;
        page.has(&format!("<dd>{words}</dd>"));
    }
}
