//! A real browser: headless Chromium, driven through chromedriver by the WebDriver protocol.
//!
//! Only as much of the protocol as the tests of the console need. Nothing is looked at before it is there: every look
//! waits for its condition. Everything that is started ends with its owner.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::http::Client;
use crate::wait;

/// The name by which the protocol refers to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

/// What the person's browser is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    Allowed,
    Forbidden,
}

/// A browser with one empty profile and one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: Client,
    /// `/session/ID`
    session: String,
    /// The console's address, without a slash at the end.
    base: String,
    _profile: tempfile::TempDir,
}

/// An element of the page that is shown now.
#[derive(Debug, Clone)]
struct Element(String);

impl Browser {
    /// A browser for the console at `address` (`host:port`).
    pub fn start(address: &str, scripts: Scripts) -> Self {
        let (driver, port) = start_driver();
        let client = Client::new(&format!("127.0.0.1:{port}"));
        let profile = tempfile::Builder::new().prefix("mb").tempdir().expect("a temporary folder");
        let mut browser = Self {
            driver,
            client,
            session: String::new(),
            base: format!("http://{address}"),
            _profile: profile,
        };
        let capabilities = capabilities(browser._profile.path(), scripts);
        let session = browser.command("POST", "/session", &capabilities).expect("a browser session");
        let id = session["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        browser
    }

    // === Where it is ===

    /// Loads a path of the console.
    pub fn open(&self, path: &str) {
        self.must("POST", "/url", &json!({ "url": format!("{}{path}", self.base) }));
    }

    /// Path and query of the page that is shown.
    pub fn path(&self) -> String {
        let url = self.must("GET", "/url", &Value::Null);
        let url = url.as_str().expect("an address");
        url.strip_prefix(&self.base).unwrap_or(url).to_owned()
    }

    #[track_caller]
    pub fn wait_for_path(&self, path: &str) {
        self.wait(&format!("the browser is at {path}"), || {
            let at = self.path();
            if at == path { Ok(()) } else { Err(at) }
        });
    }

    /// The path, once it begins with `beginning`: what was clicked leads there, which the driver does not wait for.
    #[track_caller]
    pub fn wait_for_path_below(&self, beginning: &str) -> String {
        self.wait(&format!("the browser is below {beginning}"), || {
            let at = self.path();
            if at.starts_with(beginning) { Ok(at) } else { Err(at) }
        })
    }

    /// All that a person can read on the page.
    pub fn text(&self) -> String {
        self.text_of("body").unwrap_or_default()
    }

    #[track_caller]
    pub fn wait_for_text(&self, selector: &str, text: &str) -> String {
        self.wait(&format!("{selector} says {text:?}"), || {
            let seen = self.text_of(selector)?;
            if seen.contains(text) { Ok(seen) } else { Err(seen) }
        })
    }

    /// [`wait::until`] with the page in the message.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, wait::DEADLINE, probe, || format!("--- page {} ---\n{}", self.path(), self.text()))
    }

    // === What is there ===

    /// The text of the first element that `selector` (CSS) finds.
    pub fn text_of(&self, selector: &str) -> Result<String, String> {
        let element = self.find(selector)?;
        let text = self.ask("GET", &format!("/element/{}/text", element.0), &Value::Null)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    pub fn texts_of(&self, selector: &str) -> Vec<String> {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.must("POST", "/elements", &query);
        let ids = found.as_array().cloned().unwrap_or_default();
        let text = |id: Value| {
            let path = format!("/element/{}/text", id[ELEMENT].as_str()?);
            // It may have been replaced since it was found.
            Some(self.ask("GET", &path, &Value::Null).ok()?.as_str()?.to_owned())
        };
        ids.into_iter().filter_map(text).collect()
    }

    /// A property as scripts see it, e.g. the `value` of a field.
    #[track_caller]
    pub fn property(&self, selector: &str, name: &str) -> Value {
        self.wait(&format!("{selector} has a {name}"), || {
            let element = self.find(selector)?;
            // It may have been replaced since it was found; then it is looked for again.
            self.ask("GET", &format!("/element/{}/property/{name}", element.0), &Value::Null)
        })
    }

    fn find(&self, selector: &str) -> Result<Element, String> {
        let found = self.ask("POST", "/element", &json!({ "using": "css selector", "value": selector }))?;
        found[ELEMENT].as_str().map(|id| Element(id.to_owned())).ok_or_else(|| found.to_string())
    }

    // === What a person does ===

    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.wait(&format!("{selector} can be clicked"), || {
            let element = self.find(selector)?;
            self.ask("POST", &format!("/element/{}/click", element.0), &json!({})).map(drop)
        });
    }

    /// Empties a field and types `text` into it.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.wait(&format!("{selector} can be typed into"), || {
            let element = self.find(selector)?;
            self.ask("POST", &format!("/element/{}/clear", element.0), &json!({}))?;
            self.ask("POST", &format!("/element/{}/value", element.0), &json!({ "text": text })).map(drop)
        });
    }

    /// Presses keys without looking where the focus is, once the page is loaded.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.wait("the page is loaded", || {
            let state = self.run("return document.readyState");
            if state == "complete" { Ok(()) } else { Err(state.to_string()) }
        });
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
            })
            .collect();
        self.must(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }),
        );
    }

    /// Walks with Tab until the focus is at an element that `selector` finds.
    #[track_caller]
    pub fn tab_to(&self, selector: &str) {
        const STEPS_MAX: usize = 120;
        let script = format!("return document.activeElement.matches({selector:?})");
        let mut passed = Vec::new();
        for _ in 0..STEPS_MAX {
            if self.run(&script) == true {
                return;
            }
            self.press(TAB);
            passed.push(self.focus());
        }
        panic!("Tab never comes to {selector}; at {} it passed {passed:?}", self.path());
    }

    pub fn press_enter(&self) {
        self.press(ENTER);
    }

    // === What only a developer does ===

    /// Runs the body of a function in the page and returns its value.
    pub fn run(&self, script: &str) -> Value {
        self.must("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs the body of a function whose last argument is a callback, and returns what that is called with.
    pub fn run_async(&self, script: &str) -> Value {
        self.must("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// What has the focus: its tag and id, or its text.
    pub fn focus(&self) -> String {
        let script = "const e = document.activeElement; \
            return e.tagName.toLowerCase() + (e.id ? '#' + e.id : ' ' + e.textContent.trim().slice(0, 40))";
        self.run(script).as_str().unwrap_or_default().to_owned()
    }

    /// Size of the window in CSS pixels, and whether the person likes it dark.
    pub fn look(&self, width: u32, height: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.developer("Emulation.setEmulatedMedia", json!({ "features": features }));
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.developer("Emulation.setDeviceMetricsOverride", size);
    }

    /// Writes what is shown now as PNG.
    pub fn screenshot(&self, file: &Path) {
        let encoded = self.must("GET", "/screenshot", &Value::Null);
        let encoded = encoded.as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64");
        std::fs::write(file, bytes).expect("the folder for screenshots can be written");
    }

    fn developer(&self, command: &str, parameters: Value) {
        self.must("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    // === The protocol ===

    #[track_caller]
    fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.command(method, &format!("{}{path}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let text = body.to_string();
        let body = (!body.is_null()).then_some(text.as_bytes());
        let headers: &[_] = if body.is_some() { &[("Content-Type", "application/json")] } else { &[] };
        let answer = self.client.send(method, path, headers, body).map_err(|error| error.to_string())?;
        let value = answer.json()["value"].take();
        if answer.status == 200 {
            return Ok(value);
        }
        Err(format!(
            "{}: {}",
            value["error"].as_str().unwrap_or("?"),
            value["message"].as_str().unwrap_or("?")
        ))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; chromedriver itself only knows signals.
        let _ = self.ask("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// chromedriver on a port of its own choosing, which it says on its first lines.
fn start_driver() -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // SAFETY: between fork and exec only prctl(2) is called, which allocates nothing and takes no lock.
    unsafe {
        // A test that is killed must not leave a browser behind.
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(Into::into));
    }
    let mut driver = command.spawn().expect("chromedriver; scripts/setup installs it");
    let output = BufReader::new(driver.stdout.take().expect("it is piped"));
    let port = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    (driver, port.expect("chromedriver says its port"))
}

fn capabilities(profile: &Path, scripts: Scripts) -> Value {
    let mut args: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .into();
    args.push(format!("--user-data-dir={}", profile.display()));
    let mut preferences = json!({ "profile.password_manager_leak_detection": false });
    if scripts == Scripts::Forbidden {
        // 2: block, as the person would choose in the settings of the site.
        preferences["profile.managed_default_content_settings.javascript"] = 2.into();
    }
    let chrome = json!({ "args": args, "prefs": preferences });
    json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": chrome } } })
}
