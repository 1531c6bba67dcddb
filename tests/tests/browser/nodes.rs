//! A node is renamed and cordoned by a person, without scripts; what makes no sense is answered where it was typed.

use tests::browser::Scripts;
use tests::node::Node;

use crate::person::{create, logged_in};

#[test]
fn a_node_is_renamed_given_attributes_and_cordoned() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Forbidden);
    browser.wait("the cluster is ready for nodes", || {
        browser.open("/nodes");
        browser.text_of("#members").map(drop)
    });
    browser.click("#members .end a");
    browser.fill("#node-name", "granite");
    browser.fill("#node-attributes", "rack r1");
    browser.click("main form .primary");
    browser.wait_for_text("[role=alert]", "“rack r1” has no “=”");
    assert_eq!(browser.property("#node-name", "value"), "granite", "what was typed is kept");
    browser.fill("#node-attributes", "rack=r1");
    browser.click("[name=availability][value=cordoned]");
    browser.click("main form .primary");
    browser.wait_for_path("/nodes");
    for part in ["granite", "rack=r1", "takes no new instances"] {
        browser.wait_for_text("#members", part);
    }
    create(&browser, r#"{"id":"/waits","cmd":"sleep 1000","cpus":0.1,"mem":16}"#);
    browser.wait("the app says why nothing runs", || {
        browser.open("/apps/waits");
        let text = browser.text();
        if text.contains("takes no new tasks: cordoned or draining") { Ok(()) } else { Err(text) }
    });

    // Nobody is there.
    browser.open("/nodes");
    browser.fill("#adopt-address", "here");
    browser.fill("#adopt-code", "ABCD-EFGH");
    browser.click("#adopt button");
    browser.wait_for_text("#adopt-error", "no address of a node");
    browser.fill("#adopt-address", "127.0.0.1:1");
    browser.fill("#adopt-code", "ABCD-EFGH");
    browser.click("#adopt button");
    browser.wait_for_text("#adopt-error", "does not answer");
    assert_eq!(browser.property("#adopt-address", "value"), "127.0.0.1:1");
}
