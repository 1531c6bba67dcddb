//! Every page by keyboard alone: no click, no script that moves the focus.

use tests::browser::{Browser, Scripts};
use tests::node::{Node, PASSWORD};

const SHOWN: &str = "const e = document.activeElement; const s = getComputedStyle(e);
    return e.matches(':focus-visible') && (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)";

/// Enter on a link or a button that Tab came to, and that shows that it has the focus.
#[track_caller]
fn follow(browser: &Browser, selector: &str) {
    browser.tab_to(selector);
    assert_eq!(browser.run(SHOWN), true, "{selector} shows no focus");
    browser.press_enter();
}

#[test]
fn the_whole_life_of_an_app_by_keyboard() {
    let node = Node::start();
    let browser = Browser::start(node.address(), Scripts::Allowed);
    browser.open("/login");
    // The password has the focus already.
    browser.press(PASSWORD);
    browser.press_enter();
    browser.wait_for_text("h1", "Applications");

    browser.press("c");
    browser.wait_for_path("/new");
    browser.tab_to("#f-id");
    browser.press("/keys");
    browser.tab_to("#f-cmd");
    browser.press("sleep 100000");
    browser.tab_to("#f-cpus");
    browser.press("0.1");
    browser.tab_to("#f-mem");
    browser.press("16");
    follow(&browser, "main .ends .primary");
    browser.wait_for_path("/apps/keys");
    browser.wait_for_text("#running", "Running");

    follow(&browser, "#running th a");
    browser.wait_for_path_below("/tasks/");
    follow(&browser, "h1 a");
    browser.wait_for_path("/apps/keys");

    follow(&browser, "a[href='/edit/keys']");
    browser.wait_for_path("/edit/keys");
    browser.tab_to("#f-disk");
    browser.press("1");
    follow(&browser, "main .ends .primary");
    browser.wait_for_text(".diff", "\"disk\": 1");
    follow(&browser, "main form .primary");
    browser.wait_for_path("/apps/keys");
    browser.wait_for_text("#live .summary", "Running");

    follow(&browser, "a[href='/versions/keys']");
    browser.wait_for_path("/versions/keys");
    follow(&browser, "tbody tr:last-child .end a");
    browser.wait_for_text(".diff", "\"disk\": 1");
    // The deployment before may still be under way; the page then says so and forces.
    follow(&browser, "main form .primary");
    browser.wait_for_path("/apps/keys");

    for (keys, path) in [("ge", "/events"), ("gs", "/settings"), ("gn", "/nodes"), ("ga", "/apps")] {
        browser.press(keys);
        browser.wait_for_path(path);
        // The first Tab of every page leads past the bar.
        browser.press("\u{e004}");
        assert_eq!(browser.focus(), "a Skip to content");
        browser.press_enter();
        browser.wait("the content has the focus", || {
            let at = browser.focus();
            if at == "main#content" { Ok(()) } else { Err(at) }
        });
    }
    follow(&browser, "a[href='/apps/keys']");
    browser.wait_for_path("/apps/keys");
    follow(&browser, "main .actions a.danger");
    browser.wait_for_text("main", "There is no way back");
    browser.tab_to("#name");
    browser.press("keys");
    browser.press_enter();
    browser.wait_for_path("/apps");
}

#[test]
fn the_focus_and_a_selection_outlive_a_refresh() {
    let node = Node::start();
    let browser = crate::person::logged_in(&node, Scripts::Allowed);
    crate::person::create(&browser, crate::person::TICKER);
    browser.wait_for_path("/apps/ticker");
    browser.open("/apps");
    browser.wait_for_text("#live", "1 of 1");
    browser.tab_to("#live th a");
    let focus = browser.focus();
    browser.run("window.old = document.getElementById('live')");
    node.http.put("/v2/apps/ticker?force=true", r#"{"instances":2}"#).unwrap().expect(200);
    browser.wait_for_text("#live", "2 of 2");
    assert_eq!(
        browser.run("return window.old !== document.getElementById('live')"),
        true,
        "it was refreshed"
    );
    assert_eq!(browser.focus(), focus);
}

#[test]
fn rows_are_walked_by_keys() {
    let node = Node::start();
    let browser = crate::person::logged_in(&node, Scripts::Allowed);
    for app in ["/first", "/second", "/third"] {
        let definition = format!(r#"{{"id":"{app}","cmd":"sleep 1000","cpus":0.1,"mem":16,"instances":0}}"#);
        node.http.post("/v2/apps", definition).unwrap().expect(201);
    }
    browser.wait_for_text("#live", "/third");
    let down = "\u{e015}";
    // An arrow alone scrolls, as it does everywhere.
    for (keys, row) in
        [(down, "body"), ("j", "a#a/first"), (down, "a#a/second"), ("jj", "a#a/third"), ("k", "a#a/second")]
    {
        browser.press(keys);
        let focus = browser.focus();
        assert!(focus.starts_with(row), "{focus} after {keys:?}, not {row}");
    }
    browser.press_enter();
    browser.wait_for_path("/apps/second");
}
