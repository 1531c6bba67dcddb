//! Every page by daylight, at night and on a phone: nothing sticks out, every word can be read. The pictures are left
//! in the folder that `MESETA_SCREENSHOTS` names.

use std::path::PathBuf;

use tests::axe;
use tests::browser::{Browser, Scripts};
use tests::node::Node;

use crate::inside::{FILER, task_of};
use crate::person::{HELLO, TICKER, WEB, create, logged_in, unclaimed_node};

/// Name, width, height, whether it is dark, and whether axe looks, too: once at each width and in each scheme.
const LOOKS: [(&str, u32, u32, bool, bool); 4] = [
    ("light", 1280, 860, false, true),
    ("dark", 1280, 860, true, false),
    ("phone", 390, 844, false, false),
    ("phone-dark", 390, 844, true, true),
];

/// WCAG 2.2 AA, 1.4.3, for text of normal size.
const CONTRAST_MIN: f64 = 4.5;

/// Lowest contrast of any text on the page, with the text: straight from the definition in WCAG 2.2.
const LOWEST_CONTRAST: &str = r#"
const parse = (color) => {
  const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
  return { r, g, b, a };
};
const over = (top, below) => {
  const mix = (t, b) => t * top.a + b * (1 - top.a);
  return { r: mix(top.r, below.r), g: mix(top.g, below.g), b: mix(top.b, below.b), a: 1 };
};
const luminance = ({ r, g, b }) => {
  const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const ground = (element) => {
  const color = parse(getComputedStyle(element).backgroundColor);
  if (color.a === 1) return color;
  return over(color, element.parentElement ? ground(element.parentElement) : { r: 255, g: 255, b: 255, a: 1 });
};
let lowest = [21, ""];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".hidden, .skip, noscript")) continue;
  const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < lowest[0]) lowest = [contrast, texts.currentNode.data.trim()];
}
return lowest;
"#;

/// Fields and buttons without a name for those who cannot see them.
const NAMELESS: &str = r#"
return [...document.querySelectorAll("input:not([type=hidden]), textarea, button, a")]
  .filter((e) => e.checkVisibility())
  .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim()))
  .map((e) => e.outerHTML);
"#;

fn folder() -> PathBuf {
    let folder = std::env::var_os("MESETA_SCREENSHOTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("meseta-screenshots"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn newest_version(node: &Node) -> String {
    let app = node.http.get("/v2/apps/hello2").unwrap().expect(200).json();
    app["app"]["version"].as_str().expect("a version").to_owned()
}

/// The composing page with faults in form and JSON, as it is answered.
fn faulty(browser: &Browser) {
    browser.open("/new");
    browser.fill("#definition", r#"{"id":"Shop","cmd":"x","cpus":-1,"env":{"A":1},"ports":[99999]}"#);
    browser.wait_for_text("#faults", "faults:");
    browser.click("main form .primary");
    browser.wait_for_text("#fault-ports", "ports(0)");
    looked_at(browser, "faulty");
    browser.open("/new");
    browser.fill("#definition", "{ no");
    browser.wait_for_text("#fields", "cannot be read yet");
    looked_at(browser, "unreadable");
}

fn inspect(browser: &Browser, name: &str, path: &str) {
    looks(browser, name, || browser.open(path));
}

/// A page that is the answer to a form: what is shown now, in every light.
fn looked_at(browser: &Browser, name: &str) {
    looks(browser, name, || {});
}

fn looks(browser: &Browser, name: &str, open: impl Fn()) {
    let mut shown = 0;
    for (look, width, height, dark, by_axe) in LOOKS {
        browser.look(width, height, dark);
        // A page follows the scheme while it is open; what it makes of its width it may decide once.
        if shown != width {
            open();
            shown = width;
        }
        browser.screenshot(&folder().join(format!("{name}-{look}.png")));
        let overflow = browser.run("return document.documentElement.scrollWidth - innerWidth");
        assert!(overflow.as_i64().unwrap() <= 0, "{name} in {look} is {overflow} pixels too wide");
        let lowest = browser.run(LOWEST_CONTRAST);
        assert!(lowest[0].as_f64().unwrap() >= CONTRAST_MIN, "{name} in {look}: contrast {lowest}");
        let nameless = browser.run(NAMELESS);
        assert_eq!(nameless.as_array().map(Vec::len), Some(0), "{name} in {look}: {nameless}");
        if by_axe {
            axe::assert_accessible(browser, &format!("{name} in {look}"));
        }
    }
}

/// Applications: composed, running, failing, changed.
#[test]
fn applications_in_every_light() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    assert!(axe::is_alive(&browser), "axe finds what is wrong");
    inspect(&browser, "empty", "/apps");
    create(&browser, TICKER);
    browser.wait_for_text("#running", "Running");
    let task = browser.run("return document.querySelector('#running tbody th a').getAttribute('href')");
    create(&browser, r#"{"id":"/tools/broken","cmd":"exit 3","cpus":0.1,"mem":16,"flavour":"blue"}"#);
    browser.wait_for_text("#ended", "Failed with exit code 3");
    create(&browser, r#"{"id":"/too/large","cmd":"true","cpus":0.1,"mem":100000000}"#);
    create(&browser, WEB);
    browser.wait_for_text("#running", "Running");
    create(&browser, HELLO);
    browser.wait_for_text("#ended", "Ended by itself");
    let versions = node.http.get("/v2/apps/hello2/versions").unwrap().expect(200).json();
    let version = versions["versions"][0].as_str().expect("a version").to_owned();
    node.http
        .put("/v2/apps/hello2?force=true", r#"{"cmd":"echo hello; sleep 9","mem":48}"#)
        .unwrap()
        .expect(200);
    let comparing = format!("/versions/hello2?from={version}&to={}", newest_version(&node));
    let (viewing, going_back) =
        (format!("/versions/hello2?version={version}"), format!("/versions/hello2?back={version}"));
    for (name, path) in [
        ("edit", "/edit/hello2"),
        ("versions", "/versions/hello2"),
        ("comparing", comparing.as_str()),
        ("version", viewing.as_str()),
        ("going-back", going_back.as_str()),
        ("restart", "/apps/hello2?confirm=restart"),
        ("scale", "/apps/hello2?confirm=scale&instances=3"),
        ("list", "/apps"),
        ("app", "/apps/hello2"),
        ("failing", "/apps/tools/broken"),
        ("waiting", "/apps/too/large"),
        ("task", task.as_str().unwrap()),
        ("create", "/new"),
        ("destroy", "/apps/hello2?confirm=destroy"),
    ] {
        inspect(&browser, name, path);
    }
    faulty(&browser);
}

/// What an instance leaves, the node and everything around the applications.
#[test]
fn the_inside_in_every_light() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, WEB);
    browser.wait_for_text("#running", "Running");
    create(&browser, FILER);
    let filer = task_of(&browser, "/apps/filer");
    browser.wait_for_text("#stdout", "the needle is here");
    for (name, path) in [
        ("filer", ""),
        ("sandbox", "/sandbox"),
        ("file", "/sandbox?path=filer.conf"),
        ("picture", "/sandbox?path=site/img/dot.png"),
        ("log", "/log/stdout?colours=yes"),
        ("finds", "/log/stdout?q=needle"),
        ("marked", "/log/stdout?at=2000&wrap=no#marked"),
    ] {
        inspect(&browser, name, &format!("{filer}{path}"));
    }
    for (name, path) in [
        ("events", "/events"),
        ("search", "/search?q=o"),
        ("settings", "/settings"),
        ("help", "/help"),
        ("names", "/dns"),
        ("answer", "/dns?name=_leader._tcp.mesos&type=SRV"),
        ("node", "/node"),
        ("nodes", "/nodes"),
        ("kernel", "/node/kernel"),
        ("service", "/node/services/agent"),
        ("balancer", "/balancer"),
        ("reboot", "/node?confirm=reboot"),
        ("missing", "/nowhere"),
    ] {
        inspect(&browser, name, path);
    }
    let nodes = node.http.get("/meseta/v1/nodes").unwrap().expect(200).json();
    let id = nodes["nodes"][0]["id"].as_str().expect("the cluster has been founded").to_owned();
    inspect(&browser, "node-change", &format!("/nodes?change={id}"));
    inspect(&browser, "rebalance", "/nodes?rebalance=plan");
    inspect(&browser, "authority", "/nodes?authority=show");
    browser.open("/settings");
    browser.fill("#token-name", "deploy");
    browser.click("[value=create]");
    browser.wait_for_text("#token", "meseta_");
    looked_at(&browser, "token");
    browser.open("/settings");
    browser.click("[name=target][value=s3]");
    browser.fill("#schedule-endpoint", "nowhere");
    browser.click("#schedule-part [value=set]");
    browser.wait_for_text("#schedule-endpoint-fault", "Must be http://");
    looked_at(&browser, "schedule-faults");
    browser.open("/apps");
    browser.click(".who button");
    browser.wait_for_path("/login");
    inspect(&browser, "login", "/login");
    drop(browser);
    let node = unclaimed_node();
    inspect(&Browser::start(node.address(), Scripts::Allowed), "claim", "/claim");
}
