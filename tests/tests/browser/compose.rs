//! An app is composed, changed, taken back, scaled and destroyed, with scripts and without.

use serde_json::Value;
use tests::browser::{Browser, Scripts};
use tests::node::{Node, Options};
use tests::vm::root;

use crate::person::{create, logged_in};

const SLEEPER: &str = r#"{"id":"/sleeper","cmd":"sleep 100000","cpus":0.1,"mem":16,"backoffSeconds":7}"#;

fn app(node: &Node) -> Value {
    node.http.get("/v2/apps/sleeper").unwrap().expect(200).json()["app"].clone()
}

/// Until the last deployment is over, so that nothing has to be forced.
fn settled(node: &Node, browser: &Browser) {
    browser.wait("no deployment is under way", || {
        let app = app(node);
        if app["deployments"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(app.to_string()) }
    });
}

#[test]
fn edited_taken_back_scaled_and_destroyed() {
    walk(Scripts::Allowed);
}

#[test]
fn the_same_without_scripts() {
    walk(Scripts::Forbidden);
}

fn walk(scripts: Scripts) {
    let node = Node::start();
    let browser = logged_in(&node, scripts);
    create(&browser, SLEEPER);
    browser.wait_for_path("/apps/sleeper");
    settled(&node, &browser);

    browser.open("/apps/sleeper");
    browser.click("main .actions a[href='/edit/sleeper']");
    browser.fill("#f-mem", "24");
    browser.click("details.env summary");
    browser.fill("#f-env-0-key", "COLOUR");
    browser.fill("#f-env-0-value", "blue");
    if scripts == Scripts::Forbidden {
        browser.click("[name=do][value=json]");
    }
    browser.wait("the JSON says it, too", || {
        let json = browser.property("#definition", "value");
        let json = json.as_str().unwrap_or_default();
        if json.contains("\"mem\": 24") && json.contains("\"COLOUR\": \"blue\"") {
            Ok(())
        } else {
            Err(json.to_owned())
        }
    });
    browser.click("main .ends .primary");
    browser.wait_for_text(".consequence", "1 instance ends, replaced by 1 of the new version");
    browser.wait_for_text(".diff", "+   \"mem\": 24");
    browser.click("main form .primary");
    browser.wait_for_path("/apps/sleeper");
    let changed = app(&node);
    assert_eq!((&changed["mem"], &changed["env"]["COLOUR"]), (&24.into(), &"blue".into()));
    assert_eq!(changed["backoffSeconds"], 7, "what the form does not show is kept");
    settled(&node, &browser);

    browser.open("/versions/sleeper");
    browser.click("tbody tr:last-child .end a");
    browser.wait_for_text(".diff", "-   \"mem\": 24");
    browser.click("main form .primary");
    browser.wait_for_path("/apps/sleeper");
    let back = app(&node);
    assert_eq!((&back["mem"], &back["env"]), (&16.into(), &serde_json::json!({})));
    settled(&node, &browser);

    browser.open("/apps/sleeper");
    browser.fill("#instances", "2");
    browser.click("[name=confirm][value=scale]");
    browser.wait_for_text(".consequence", "1 instance is started. The one that lives goes on undisturbed.");
    browser.click("main form .primary");
    browser.wait_for_path("/apps/sleeper");
    assert_eq!(app(&node)["instances"], 2);
    settled(&node, &browser);

    for (action, instances) in [("restart", 2), ("suspend", 0)] {
        browser.open("/apps/sleeper");
        browser.click(&format!("main .actions a[href$='confirm={action}']"));
        browser.click("main form .primary");
        browser.wait_for_path("/apps/sleeper");
        assert_eq!(app(&node)["instances"], instances);
        settled(&node, &browser);
    }

    browser.open("/apps/sleeper");
    browser.click("main .actions a.danger");
    browser.fill("#name", "/wrong");
    browser.click("main button.danger");
    browser.wait_for_text("[role=alert]", "not the application's name");
    browser.fill("#name", "sleeper");
    browser.click("main button.danger");
    browser.wait_for_path("/apps");
    node.http.get("/v2/apps/sleeper").unwrap().expect(404);
}

#[test]
fn form_and_json_follow_each_other_as_one_types() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    browser.open("/new");
    browser.run("window.marked = true");
    browser.fill("#definition", r#"{"id":"/typed","cmd":"sleep 1","env":{"A":"1"},"gpus":0}"#);
    let follows = |selector: &str, part: &str| {
        browser.wait(&format!("{selector} has {part}"), || {
            let value = browser.property(selector, "value");
            let value = value.as_str().unwrap_or_default();
            if value.contains(part) { Ok(()) } else { Err(value.to_owned()) }
        });
    };
    follows("#f-id", "/typed");
    follows("#f-env-0-key", "A");
    browser.fill("#f-cpus", "0.5");
    follows("#definition", "\"cpus\": 0.5");
    follows("#definition", "\"gpus\": 0");
    assert_eq!(browser.focus(), "input#f-cpus", "the focus stays where one types");
    browser.fill("#f-cpus", "much");
    browser.wait_for_text("#fault-cpus", "much");
    browser.fill("#f-cpus", "0.5");
    browser.wait("the fault is gone", || {
        let text = browser.text_of("#fault-cpus")?;
        if text.is_empty() { Ok(()) } else { Err(text) }
    });
    // The last row is used: there is another one.
    browser.fill("#f-env-2-key", "LAST");
    browser.fill("#f-env-3-key", "MORE");
    follows("#definition", "\"MORE\"");
    assert_eq!(browser.run("return window.marked === true"), true, "the page was loaded again");
    browser.click("main .ends .primary");
    browser.wait_for_path("/apps/typed");
    let app = node.http.get("/v2/apps/typed").unwrap().expect(200).json()["app"].clone();
    assert_eq!(app["env"], serde_json::json!({"A": "1", "LAST": "", "MORE": ""}));
}

/// Every JSON of the article: what the form does not show stays as it was printed.
#[test]
fn the_seeds_apps_are_changed_in_the_form_and_keep_the_rest() {
    // Nobody is to be asked for the images.
    let mirror = ["--registry-mirror", "docker.io=http://127.0.0.1:1"].map(str::to_owned);
    let node = Node::start_with(Options { agent_args: mirror.to_vec(), ..Options::default() });
    let browser = logged_in(&node, Scripts::Allowed);
    let folder = root().join("tests/seed");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 7, "{names:?}");
    for name in names {
        let printed = std::fs::read_to_string(folder.join(&name)).unwrap();
        let mut expected: Value = serde_json::from_str(&printed).unwrap();
        let id = expected["id"].as_str().unwrap().to_owned();
        browser.open("/new");
        browser.fill("#definition", &printed);
        browser.wait(&format!("the form shows {name}"), || {
            let shown = browser.property("#f-id", "value");
            if shown == id.as_str() { Ok(()) } else { Err(shown.to_string()) }
        });
        browser.fill("#f-mem", "77");
        expected["mem"] = 77.into();
        browser.wait(&format!("the JSON of {name} has it, and all the rest"), || {
            let text = browser.property("#definition", "value");
            let json: Value = serde_json::from_str(text.as_str().unwrap_or_default())
                .map_err(|error| format!("{error}: {text}"))?;
            if json == expected { Ok(()) } else { Err(json.to_string()) }
        });
        browser.click("main .ends .primary");
        let path = format!("/apps/{}", id.trim_start_matches('/'));
        browser.wait_for_path(&path);
        let app = node.http.get(&format!("/v2{path}")).unwrap().expect(200).json()["app"].clone();
        assert_eq!((&app["mem"], &app["cmd"]), (&77.into(), &expected["cmd"]), "{name}");
        node.http.delete(&format!("/v2{path}")).unwrap().expect(200);
    }
}

#[test]
fn a_change_in_between_is_told() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Allowed);
    create(&browser, SLEEPER);
    browser.wait_for_path("/apps/sleeper");
    browser.open("/edit/sleeper");
    browser.fill("#f-mem", "32");
    node.http.put("/v2/apps/sleeper?force=true", r#"{"cpus":0.2}"#).unwrap().expect(200);
    browser.click("main .ends .primary");
    browser.wait_for_text("#notice", "Somebody else changed this application meanwhile");
    browser.wait_for_text("#notice .diff", "+   \"cpus\": 0.2");
    assert_eq!(browser.property("#f-mem", "value"), "32", "what was typed is kept");
    assert_eq!(app(&node)["mem"], 16);
}

/// Passwords, tokens and sessions on the real thing.
#[test]
fn a_token_made_in_the_settings_opens_the_api_until_it_is_revoked() {
    let node = Node::start();
    let browser = logged_in(&node, Scripts::Forbidden);
    browser.open("/settings");
    browser.fill("#token-name", "ci");
    browser.click("[value=create]");
    let token = browser.wait_for_text("#token", "meseta_");
    let open = node.open();
    let bearer = format!("Bearer {token}");
    let ask = || open.send("GET", "/v2/apps", &[("Authorization", &bearer)], None).unwrap();
    assert_eq!(ask().status, 200);
    browser.click("[value=revoke]");
    browser.wait_for_text("#tokens-part", "There are none.");
    assert_eq!(ask().status, 401);

    let new = "another password";
    for (current, says) in [("wrong one", "another one"), (tests::node::PASSWORD, "Your password is changed")]
    {
        browser.fill("#current", current);
        browser.fill("#password", new);
        browser.fill("#again", new);
        browser.click("#password-part button");
        browser.wait_for_text("#password-part", says);
    }
    let basic = |password: &str| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("admin:{password}"));
        open.send("GET", "/v2/apps", &[("Authorization", &format!("Basic {text}"))], None).unwrap().status
    };
    assert_eq!((basic(new), basic(tests::node::PASSWORD)), (200, 401));
    // The page that said so still belongs to a session.
    browser.open("/events?about=cluster");
    browser.wait_for_text("#live", "The password of admin was changed.");
    browser.wait_for_text("#live", "The API token “ci” was revoked.");
}
