//! Open pages follow what happens, without being loaded again.

use std::time::Duration;

use model::Timestamp;
use tests::browser::{Browser, Scripts};
use tests::node::Node;

use crate::person::{TICKER, create, logged_in};

/// targets.md, row 22: visible in an open page at the latest after this long.
const VISIBLE_WITHIN: Duration = Duration::from_secs(1);

/// Fails the test at its end if the page was loaded again in between.
fn mark(browser: &Browser) {
    browser.run("window.marked = true");
}

#[track_caller]
fn assert_marked(browser: &Browser) {
    assert_eq!(browser.run("return window.marked === true"), true, "the page was loaded again");
}

#[test]
fn output_appears_as_it_is_written() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, TICKER);
    browser.wait_for_text("#running", "Running");
    browser.click("#running tbody th a");
    let before = browser.wait_for_text("#stdout", "tick");
    mark(&browser);
    let last = before.lines().count() + 3;
    let text = browser.wait_for_text("#stdout", &format!("tick {last}\n"));
    let numbers: Vec<String> = (1..=last).map(|n| format!("tick {n}")).collect();
    assert!(text.starts_with(&numbers.join("\n")), "every line once, in order:\n{text}");
    assert_marked(&browser);

    // Once it is killed the page says so, and offers no button for it any more.
    let id = browser.path().strip_prefix("/tasks/").unwrap().to_owned();
    node.http.post("/v2/tasks/delete", format!(r#"{{"ids":["{id}"]}}"#)).unwrap().expect(200);
    browser.wait_for_text("#live .summary", "Killed on request");
    browser.wait("the button is gone", || {
        let buttons = browser.texts_of("main .actions button");
        if buttons.is_empty() { Ok(()) } else { Err(format!("{buttons:?}")) }
    });
    assert_marked(&browser);
}

/// Stamps the moment at which the list first says that two instances are wanted.
const WATCH: &str = r#"
window.seen = 0;
const look = () => {
  if (!window.seen && document.getElementById("live").textContent.includes("of 2")) window.seen = Date.now();
};
new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
"#;

#[test]
fn a_change_is_visible_at_once() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, TICKER);
    browser.wait_for_text("#running", "Running");
    browser.open("/");
    browser.wait_for_text("#live", "1 of 1");
    mark(&browser);
    browser.run(WATCH);
    let answer = node.http.put("/v2/apps/ticker", r#"{"instances":2}"#).unwrap().expect(200).json();
    let seen = browser.wait("two instances are wanted", || {
        let seen = browser.run("return window.seen").as_u64().unwrap();
        if seen > 0 { Ok(seen) } else { Err("not yet".to_owned()) }
    });
    // A version is the time at which the leader stamped the change: the same clock as the browser's.
    let changed = Timestamp::parse(answer["version"].as_str().unwrap()).unwrap();
    let took = Duration::from_millis(seen.saturating_sub(changed.0));
    println!("a change was visible after {} ms", took.as_millis());
    assert!(took <= VISIBLE_WITHIN, "{took:?}");
    assert_marked(&browser);
}

#[test]
fn a_lost_node_is_noticed_and_found_again() {
    let mut node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    mark(&browser);
    node.stop();
    browser.wait_for_text("#stale", "The connection to this node is lost");
    node.launch();
    browser.wait("the warning goes away", || {
        let text = browser.text_of("#stale")?;
        if text.is_empty() { Ok(()) } else { Err(text) }
    });
    assert_marked(&browser);
}

#[test]
fn the_list_is_searched_while_typing_and_by_keys() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, TICKER);
    browser.wait_for_path("/apps/ticker");
    create(&browser, r#"{"id":"/other","cmd":"sleep 1000","cpus":0.1,"mem":16}"#);
    browser.wait_for_path("/apps/other");
    browser.press("ga");
    browser.wait_for_path("/apps");
    browser.wait_for_text("#live", "/other");
    mark(&browser);
    browser.press("/tick");
    browser.wait("only one is left", || {
        let rows = browser.texts_of("#live tbody th");
        if rows == ["/ticker"] { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    assert_eq!(browser.property("#q", "value"), "tick", "the slash moved the focus and was not typed");
    assert_marked(&browser);
    browser.press_enter();
    browser.wait_for_path("/apps?q=tick");
    browser.press("?");
    browser.wait_for_text("#help", "Search applications");
    browser.press("?");
    browser.press("ge");
    browser.wait_for_path("/events");
    browser.press("gs");
    browser.wait_for_path("/settings");
    browser.press("/");
    browser.wait_for_path("/search");
    browser.wait("the search has the focus", || {
        if browser.focus() == "input#q" { Ok(()) } else { Err(browser.focus()) }
    });
    browser.press("tick");
    browser.wait_for_text("#found", "/ticker");
}
