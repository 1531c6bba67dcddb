//! Every page of the router by keyboard alone and without scripts. The list of pages is compared with the router, so that
//! a page that is new cannot be forgotten here, nor in `looks`.

use std::collections::BTreeSet;

use tests::browser::{Browser, Scripts};
use tests::node::Node;

use crate::inside::{FILER, task_of};
use crate::person::{create, logged_in, unclaimed_node};

/// Each page's address as the router has it, and one that leads there; `TASK` stands for an instance.
const PAGES: &[(&str, &str)] = &[
    ("/", "/"),
    ("/apps", "/apps?q=o"),
    ("/apps/{*id}", "/apps/filer"),
    ("/new", "/new"),
    ("/edit/{*id}", "/edit/filer"),
    ("/versions/{*id}", "/versions/filer"),
    ("/events", "/events"),
    ("/search", "/search?q=o"),
    ("/settings", "/settings"),
    ("/settings/password", "/settings/password"),
    ("/settings/tokens", "/settings/tokens"),
    ("/settings/cluster", "/settings/cluster"),
    ("/settings/backup", "/settings/backup"),
    ("/settings/schedule", "/settings/schedule"),
    ("/settings/sessions", "/settings/sessions"),
    ("/help", "/help"),
    ("/tasks/{id}", "TASK"),
    ("/tasks/{id}/log/{stream}", "TASK/log/stdout"),
    ("/tasks/{id}/sandbox", "TASK/sandbox"),
    ("/dns", "/dns?name=leader.mesos"),
    ("/nodes", "/nodes"),
    ("/node", "/node"),
    ("/node/kernel", "/node/kernel"),
    ("/node/services/{role}", "/node/services/agent"),
    ("/balancer", "/balancer"),
];
/// The same pages by the id of the node.
const MACHINES_PAGES: &[&str] = &["/nodes/{node}", "/nodes/{node}/kernel", "/nodes/{node}/services/{role}"];
/// Before a login there are these.
const STRANGERS_PAGES: &[&str] = &["/claim", "/claim/restore", "/login"];
/// What a browser gets that is no page: files, scripts and streams.
const NO_PAGES: &[&str] = &[
    "/events.jsonl",
    "/tasks/{id}/files/{stream}",
    "/tasks/{id}/file",
    "/tasks/{id}/archive",
    "/node/kernel.txt",
    "/node/services/{role}/log.txt",
    "/nodes/{node}/kernel.txt",
    "/nodes/{node}/services/{role}/log.txt",
    "/live",
    "/assets/{name}",
];
/// The same page as another one: `looks` opens that.
const LOOK_ALIKE: &[&str] = &[
    "/",
    "/settings/password",
    "/settings/tokens",
    "/settings/cluster",
    "/settings/backup",
    "/settings/schedule",
    "/settings/sessions",
    "/claim/restore",
];

const ROUTER: &str = include_str!("../../../console/src/router.rs");
const LOOKS: &str = include_str!("looks.rs");

#[test]
fn every_page_of_the_router_is_walked_and_looked_at() {
    let routes = ROUTER.lines().filter_map(|line| line.trim().strip_prefix(".route(\""));
    let routes =
        routes.filter_map(|route| route.split_once('"')).filter(|(_, how)| how.starts_with(", get("));
    let served: BTreeSet<&str> = routes.map(|(path, _)| path).collect();
    let walked = PAGES.iter().map(|(route, _)| route).chain(MACHINES_PAGES).chain(STRANGERS_PAGES);
    assert_eq!(
        served,
        walked.chain(NO_PAGES).copied().collect(),
        "the router, and what is walked or is no page"
    );
    let alike = [NO_PAGES, LOOK_ALIKE, MACHINES_PAGES].concat();
    for route in served.iter().filter(|route| !alike.contains(route)) {
        // `/tasks/{id}` is opened by an address that the page itself gave.
        let fixed = route.split(['{', '}']).step_by(2).filter(|part| *part != "/tasks/" && !part.is_empty());
        for part in fixed {
            assert!(LOOKS.contains(part), "looks opens nothing like {route}");
        }
    }
}

/// Everything that Tab must come to: what is shown and can be used.
const REACHABLE: &str = r#"
const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")];
window.expected = all.filter((e) => e.checkVisibility() && !e.disabled && !e.matches("[type=hidden], [tabindex='-1'], [type=radio]:not(:checked)"));
window.reached = new Set(), window.unseen = [];
document.addEventListener("focusin", ({ target }) => {
  const style = getComputedStyle(target);
  if (style.outlineStyle === "none" || !parseFloat(style.outlineWidth)) unseen.push(target.outerHTML);
  reached.add(target);
});
document.activeElement.blur();
return expected.length;
"#;
const MISSED: &str = r#"
const name = (e) => e.outerHTML.slice(0, 120);
return [expected.filter((e) => e.isConnected && !reached.has(e)).map(name), unseen];
"#;
const TAB: &str = "\u{e004}";

/// More stops than these are harmless: Tab begins anew.
const STOPS_MORE: usize = 12;

/// Tried again if a refresh came in between and took the focus with it.
fn by_keyboard(browser: &Browser, path: &str) {
    browser.wait(&format!("Tab comes to all of {path}, and shows where it is"), || {
        browser.open(path);
        let count = browser.run(REACHABLE).as_u64().unwrap();
        browser.press(&TAB.repeat(usize::try_from(count).unwrap() + STOPS_MORE));
        let missed = browser.run(MISSED);
        if missed == serde_json::json!([[], []]) { Ok(()) } else { Err(missed.to_string()) }
    });
}

/// Whatever only a script could make work: a button without a form, a link to nowhere, a page without a heading.
const IDLE: &str = r##"
const shown = [...document.querySelectorAll("main button, main a")].filter((e) => e.checkVisibility());
const idle = shown.filter((e) => e.matches("button") ? !e.form : !e.getAttribute("href") || e.getAttribute("href") === "#");
return [idle.map((e) => e.outerHTML), document.querySelectorAll("h1").length];
"##;

fn without_scripts(browser: &Browser, path: &str) {
    browser.open(path);
    assert_eq!(browser.run(IDLE), serde_json::json!([[], 1]), "{path}: works only with scripts; headings");
}

#[test]
fn every_page_by_keyboard_and_without_scripts() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Forbidden);
    create(&browser, FILER);
    let task = task_of(&browser, "/apps/filer");
    let paths: Vec<String> = PAGES.iter().map(|(_, path)| path.replace("TASK", &task)).collect();
    paths.iter().for_each(|path| without_scripts(&browser, path));
    drop(browser);
    let browser = logged_in(&node, Scripts::Allowed);
    paths.iter().for_each(|path| by_keyboard(&browser, path));
    browser.click(".who button");
    browser.wait_for_path("/login");
    by_keyboard(&browser, "/login");
    drop(browser);
    without_scripts(&Browser::start(node.address(), Scripts::Forbidden), "/login");
    drop(node);
    let node = unclaimed_node();
    without_scripts(&Browser::start(node.address(), Scripts::Forbidden), "/claim");
    by_keyboard(&Browser::start(node.address(), Scripts::Allowed), "/claim");
}
