//! Row 22: from a change of the state to the open page that shows it, through a real browser.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};

use super::{Row, Settings};
use crate::browser::{Browser, Scripts};
use crate::node::{Node, PASSWORD};

/// Changes looked at.
const ROUNDS: u32 = 40;

/// Stamps the moment at which the list first says that so many instances are wanted. The browser's clock is the one of
/// this machine.
const WATCH: &str = r#"
window.wanted = 0; window.seen = 0;
const look = () => {
  if (window.wanted && !window.seen && document.getElementById("live").textContent.includes("of " + window.wanted)) {
    requestAnimationFrame(() => (window.seen ||= Date.now()));
  }
};
new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
"#;

pub fn visible(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let node = Node::start();
    let app = r#"{"id":"/seen","cmd":"sleep 100000","cpus":0.001,"mem":1,"instances":0}"#;
    node.http.post("/v2/apps", app)?.expect(201);
    let browser = Browser::start(node.address(), Scripts::Allowed);
    browser.open("/login");
    browser.fill("#name", "admin");
    browser.fill("#password", PASSWORD);
    browser.click("main button");
    browser.wait_for_text("#live", "/seen");
    browser.run(WATCH);
    let mut samples = Vec::new();
    for round in 0..ROUNDS {
        // Nothing starts: what is measured is the page, not a task.
        let wanted = 1_000 + round;
        browser.run(&format!("window.seen = 0; window.wanted = {wanted}"));
        let body = format!(r#"{{"instances":{wanted},"constraints":[["hostname","LIKE","no such node"]]}}"#);
        let sent = SystemTime::now();
        let answer = node.http.put("/v2/apps/seen?force=true", body)?;
        ensure!(answer.status == 200, "the change was answered {answer}");
        let seen = browser.wait("the page shows it", || {
            let seen = browser.run("return window.seen").as_u64().unwrap_or(0);
            if seen > 0 { Ok(seen) } else { Err("not yet".to_owned()) }
        });
        let sent = sent.duration_since(UNIX_EPOCH).context("after 1970")?.as_millis() as f64;
        samples.push(seen as f64 - sent);
    }
    Ok(vec![Row {
        target: 22,
        what: "change requested → visible in an open page".into(),
        unit: "ms",
        must: Some(1_000.0),
        aim: Some(200.0),
        samples,
        note: "PUT by the API until the animation frame after the list shows it, in headless Chromium".into(),
    }])
}
