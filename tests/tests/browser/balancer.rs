//! The balancer's page: found by its key, moving by itself, readable without scripts.

use tests::browser::Scripts;
use tests::node::Node;

use crate::person::{WEB, create, logged_in};

#[test]
fn the_balancer_is_watched_and_a_label_without_effect_is_told() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    browser.press("gb");
    browser.wait_for_path("/balancer");
    browser.wait_for_text("#live", "Nothing to balance yet");
    create(&browser, WEB);
    browser.wait_for_text("#balancer-faults", "HAPROXY_0_TEMPLATE");
    node.wait_running("web", 1);

    browser.open("/balancer");
    browser.wait_for_text("#live", "Running");
    browser.wait_for_text("#live", "web_10000");
    browser.wait_for_text("#live", "is not supported yet and has no effect");
    // An app that comes moves the open page.
    let other =
        WEB.replace("\"/web\"", "\"/other\"").replace("10000", "10001").replace("web.example", "o.example");
    node.post_app(&serde_json::from_str(&other).unwrap());
    browser.wait_for_text("#fronts", "other_10001");
    browser.run("document.querySelector('details.json').open = true");
    browser.wait_for_text("#configuration", "frontend web_10000");
}

#[test]
fn the_balancer_is_shown_without_scripts() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Forbidden);
    create(&browser, WEB);
    node.wait_running("web", 1);
    browser.wait("the page shows the front end", || {
        browser.open("/");
        browser.click("nav a[href='/balancer']");
        let text = browser.text();
        if text.contains("web_10000") { Ok(()) } else { Err(text) }
    });
}
