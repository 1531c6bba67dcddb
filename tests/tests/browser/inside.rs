//! A person looks into a task and into the node: files, output, the kernel's log. Everything works without scripts.

use tests::browser::{Browser, Scripts};
use tests::node::Node;

use crate::person::{create, logged_in};

/// Leaves files of several kinds, and output in colours.
pub const FILER: &str = r#"{"id":"/filer","cpus":0.1,"mem":32,"env":{"COLOUR":"green","API_TOKEN":"do-not-show"},
"cmd":"mkdir -p site/img; echo '<h1>mine</h1>' > site/index.html; printf 'size = 3\\nname = filer\\n' > filer.conf; echo iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEUlEQVR42mOY4yWvleXKAKEAG3oDvcke7BYAAAAASUVORK5CYII= | base64 -d > site/img/dot.png; ln -s filer.conf current; ln -s /etc/passwd passwd; mkfifo pipe; printf 'begin\\n'; seq 1 4000 | sed 's/.*/& of 4000 records read/'; printf '\\033[32mall is well\\033[0m\\n\\033[1;31mthe needle is here\\033[0m\\n'; sleep 1000"}"#;

pub fn task_of(browser: &Browser, app: &str) -> String {
    browser.wait("the instance runs", || {
        browser.open(app);
        browser.text_of("#running .mark.running")
    });
    browser.click("#running tbody th a");
    browser.wait_for_path_below("/tasks/")
}

#[test]
fn files_and_output_without_scripts() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Forbidden);
    create(&browser, FILER);
    let task = task_of(&browser, "/apps/filer");
    let page = browser.wait("it has written", || {
        browser.open(&task);
        let text = browser.text();
        if text.contains("the needle is here") { Ok(text) } else { Err(text) }
    });
    for says in ["Planned", "Running", "In use now", "Memory"] {
        assert!(page.contains(says), "{says} in {page}");
    }
    browser.open("/apps/filer");
    let page = browser.wait_for_text("main", "API_TOKEN");
    assert!(page.contains("green") && !page.contains("do-not-show"), "{page}");
    browser.open(&task);
    browser.click(".env summary");
    let env = browser.wait_for_text(".env", "API_TOKEN");
    assert!(env.contains("green") && !env.contains("do-not-show"), "{env}");

    // Down to a file and back.
    browser.click("a[href$='/sandbox']");
    let files = browser.wait_for_text("#files", "filer.conf");
    for says in ["site/", "link to /etc/passwd", "FIFO"] {
        assert!(files.contains(says), "{says} in {files}");
    }
    browser.click("#files a[href$='path=site']");
    browser.click("#files a[href$='path=site/index.html']");
    browser.wait_for_text("#preview", "<h1>mine</h1>");
    browser.click(".way a:last-of-type");
    browser.click("#files a[href$='path=site/img']");
    browser.click("#files a[href$='path=site/img/dot.png']");
    browser.wait("the picture is shown", || {
        let width = browser.property(".picture img", "naturalWidth");
        if width == 2 { Ok(()) } else { Err(width.to_string()) }
    });
    browser.open(&format!("{task}/sandbox?path=passwd"));
    browser.wait_for_text("main", "it leads outside the sandbox");

    // Found by its text, then by its line's own address.
    browser.open(&task);
    browser.click("a[aria-label='Search and browse stdout']");
    browser.fill("#q", "NEEDLE");
    browser.click("form[role=search] button");
    browser.wait_for_text("#finds", "the needle is here");
    browser.click("#finds li a");
    browser.wait_for_text(".line.marked", "the needle is here");
    let place = browser.path();
    assert!(place.contains("/log/stdout?at=") && place.ends_with("#marked"), "{place}");
    browser.click(".switches a:last-of-type");
    browser.wait_for_text(".ansi-1", "the needle is here");
    browser.fill("#at", "7");
    browser.click("form:has(#at) button");
    browser.wait_for_text(".line.marked", "1 of 4000 records read");
    browser.click("a[rel=next]");
    browser.wait_for_text(".lines", "3999 of 4000 records read");
}

#[test]
fn the_node_without_scripts() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Forbidden);
    browser.open("/node");
    browser.wait_for_text("#links", "127.0.0.1/8");
    browser.wait_for_text("#space", "/");
    // From there on the machine has its own address, the same on every node's console.
    let id = node.http.get("/meseta/v1/node").unwrap().expect(200).json()["id"].as_str().unwrap().to_owned();
    browser.click(&format!("a[href='/nodes/{id}/kernel']"));
    browser.wait_for_text("#kernel", "info");
    browser.click("form:has(#level) button");
    browser.wait_for_path_below(&format!("/nodes/{id}/kernel?level="));
    browser.click("h1 a");
    browser.wait_for_path(&format!("/nodes/{id}"));
    browser.click(&format!("a[href='/nodes/{id}/services/agent']"));
    browser.wait_for_text("main pre", "the agent starts");
}
