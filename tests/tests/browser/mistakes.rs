//! What a person does wrong is answered where it is wrong, and nothing typed is lost.

use tests::browser::Scripts;
use tests::node::Node;

use crate::person::{HELLO, create, log_in, logged_in};

const PRINTED: &str = include_str!("../../seed/nginx-external.as-printed.txt");

#[test]
fn a_paste_that_is_not_json_is_answered_with_line_and_column() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, PRINTED);
    let fault = browser.wait_for_text("#faults", "Line 3, column 15");
    assert!(fault.contains("expected : after the key \"Container\""), "{fault}");
    // The caret stands below the brace that should have been a colon.
    let excerpt = browser.run("return document.querySelector('.excerpt').textContent");
    let lines: Vec<&str> = excerpt.as_str().unwrap().lines().collect();
    assert_eq!(lines[1].find('^'), lines[0].find('{'), "{lines:#?}");
    let kept = browser.property("#definition", "value");
    assert_eq!(kept.as_str().unwrap().trim_end(), PRINTED.trim_end());
}

#[test]
fn all_faults_are_told_at_once_each_with_its_path() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, r#"{"Id":"x","cmd":"true","args":["true"],"cpus":-1,"ports":[99999]}"#);
    browser.wait_for_text("#faults", "faults:");
    let paths = browser.texts_of("#faults .path");
    for path in ["/Id", "/", "/cpus", "/ports(0)"] {
        assert!(paths.iter().any(|found| found == path), "{path} is not among {paths:?}");
    }
    browser.wait_for_text("#faults", "did you mean id?");

    browser.fill("#definition", HELLO);
    browser.click("main form .primary");
    browser.wait_for_path("/apps/hello2");
    create(&browser, HELLO);
    browser.wait_for_text("#faults", "already exists");
}

#[test]
fn a_login_is_asked_for_and_can_be_ended() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    browser.open("/node");
    browser.wait_for_text("main", "Boot");
    browser.click(".who button");
    browser.wait_for_path("/login");
    browser.open("/node");
    browser.wait_for_path("/login?next=/node");
    browser.fill("#name", "admin");
    browser.fill("#password", "not the password");
    browser.click("main button");
    browser.wait_for_text("[role=alert]", "Name or password is wrong");
    log_in(&browser);
    browser.wait_for_path("/node");
}
