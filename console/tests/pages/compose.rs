//! The form and the JSON of one definition as a browser sends them, without scripts and with.

use std::sync::Arc;

use axum::http::StatusCode;
use console::Backend;
use model::app::AppSpec;
use model::command::{self, Envelope, PutMode};
use model::{Command, DeploymentId, Origin};

use crate::browser::{Browser, Page};
use crate::fake::Fake;
use crate::{NOW, furnished, id, logged_in, state};

/// What a browser would send of the page's composing form, in order.
fn fields_of(page: &Page) -> Vec<(String, String)> {
    let form = page.between("id=\"compose\">", "</form>");
    let mut fields = Vec::new();
    let mut rest = form.as_str();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let tag = &rest[..rest.find('>').expect("a tag ends")];
        let Some(name) = attribute(tag, "name") else { continue };
        let value = if tag.starts_with("input") {
            attribute(tag, "value").unwrap_or_default()
        } else if tag.starts_with("textarea") {
            let text = &rest[tag.len() + 1..];
            unescape(text[..text.find("</textarea>").expect("it ends")].trim_start_matches('\n'))
        } else if tag.starts_with("select") {
            let options = &rest[..rest.find("</select>").expect("it ends")];
            let chosen = options.split("<option").skip(1).find(|option| option.contains("selected"));
            let chosen = chosen.or_else(|| options.split("<option").nth(1)).expect("it has options");
            attribute(chosen, "value").expect("an option has a value")
        } else {
            continue;
        };
        if name != "csrf" {
            fields.push((name, value));
        }
    }
    fields
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescape(rest.split('"').next()?))
}

fn unescape(text: &str) -> String {
    text.replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
}

fn set(fields: &mut Vec<(String, String)>, name: &str, value: &str) {
    match fields.iter_mut().find(|(key, _)| key == name) {
        Some(field) => field.1 = value.to_owned(),
        None => fields.push((name.to_owned(), value.to_owned())),
    }
}

fn get(fields: &[(String, String)], name: &str) -> String {
    fields.iter().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no field {name}")).1.clone()
}

/// Presses the button `button`; ends of lines go as browsers send them.
async fn press(browser: &mut Browser, to: &str, fields: &[(String, String)], button: &str) -> Page {
    let fields: Vec<(String, String)> =
        fields.iter().filter(|(k, _)| k != "do").map(|(k, v)| (k.clone(), v.replace('\n', "\r\n"))).collect();
    let mut sent: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    sent.push(("do", button));
    browser.send(to, &sent).await
}

fn spec(fake: &Fake, app: &str) -> AppSpec {
    (*state(fake).app(&id(app)).expect("the app is there").spec).clone()
}

/// Somebody else gives the app another command.
fn meddle(fake: &Fake, app: &str) {
    let mut other = spec(fake, app);
    other.cmd = Some("somebody else's".into());
    let command = Command::PutApp {
        app: Box::new(other),
        mode: PutMode::Update,
        deployment: DeploymentId(77),
        force: true,
    };
    let envelope = Envelope {
        format: command::FORMAT,
        request_id: None,
        actor: model::auth::Actor::System,
        origin: Origin::default(),
        at: NOW.plus_ms(5_000),
        expected_version: None,
        command,
    };
    fake.change(|state| {
        state.apply(state.index + 1, &envelope).result.expect("it is taken");
    });
}

#[tokio::test]
async fn an_app_is_composed_in_the_form_alone() {
    let fake = Arc::new(Fake::claimed(NOW));
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/new").await;
    let mut fields = fields_of(&page);
    for (name, value) in [
        ("f.id", "/shop/cart"),
        ("f.image", "registry/cart:1"),
        ("f.instances", "2"),
        ("f.cpus", "0.25"),
        ("f.network", "bridge"),
        ("f.ports.0.container", "8080"),
        ("f.ports.0.name", "http"),
        ("f.env.0.key", "LEVEL"),
        ("f.env.0.value", "a \"quoted\" <word>"),
        ("f.checks.0.protocol", "HTTP"),
        ("f.checks.0.target", "/health"),
        ("f.checks.0.interval", "5"),
        ("f.constraints.0.field", "hostname"),
        ("f.constraints.0.operator", "UNIQUE"),
    ] {
        set(&mut fields, name, value);
    }
    // Without scripts: look at it as JSON first, and go on from there.
    let page = press(&mut browser, "/apps", &fields, "json").await;
    assert_eq!(page.status, StatusCode::OK);
    let shown = get(&fields_of(&page), "definition");
    assert!(
        shown.contains("\"containerPort\": 8080") && shown.contains("[\"hostname\", \"UNIQUE\"]"),
        "{shown}"
    );
    let fields = fields_of(&page);
    let page = press(&mut browser, "/apps", &fields, "review").await;
    page.has("2 instances are started.");
    let page = press(&mut browser, "/apps", &fields, "save").await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/apps/shop/cart"));
    let spec = spec(&fake, "/shop/cart");
    assert_eq!((spec.instances, spec.resources.cpu_milli), (2, 250));
    assert_eq!(spec.env["LEVEL"], "a \"quoted\" <word>");
    assert_eq!((spec.ports[0].container_port, spec.ports[0].name.as_deref()), (Some(8080), Some("http")));
    assert_eq!(spec.health_checks[0].interval_ms, 5_000);
    assert_eq!(spec.constraints[0].field, "hostname");
}

#[tokio::test]
async fn what_the_form_does_not_show_survives_it() {
    let fake = Arc::new(Fake::claimed(NOW));
    let mut browser = logged_in(&fake).await;
    let rich = r#"{"id":"/rich","cmd":"true","dependencies":["/db"],"backoffSeconds":7,
        "healthChecks":[{"protocol":"HTTP","path":"/a","ignoreHttp1xx":true}],"ports":[0]}"#;
    browser.get("/new").await;
    browser.send("/apps", &[("definition", rich)]).await;
    let page = browser.get("/edit/rich").await;
    let mut fields = fields_of(&page);
    set(&mut fields, "f.checks.0.target", "/b");
    set(&mut fields, "f.mem", "64");
    let before = spec(&fake, "/rich");
    // The creation is still being deployed: the review says so and forces.
    let page = press(&mut browser, "/edit/rich", &fields, "review").await;
    page.has("gives it up where it stands");
    page.has("<ins>+   &#34;mem&#34;: 64");
    let page = browser
        .send(
            "/edit/rich",
            &[
                ("do", "save"),
                ("version", &page.between("name=\"version\" value=\"", "\"")),
                ("force", "yes"),
                ("definition", &unescape(&page.between("name=\"definition\" value=\"", "\""))),
            ],
        )
        .await;
    assert_eq!(page.location, "/apps/rich");
    let after = spec(&fake, "/rich");
    assert_eq!(after.health_checks[0].path.as_deref(), Some("/b"));
    assert_eq!(after.resources.mem_mib, 64);
    assert!(after.health_checks[0].ignore_http_1xx);
    assert_eq!(
        (&after.dependencies, after.backoff, &after.ports),
        (&before.dependencies, before.backoff, &before.ports)
    );
}

#[tokio::test]
async fn an_untouched_page_changes_nothing() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    for app in ["/shop/web", "/hello2", "/tools/report"] {
        let page = browser.get(&format!("/edit{app}")).await;
        let fields = fields_of(&page);
        press(&mut browser, &format!("/edit{app}"), &fields, "review")
            .await
            .has("Nothing differs from the definition");
        let before = state(&fake).index;
        let versions = state(&fake).app(&id(app)).expect("there").versions.len();
        let page = press(&mut browser, &format!("/edit{app}"), &fields, "save").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        assert!(state(&fake).index > before);
        assert_eq!(state(&fake).app(&id(app)).expect("there").versions.len(), versions);
    }
}

#[tokio::test]
async fn typing_on_one_side_is_answered_by_the_other() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/edit/shop/web").await;
    let mut fields = fields_of(&page);
    set(&mut fields, "f.instances", "many");
    let answer = press(&mut browser, "/convert?from=form", &fields, "").await;
    answer.has("&#34;instances&#34;: &#34;many&#34;");
    answer.has("<code class=\"path\">/instances</code>");
    assert!(answer.between("id=\"fault-instances\"", "</div>").contains("<p>"), "{}", answer.body);
    answer.lacks("id=\"fields\"");

    let mut fields = fields_of(&page);
    set(&mut fields, "definition", r#"{"id":"/shop/web","cmd":"x","env":{"A":"1"},"cpus":-1}"#);
    let answer = press(&mut browser, "/convert?from=json", &fields, "").await;
    answer.has("name=\"f.env.0.key\" id=\"f-env-0-key\" value=\"A\"");
    answer.has("<code class=\"path\">/cpus</code>");
    answer.lacks("id=\"definition\"");
    set(&mut fields, "definition", r#"{"id": "#);
    let answer = press(&mut browser, "/convert?from=json", &fields, "").await;
    answer.has("The JSON cannot be read yet");
    answer.has("Line 1, column");
    assert_eq!(state(&fake).index, furnished_index(), "nothing was proposed");
}

fn furnished_index() -> u64 {
    state(&furnished()).index
}

#[tokio::test]
async fn a_row_taken_out_leaves_the_others_whole() {
    let fake = Arc::new(Fake::claimed(NOW));
    let mut browser = logged_in(&fake).await;
    browser.get("/new").await;
    let two = r#"{"id":"/a","cmd":"x","portDefinitions":[{"port":0,"labels":{"N":"0"}},{"port":0,"labels":{"N":"1"}}]}"#;
    let page = browser.send("/apps", &[("definition", two), ("do", "form")]).await;
    let mut fields = fields_of(&page);
    // As scripts do it: the first row goes, and then the second is changed, without the form being drawn anew.
    set(&mut fields, "f.ports.0.service", "");
    let answer = press(&mut browser, "/convert?from=form", &fields, "").await;
    let json = unescape(&answer.between(">", "</textarea>"));
    set(&mut fields, "definition", json.trim());
    for mark in ["was", "shown"] {
        set(&mut fields, mark, &unescape(&answer.between(&format!("name=\"{mark}\" value=\""), "\"")));
    }
    set(&mut fields, "f.ports.1.name", "kept");
    let answer = press(&mut browser, "/convert?from=form", &fields, "").await;
    let json: serde_json::Value =
        serde_json::from_str(&unescape(&answer.between(">", "</textarea>"))).expect("JSON");
    let expected = serde_json::json!([{"port": 0, "name": "kept", "labels": {"N": "1"}}]);
    assert_eq!(json["portDefinitions"], expected);
}

#[tokio::test]
async fn two_changed_sides_are_never_merged_by_guess() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/edit/shop/web").await;
    let mut fields = fields_of(&page);
    set(&mut fields, "f.mem", "99");
    let json = get(&fields, "definition").replace("512", "98");
    set(&mut fields, "definition", &json);
    let page = press(&mut browser, "/edit/shop/web", &fields, "save").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has("The form and the JSON were both changed");
    let kept = fields_of(&page);
    assert_eq!((get(&kept, "f.mem"), get(&kept, "definition")), ("99".into(), json));
    for (button, expected) in [("json", "99"), ("form", "98")] {
        let page = press(&mut browser, "/edit/shop/web", &kept, button).await;
        let agreed = fields_of(&page);
        assert_eq!(get(&agreed, "f.mem"), expected);
        assert!(get(&agreed, "definition").contains(&format!("\"mem\": {expected}")));
    }
}

#[tokio::test]
async fn a_change_in_between_is_told_and_nothing_is_lost() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/edit/shop/web").await;
    let mut fields = fields_of(&page);
    set(&mut fields, "f.mem", "640");
    meddle(&fake, "/shop/web");
    for button in ["review", "save"] {
        let page = press(&mut browser, "/edit/shop/web", &fields, button).await;
        assert_eq!(page.status, StatusCode::CONFLICT);
        page.has("Somebody else changed this application meanwhile");
        page.has("<ins>+   &#34;cmd&#34;: &#34;somebody else");
        assert_eq!(get(&fields_of(&page), "f.mem"), "640");
        assert_eq!(spec(&fake, "/shop/web").resources.mem_mib, 512);
    }
    // Having seen it, the person may replace it.
    let page = press(&mut browser, "/edit/shop/web", &fields, "save").await;
    let mut again = fields_of(&page);
    set(&mut again, "force", "yes");
    assert_eq!(press(&mut browser, "/edit/shop/web", &again, "save").await.status, StatusCode::SEE_OTHER);
    assert_eq!(spec(&fake, "/shop/web").resources.mem_mib, 640);
    fake.change(|state| {
        state.apps.remove(&id("/shop/web"));
        state.deployments.clear();
        state.task_apps.clear();
    });
    let page = press(&mut browser, "/edit/shop/web", &again, "save").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has("destroyed meanwhile");
    let fields = fields_of(&page);
    let page = press(&mut browser, "/apps", &fields, "save").await;
    assert_eq!(page.location, "/apps/shop/web");
    assert_eq!(spec(&fake, "/shop/web").resources.mem_mib, 640);
    let _ = Backend::now(&*fake);
}

#[tokio::test]
async fn rows_that_cannot_both_count_are_not_swallowed() {
    let mut browser = logged_in(&furnished()).await;
    let page = browser.get("/edit/hello2").await;
    let mut fields = fields_of(&page);
    for (name, value) in
        [("f.env.0.key", "A"), ("f.env.0.value", "1"), ("f.env.1.key", "A"), ("f.env.1.value", "2")]
    {
        set(&mut fields, name, value);
    }
    for _ in 0..2 {
        let page = press(&mut browser, "/edit/hello2", &fields, "save").await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        page.has("is given twice");
        fields = fields_of(&page);
        assert_eq!((get(&fields, "f.env.0.value"), get(&fields, "f.env.1.value")), ("1".into(), "2".into()));
    }
}

#[tokio::test]
async fn an_edit_cannot_rename() {
    let mut browser = logged_in(&furnished()).await;
    let page = browser.get("/edit/hello2").await;
    let mut fields = fields_of(&page);
    set(&mut fields, "f.id", "/other");
    let page = press(&mut browser, "/edit/hello2", &fields, "save").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has("<code class=\"path\">/id</code>");
    let page =
        browser.send("/edit/hello2", &[("definition", r#"{"version":"2026-01-01T00:00:00.000Z"}"#)]).await;
    page.has("It names only a version");
    assert_eq!(browser.get("/edit/none").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.send("/apps", &[("do", "explode")]).await.status, StatusCode::BAD_REQUEST);
}
