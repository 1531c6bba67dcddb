//! The article's first app: claimed, pasted, seen running, finished and started again, its output on the page.

use tests::browser::{Browser, Scripts};

use crate::person::{HELLO, claim, create, unclaimed_node};

#[test]
fn from_the_claim_code_to_the_live_output() {
    walk(Scripts::Allowed);
}

#[test]
fn the_same_without_scripts() {
    walk(Scripts::Forbidden);
}

fn walk(scripts: Scripts) {
    let node = unclaimed_node();
    let browser = Browser::start(node.address(), scripts);
    browser.open("/apps/hello2");
    browser.wait_for_path("/claim");
    claim(&browser, "WRONGCODE");
    browser.wait_for_text("[role=alert]", "not the claim code");
    assert_eq!(browser.property("#code", "value"), "WRONGCODE", "what was typed is kept");
    claim(&browser, &node.claim_code());
    browser.wait_for_text("main", "Nothing runs here yet");

    create(&browser, HELLO);
    browser.wait_for_path("/apps/hello2");
    // With scripts the page follows by itself; without, the person loads it anew.
    let look = || {
        if scripts == Scripts::Forbidden {
            browser.open("/apps/hello2");
        }
    };
    let running = |other_than: &str| {
        browser.wait("an instance runs", || {
            look();
            let id = browser.text_of("#running tbody tr:has(.mark.running) th a")?;
            if id == other_than { Err(id) } else { Ok(id) }
        })
    };
    let first = running("");
    let ended = browser.wait("it has finished", || {
        look();
        let ended = browser.text_of("#ended tbody tr")?;
        if ended.contains(&first) { Ok(ended) } else { Err(ended) }
    });
    assert!(ended.contains("Ended by itself with exit code 0"), "{ended}");
    let second = running(&first);
    assert_ne!(second, first);

    browser.click("#running tbody tr:has(.mark.running) th a");
    browser.wait_for_text("#stdout", "hello");
    browser.wait_for_text("h1", "/hello2");
    // The finished one is remembered with its output, too.
    browser.open("/apps/hello2");
    browser.click("#ended tbody tr th a");
    browser.wait_for_text("main", "Ended by itself with exit code 0");
    browser.wait_for_text("#stdout", "hello");

    browser.open("/apps/hello2");
    browser.click("main .actions a.danger");
    browser.wait_for_text("main", "There is no way back");
    browser.fill("#name", "/hello2");
    browser.click("main button.danger");
    // Another page opened before the form is on its way would take it back.
    browser.wait_for_path("/apps");
    browser.wait("it is gone from the list", || {
        browser.open("/apps");
        let text = browser.text_of("main")?;
        if text.contains("Nothing runs here yet") { Ok(()) } else { Err(text) }
    });
}
