//! Consequences, versions, events, settings, search, colours.

use axum::http::StatusCode;
use model::Timestamp;

use crate::browser::Browser;
use crate::fake::PASSWORD;
use crate::{furnished, id, logged_in, state};

#[tokio::test]
async fn every_button_says_what_it_would_do() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let index = state(&fake).index;
    for (query, title, says) in [
        (
            "confirm=scale&instances=5",
            "Scale /shop/web to 5?",
            "2 instances are started. The 3 that live go on undisturbed.",
        ),
        ("confirm=scale&instances=2", "Scale /shop/web to 2?", "1 of 3 instances ends"),
        ("confirm=scale&instances=0", "Suspend /shop/web?", "All its 3 instances end."),
        ("confirm=suspend", "Suspend /shop/web?", "Nothing of it runs until it is scaled up again."),
        (
            "confirm=restart",
            "Restart /shop/web?",
            "at least 3 of them serve at any moment, old or new, and at most 6 live at once",
        ),
        ("confirm=destroy", "Destroy /shop/web?", "There is no way back."),
        ("confirm=scale&instances=3", "Scale /shop/web to 3?", "Nothing differs"),
    ] {
        let page = browser.get(&format!("/apps/shop/web?{query}")).await;
        page.has(title);
        page.has(says);
    }
    let page = browser.get("/apps/shop/web?confirm=scale&instances=4").await;
    page.has("Start 1 instance on rock-1.");
    assert_eq!(
        browser.get("/apps/shop/web?confirm=scale&instances=x").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(browser.get("/apps/shop/web?confirm=explode").await.status, StatusCode::BAD_REQUEST);
    browser.get("/apps/shop/queue?confirm=restart").await.has("gives it up where it stands");
    assert_eq!(state(&fake).index, index, "looking changes nothing");
    // What nothing can take is said before it is asked for.
    browser.get("/apps/shop/db?confirm=scale&instances=2").await.has("Needs ");
}

#[tokio::test]
async fn versions_are_compared_and_gone_back_to() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/apps/tools/report").await;
    for instances in ["2", "4"] {
        let scale = [("action", "scale"), ("instances", instances), ("force", "yes")];
        assert_eq!(browser.send("/apps/tools/report", &scale).await.status, StatusCode::SEE_OTHER);
    }
    let versions: Vec<Timestamp> = state(&fake)
        .app(&id("/tools/report"))
        .expect("there")
        .versions
        .iter()
        .map(|spec| spec.version)
        .collect();
    let [first, second, third] = versions[..] else { panic!("{versions:?}") };
    let page = browser.get("/versions/tools/report").await;
    for version in [first, second, third] {
        page.has(&format!("?version={version}"));
    }
    page.has("1 line added, 1 removed");
    page.has("the first that is kept");
    let page = browser.get(&format!("/versions/tools/report?from={first}&to={third}")).await;
    page.has("<del>-   &#34;instances&#34;: 0");
    page.has("<ins>+   &#34;instances&#34;: 4");
    browser
        .get(&format!("/versions/tools/report?from={first}&to={first}"))
        .await
        .has("The two say the same.");
    browser.get(&format!("/versions/tools/report?version={second}")).await.has("&#34;instances&#34;: 2");
    for bad in ["version=x", "from=x&to=y", "back=2020-01-01T00:00:00.000Z"] {
        let page = browser.get(&format!("/versions/tools/report?{bad}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{bad}");
    }

    let page = browser.get(&format!("/versions/tools/report?back={second}")).await;
    page.has("<ins>+   &#34;instances&#34;: 2");
    let fields =
        [("version", second.to_string()), ("expected", third.to_string()), ("force", "yes".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(browser.send("/versions/tools/report", &fields).await.location, "/apps/tools/report");
    let app = state(&fake).app(&id("/tools/report")).expect("there").clone();
    assert_eq!((app.spec.instances, app.versions.len()), (2, 4));
    // Once more from the same page: it is no longer what was looked at.
    assert_eq!(browser.send("/versions/tools/report", &fields).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn events_are_filtered_paged_and_exported() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/apps/hello2").await;
    for n in 0..60 {
        let app = if n % 2 == 0 { "/apps/hello2" } else { "/apps/shop/web" };
        let instances = (n / 2 + 2).to_string();
        browser.send(app, &[("action", "scale"), ("instances", &instances), ("force", "yes")]).await;
    }
    let page = browser.get("/events").await;
    page.has("is being deployed.");
    page.has("href=\"/apps/hello2\"");
    let rows = |body: &str| body.matches("<tr id=\"e").count();
    assert_eq!(rows(&page.body), 100);
    let older = page.between("href=\"/events?about=&#38;app=&#38;before=", "\"");
    let page = browser.get(&format!("/events?before={older}")).await;
    let total = state(&fake).events.len();
    assert_eq!(rows(&page.body), (total - 100).min(100));
    page.has(">Newest<");
    let page = browser.get("/events?about=app&app=web").await;
    assert_eq!(rows(&page.body), 30);
    page.lacks("href=\"/apps/hello2\"");
    page.has("href=\"/events.jsonl?about=app&#38;app=web\"");
    browser.get("/events?app=nothing").await.has("No event matches.");
    let export = browser.get("/events.jsonl?about=app&app=web").await;
    assert!(export.header("content-disposition").starts_with("attachment"));
    let lines: Vec<serde_json::Value> =
        export.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 30);
    assert_eq!(lines[0]["event"], "api_post");
    assert!(lines.iter().all(|line| line["id"].is_string() && line["at"].as_str().is_some()));
    let mut events = browser.events("/live?events=1").await;
    events.next().await;
    fake.change(|state| state.index += 1);
    browser.send("/apps/hello2", &[("action", "scale"), ("instances", "1"), ("force", "yes")]).await;
    assert!(events.next().await.starts_with("event: change\n"));
}

#[tokio::test]
async fn the_own_password_is_changed_and_other_sessions_end() {
    let fake = furnished();
    let mut here = logged_in(&fake).await;
    let mut elsewhere = logged_in(&fake).await;
    here.get("/settings").await.has("Cluster id");
    let change = |current: &'static str, new: &'static str, again: &'static str| {
        [("current", current), ("password", new), ("again", again)]
    };
    for (fields, status, says) in [
        (change("wrong", "a new password", "a new password"), StatusCode::FORBIDDEN, "another one"),
        (
            change(PASSWORD, "a new password", "another"),
            StatusCode::UNPROCESSABLE_ENTITY,
            "two passwords differ",
        ),
        (change(PASSWORD, "short", "short"), StatusCode::UNPROCESSABLE_ENTITY, "must have 8 to"),
        (change(PASSWORD, PASSWORD, PASSWORD), StatusCode::UNPROCESSABLE_ENTITY, "have already"),
    ] {
        let page = here.send("/settings/password", &fields).await;
        assert_eq!(page.status, status);
        page.has(says);
    }
    assert_eq!(elsewhere.get("/apps").await.status, StatusCode::OK);
    here.send("/settings/password", &change(PASSWORD, "a new password", "a new password"))
        .await
        .has("Your password is changed");
    assert_eq!(here.get("/apps").await.status, StatusCode::OK);
    assert_eq!(elsewhere.get("/apps").await.location, "/login?next=/apps");
    // The answer's own forms belong to the new session.
    let page = here.send("/settings/sessions", &[]).await;
    page.has("All other sessions are ended.");
    assert_eq!(here.get("/apps").await.status, StatusCode::OK);
}

#[tokio::test]
async fn all_other_sessions_can_be_ended() {
    let fake = furnished();
    let mut here = logged_in(&fake).await;
    let mut elsewhere = logged_in(&fake).await;
    here.get("/settings").await;
    here.send("/settings/sessions", &[]).await.has("All other sessions are ended.");
    assert_eq!(here.get("/settings").await.status, StatusCode::OK);
    assert_eq!(elsewhere.get("/apps").await.location, "/login?next=/apps");
}

#[tokio::test]
async fn tokens_are_shown_once_and_revoked() {
    use sha2::{Digest, Sha256};
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/settings").await.has("There are none.");
    let create = [("action", "create"), ("name", "ci <1>"), ("days", "30")];
    let page = browser.send("/settings/tokens", &create).await;
    let token = page.between("<code id=\"token\">", "</code>");
    let hash: String = Sha256::digest(&token).iter().map(|byte| format!("{byte:02x}")).collect();
    let stored = state(&fake).tokens[&hash].clone();
    assert_eq!(stored.expires_at, Some(crate::NOW.plus_ms(30 * 86_400_000)));
    let page = browser.get("/settings").await;
    page.has("ci &#60;1&#62;");
    page.lacks(&token);
    let page = browser.send("/settings/tokens", &create).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has("already.");
    for bad in ["x", "99999", ""] {
        let page =
            browser.send("/settings/tokens", &[("action", "create"), ("name", "b"), ("days", bad)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        browser.get("/settings").await;
    }
    browser
        .send("/settings/tokens", &[("action", "revoke"), ("name", "ci <1>")])
        .await
        .has("There are none.");
    assert!(state(&fake).tokens.is_empty());
}

#[tokio::test]
async fn everything_is_found_by_name() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/search").await.has("Applications, instances, nodes");
    let page = browser.get("/search?q=web").await;
    page.has("href=\"/apps/shop/web\"");
    page.has("href=\"/tasks/shop_web.instance-");
    page.lacks("/apps/hello2");
    browser.get("/search?q=ROCK").await.has("href=\"/nodes/n");
    browser.get("/search?q=nothing-like-it").await.has("Nothing matches");
    browser.get("/search?q=%3Cimg%3E").await.lacks("<img");
    browser.get("/help").await.has("<kbd>g e</kbd>");
}

#[tokio::test]
async fn colours_are_kept_in_a_cookie() {
    let fake = furnished();
    let mut browser = Browser::new(fake.clone());
    browser.get("/login").await.lacks("data-theme");
    let page = browser.send("/theme", &[("theme", "dark"), ("back", "/login")]).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/login"));
    browser.get("/login").await.has("<html lang=\"en\" data-theme=\"dark\">");
    assert_eq!(browser.send("/theme", &[("theme", "light"), ("back", "//evil.example")]).await.location, "/");
    browser.get("/login").await.has("data-theme=\"light\"");
    browser.send("/theme", &[("theme", "system"), ("back", "/login")]).await;
    browser.get("/login").await.lacks("data-theme");
    assert_eq!(browser.send("/theme", &[("theme", "pink")]).await.status, StatusCode::BAD_REQUEST);
}
