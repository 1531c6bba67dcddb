//! What several tests let a person do.

use tests::browser::{Browser, Scripts};
use tests::node::{Node, Options, PASSWORD};

pub const HELLO: &str = include_str!("../../seed/hello2.json");

/// Answers behind the balancer, and has a label that the balancer does not know.
pub const WEB: &str = r#"{"id":"/web","cmd":"exec httpd -f -p $PORT0","cpus":0.1,"mem":16,"portDefinitions":[{"port":10000}],"labels":{"HAPROXY_GROUP":"external","HAPROXY_0_VHOST":"web.example","HAPROXY_0_TEMPLATE":"x"}}"#;

/// Prints a number each second, for ever.
pub const TICKER: &str = r#"{"id":"/ticker","cmd":"i=0; while true; do i=$((i+1)); echo tick $i; sleep 1; done","cpus":0.1,"mem":16}"#;

pub fn unclaimed_node() -> Node {
    Node::start_with(Options { unclaimed: true, ..Options::default() })
}

/// A browser at the empty list of a claimed node, logged in.
pub fn logged_in(node: &Node, scripts: Scripts) -> Browser {
    let browser = Browser::start(node.address(), scripts);
    browser.open("/");
    browser.wait_for_path("/login");
    log_in(&browser);
    browser.wait_for_text("h1", "Applications");
    browser
}

pub fn log_in(browser: &Browser) {
    browser.fill("#name", "admin");
    browser.fill("#password", PASSWORD);
    browser.click("main button");
}

pub fn claim(browser: &Browser, code: &str) {
    browser.fill("#code", code);
    browser.fill("#password", PASSWORD);
    browser.fill("#again", PASSWORD);
    browser.click("main button");
}

/// Presses Create Application and pastes a definition; returns once it is answered. With scripts the answer is no
/// navigation that the driver would wait for, and what is opened before it comes is replaced by it.
pub fn create(browser: &Browser, definition: &str) {
    browser.open("/");
    browser.click("main a[href='/new']");
    browser.fill("#definition", definition);
    browser.click("main form .primary");
    browser.wait("the definition is answered", || {
        let is_created = browser.path().starts_with("/apps/");
        if is_created { Ok(()) } else { browser.text_of("#refused").map(drop) }
    });
}
