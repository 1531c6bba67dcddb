//! Takes the README's pictures from a real node with apps on it, into `tests/screenshots`. For scripts/screenshots.

use std::path::Path;

use anyhow::{Context, ensure};
use tests::browser::{Browser, Scripts};
use tests::node::{Node, PASSWORD};

const APPS: &[&str] = &[
    r#"{"id":"/shop/web","cmd":"echo ready at port $PORT0; exec httpd -f -p $PORT0","instances":3,"cpus":0.1,"mem":32,
    "env":{"SHOP_LANGUAGE":"en","SESSION_SECRET":"x"},
    "portDefinitions":[{"port":10000,"name":"http","labels":{}}],"labels":{"HAPROXY_GROUP":"external","HAPROXY_0_VHOST":"shop.example"}}"#,
    r#"{"id":"/shop/stock","cmd":"exec httpd -f -p $PORT0","instances":2,"cpus":0.1,"mem":32,
    "portDefinitions":[{"port":10001,"name":"http","labels":{}}],"labels":{"HAPROXY_GROUP":"internal"}}"#,
    r#"{"id":"/tools/report","cmd":"echo nothing to report on; exit 3","cpus":0.1,"mem":16}"#,
    r#"{"id":"/tools/ticker","cmd":"i=0; while true; do i=$((i+1)); echo \"tick $i: all is well\"; sleep 1; done","cpus":0.1,"mem":16}"#,
    r#"{"id":"/archive","cmd":"sleep 100000","instances":0,"cpus":0.5,"mem":256}"#,
    include_str!("../../seed/hello2.json"),
];

/// What a README may weigh, a picture.
const BYTES_MAX: u64 = 150_000;
const DESKTOP: (u32, u32) = (1120, 760);
const PHONE: (u32, u32) = (390, 720);

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let node = Node::start();
    let browser = Browser::start(node.address(), Scripts::Allowed);
    browser.open("/login");
    browser.fill("#name", "admin");
    browser.fill("#password", PASSWORD);
    browser.click("main button");
    browser.wait_for_text("h1", "Applications");
    for app in APPS {
        node.post_app(&serde_json::from_str(app)?);
    }
    for (app, instances) in [("shop/web", 3), ("shop/stock", 2), ("tools/ticker", 1)] {
        node.wait_running(app, instances);
    }
    browser.open("/apps/tools/report");
    browser.wait_for_text("#ended", "Failed with exit code 3");
    browser.open("/apps/hello2");
    browser.wait_for_text("#ended", "Ended by itself");
    browser.open("/apps/tools/ticker");
    browser.click("#running tbody th a");
    browser.wait_for_text("#stdout", "tick 9:");
    let task = browser.path();
    for (name, path, (width, height)) in [
        ("list", "/apps", DESKTOP),
        ("app", "/apps/shop/web", DESKTOP),
        ("task", &task, DESKTOP),
        ("edit", "/edit/shop/web", DESKTOP),
        ("nodes", "/nodes", DESKTOP),
        ("balancer", "/balancer", DESKTOP),
        ("phone", "/apps", PHONE),
    ] {
        for (look, dark) in [("light", false), ("dark", true)] {
            browser.look(width, height, dark);
            browser.open(path);
            if path == task {
                browser.wait_for_text("#stdout", "tick 9:");
            }
            let file = folder.join(format!("{name}-{look}.png"));
            browser.screenshot(&file);
            let bytes = std::fs::metadata(&file)?.len();
            ensure!(
                bytes <= BYTES_MAX,
                "{name}-{look}.png has {bytes} bytes; at most {BYTES_MAX} are wanted"
            );
            println!("{name}-{look}.png: {bytes} bytes");
        }
    }
    Ok(())
}
