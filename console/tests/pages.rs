//! The console from outside: requests in, pages out, over a node that is not there.

#[path = "pages/backup.rs"]
mod backup;
#[path = "pages/browser.rs"]
mod browser;
#[path = "pages/compose.rs"]
mod compose;
#[path = "../examples/preview/fake.rs"]
mod fake;
#[path = "pages/health.rs"]
mod health;
#[path = "pages/inside.rs"]
mod inside;
#[path = "pages/manage.rs"]
mod manage;
#[path = "pages/nodes.rs"]
mod nodes;
#[path = "pages/traffic.rs"]
mod traffic;

use std::sync::Arc;

use axum::http::StatusCode;
use browser::Browser;
use console::{Backend, Power, Unavailable};
use fake::{CODE, Fake, PASSWORD};
use model::task::TaskState;
use model::{AppId, State, TaskId, Timestamp};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn furnished() -> Arc<Fake> {
    let fake = Fake::claimed(NOW);
    fake.change(fake::furnish);
    Arc::new(fake)
}

async fn logged_in(fake: &Arc<Fake>) -> Browser {
    let mut browser = Browser::new(fake.clone());
    browser.get("/login").await;
    let page = browser.send("/login", &[("name", "admin"), ("password", PASSWORD)]).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/"));
    browser
}

fn state(fake: &Fake) -> Arc<State> {
    Backend::state(fake)
}

fn id(text: &str) -> AppId {
    AppId::parse(text).expect("an app id")
}

async fn task_of(browser: &mut Browser, app: &str) -> String {
    let page = browser.get(app).await;
    let from = page.body.find("/tasks/").expect("the app has a task");
    page.body[from..].split('"').next().expect("an attribute ends").to_owned()
}

#[tokio::test]
async fn an_unclaimed_cluster_has_one_page() {
    let fake = Arc::new(Fake::unclaimed(NOW));
    let mut browser = Browser::new(fake.clone());
    for path in
        ["/", "/apps", "/apps/hello2", "/new", "/dns", "/node", "/balancer", "/login", "/live", "/nowhere"]
    {
        let page = browser.get(path).await;
        assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/claim"), "{path}");
    }
    let right = [("code", CODE), ("password", "long enough"), ("again", "long enough")];
    for (field, value, status, says) in [
        ("code", "WRONG", StatusCode::FORBIDDEN, "not the claim code"),
        ("code", "", StatusCode::UNPROCESSABLE_ENTITY, "Enter the claim code"),
        ("again", "different", StatusCode::UNPROCESSABLE_ENTITY, "two passwords differ"),
    ] {
        browser.get("/claim").await;
        let fields: Vec<_> = right.iter().map(|(k, v)| (*k, if *k == field { value } else { v })).collect();
        let page = browser.send("/claim", &fields).await;
        assert_eq!(page.status, status, "{field}={value}");
        page.has(says);
        page.has(&format!("value=\"{}\"", if field == "code" { value } else { CODE }));
        assert!(!state(&fake).is_claimed());
    }
    let short = browser.send("/claim", &[("code", CODE), ("password", "short"), ("again", "short")]).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = browser.send("/claim", &right).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/"));
    browser.get("/").await.has("Nothing runs here yet");
    assert_eq!(browser.get("/claim").await.location, "/");
}

#[tokio::test]
async fn a_login_leads_back_and_a_logout_ends_it() {
    let mut browser = Browser::new(furnished());
    let page = browser.get("/apps/shop/web?x=1").await;
    assert_eq!(page.location, "/login?next=/apps/shop/web%3Fx%3D1");
    browser.get(&page.location).await.has("value=\"/apps/shop/web?x=1\"");
    let wrong = browser.send("/login", &[("name", "admin"), ("password", "wrong"), ("next", "/node")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    wrong.has("Name or password is wrong");
    wrong.has("value=\"/node\"");
    let fields = [("name", "admin"), ("password", PASSWORD), ("next", "/apps/shop/web?x=1")];
    assert_eq!(browser.send("/login", &fields).await.location, "/apps/shop/web?x=1");
    browser.get("/apps/shop/web").await.has("3 of 3");
    assert_eq!(browser.send("/logout", &[]).await.location, "/login");
    assert_eq!(browser.get("/apps").await.location, "/login?next=/apps");
}

#[tokio::test]
async fn a_login_never_leads_away() {
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let mut browser = Browser::new(furnished());
        browser.get(&format!("/login?next={next}")).await.has("name=\"next\" value=\"/\"");
        let fields = [("name", "admin"), ("password", PASSWORD), ("next", next)];
        assert_eq!(browser.send("/login", &fields).await.location, "/", "{next}");
    }
}

#[tokio::test]
async fn forms_of_others_are_refused() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let index = state(&fake).index;
    let restart = [("action", "restart")];
    browser.token = "ab".repeat(64);
    let page = browser.send("/apps/hello2", &restart).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.has("This form is out of date");

    browser.get("/apps/hello2").await;
    for foreign in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        browser.extra = vec![foreign];
        assert_eq!(browser.send("/apps/hello2", &restart).await.status, StatusCode::FORBIDDEN, "{foreign:?}");
    }
    browser.extra.clear();

    // The token of a browser that is not logged in, though genuine, serves only that browser.
    let mut other = Browser::new(fake.clone());
    other.get("/login").await;
    browser.token = other.token;
    assert_eq!(browser.send("/apps/hello2", &restart).await.status, StatusCode::FORBIDDEN);
    assert_eq!(state(&fake).index, index, "nothing was proposed");

    browser.get("/apps/hello2").await;
    assert_eq!(browser.send("/apps/hello2", &restart).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_it_harmless() {
    let mut browser = logged_in(&furnished()).await;
    let task = task_of(&mut browser, "/apps/shop/web").await;
    let file = format!("{task}/files/stderr");
    for path in [
        "/",
        "/new",
        "/edit/shop/web",
        "/versions/shop/web",
        "/events",
        "/search?q=web",
        "/settings",
        "/help",
        "/apps/shop/web?confirm=destroy",
        "/dns",
        "/balancer",
        "/node",
        "/nodes",
        "/nowhere",
        &task,
        &file,
    ] {
        let page = browser.get(path).await;
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        for inline in [" style=", "<style", " onclick", "javascript:"] {
            assert!(!page.body.contains(inline), "{path}: {inline}");
        }
    }
    let page = browser.get(&file).await;
    assert!(page.header("content-disposition").starts_with("attachment; "));
    assert!(page.header("content-security-policy").contains("sandbox"));
    assert_eq!(page.body, "<script>alert('output')</script>\n");
}

#[tokio::test]
async fn text_of_others_is_never_markup() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let task = task_of(&mut browser, "/apps/shop/web").await;
    let page = browser.get(&task).await;
    page.has("&#60;script&#62;alert(");
    page.lacks("<script>alert");
    let page = browser.send("/apps", &[("definition", r#"<img src=x>"&'"#)]).await;
    page.has("&#60;img src=x&#62;");
    page.lacks("<img");
    browser.get("/apps?q=%22%3E%3Cimg%20src%3Dx%3E").await.lacks("<img");
    fake.change(|state| {
        fake::edit(state, &id("/shop/db"), |app| app.waiting = "<img src=y>".into());
    });
    let page = browser.get("/").await;
    page.has("&#60;img src=y&#62;");
    page.lacks("<img");
}

#[tokio::test]
async fn faults_of_a_definition_are_shown_where_they_are() {
    let mut browser = logged_in(&furnished()).await;
    browser.get("/new").await;
    let printed = include_str!("../../tests/seed/nginx-external.as-printed.txt");
    let page = browser.send("/apps", &[("definition", printed)]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has("Line 3, column 15");
    page.has("data-line=\"3\" data-column=\"15\"");
    page.has("&#34;Id&#34;: &#34;nginx-external&#34;");

    let faults = r#"{"Id": "x", "cpus": -1, "ports": [99999]}"#;
    let page = browser.send("/apps", &[("definition", faults)]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for path in ["/Id", "/cpus", "/ports(0)"] {
        page.has(&format!("<code class=\"path\">{path}</code>"));
    }
    page.has("did you mean <code>id</code>?");
}

#[tokio::test]
async fn an_app_is_created_once() {
    let mut browser = logged_in(&Arc::new(Fake::claimed(NOW))).await;
    browser.get("/new").await;
    let definition = [("definition", include_str!("../../tests/seed/hello2.json"))];
    let page = browser.send("/apps", &definition).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/apps/hello2"));
    browser.get("/apps/hello2").await.has("echo hello; sleep 10");
    let page = browser.send("/apps", &definition).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has("already exists");
    page.has("echo hello; sleep 10");
}

#[tokio::test]
async fn the_buttons_of_an_app_do_what_they_say() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let instances = |fake: &Fake| state(fake).app(&id("/hello2")).map(|app| app.spec.instances);
    browser.get("/apps/hello2").await;
    for bad in ["-1", "many", "10001", ""] {
        let page = browser.send("/apps/hello2", &[("action", "scale"), ("instances", bad)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        browser.get("/apps/hello2").await;
    }
    let page = browser.send("/apps/hello2", &[("action", "scale"), ("instances", "3")]).await;
    assert_eq!(page.location, "/apps/hello2");
    assert_eq!(instances(&fake), Some(3));

    // The scaling is under way: the next change asks first, then forces its way.
    let page = browser.send("/apps/hello2", &[("action", "suspend")]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has("name=\"force\" value=\"yes\"");
    assert_eq!(instances(&fake), Some(3));
    let page = browser.send("/apps/hello2", &[("action", "suspend"), ("force", "yes")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(instances(&fake), Some(0));

    browser.get("/apps/hello2?confirm=destroy").await.has("There is no way back.");
    for wrong in ["", "hello", "/shop/web"] {
        let page =
            browser.send("/apps/hello2", &[("action", "destroy"), ("force", "yes"), ("name", wrong)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        page.has("This is not the application");
        assert_eq!(instances(&fake), Some(0));
    }
    let page =
        browser.send("/apps/hello2", &[("action", "destroy"), ("force", "yes"), ("name", "hello2")]).await;
    assert_eq!(page.location, "/apps");
    assert_eq!(instances(&fake), None);
    assert_eq!(browser.get("/apps/hello2").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn one_press_is_one_change() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/apps/shop/web").await;
    let press = [("action", "restart"), ("once", "0123456789abcdef0123456789abcdef")];
    for _ in 0..2 {
        assert_eq!(browser.send("/apps/shop/web", &press).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(state(&fake).deployments_of(&id("/shop/web")).count(), 1);
}

#[tokio::test]
async fn what_the_cluster_cannot_do_is_said_and_nothing_is_lost() {
    let fake = Arc::new(Fake::claimed(NOW));
    let mut browser = logged_in(&fake).await;
    browser.get("/new").await;
    for (error, status) in [
        (Unavailable::NoLeader("no majority".into()), StatusCode::SERVICE_UNAVAILABLE),
        (Unavailable::NoSpace("0 bytes free".into()), StatusCode::INSUFFICIENT_STORAGE),
        (Unavailable::Unknown, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        *fake.refuse.lock().expect("no panic holds it") = Some(error);
        let page = browser.send("/apps", &[("definition", r#"{"id":"kept","cmd":"true"}"#)]).await;
        assert_eq!(page.status, status);
        page.has("&#34;kept&#34;");
    }
    let huge = "x".repeat(model::limits::REQUEST_BODY_BYTES_MAX + 1);
    let page = browser.send("/apps", &[("definition", &huge)]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    page.has("at most 1024 KiB");
}

#[tokio::test]
async fn the_list_is_searched_by_id_image_and_label() {
    let mut browser = logged_in(&furnished()).await;
    for (query, shown, hidden) in [
        ("hello", "/apps/hello2", "/apps/shop/web"),
        ("WEB:4.2", "/apps/shop/web", "/apps/hello2"),
        ("team=shop", "/apps/shop/web", "/apps/shop/db"),
    ] {
        let page = browser.get(&format!("/apps?q={query}")).await;
        page.has(shown);
        page.lacks(hidden);
    }
    browser.get("/apps?q=nothing-like-it").await.has("No application matches");
    let page = browser.get("/").await;
    for says in ["Deploying", "Running", "Suspended", "Delayed", "Waiting", "No node has 16.0 GiB", "3 of 3"]
    {
        page.has(says);
    }
}

#[tokio::test]
async fn power_is_asked_for_twice() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/node?confirm=reboot").await.has("The 6 instances on it are stopped.");
    assert!(fake.power.lock().expect("no panic holds it").is_empty());
    browser.send("/node", &[("action", "reboot")]).await.has("The node reboots");
    browser.get("/node?confirm=off").await.has("stays off until somebody switches it on");
    browser.send("/node", &[("action", "off")]).await.has("The node powers off");
    assert_eq!(*fake.power.lock().expect("no panic holds it"), [Power::Reboot, Power::Off]);
    browser.get("/node?confirm=off").await;
    assert_eq!(browser.send("/node", &[("action", "explode")]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_open_page_hears_of_every_change() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    for page in ["/live", "/live?app=/hello2"] {
        let mut events = browser.events(page).await;
        let index = state(&fake).index;
        assert_eq!(events.next().await, format!("event: change\ndata: {index}"));
        for n in 1..4 {
            fake.change(|state| {
                state.index += 1;
                fake::edit(state, &id("/hello2"), |app| app.waiting = n.to_string());
            });
            assert_eq!(events.next().await, format!("event: change\ndata: {}", index + n));
        }
    }
}

#[tokio::test]
async fn an_open_task_page_hears_its_output() {
    let mut browser = logged_in(&furnished()).await;
    let task = task_of(&mut browser, "/apps/hello2").await;
    let task = task.strip_prefix("/tasks/").expect("a task's path");
    let mut events = browser.events(&format!("/live?task={task}&stdout=2&stderr=0")).await;
    let mut seen = vec![events.next().await, events.next().await, events.next().await];
    seen.sort();
    assert_eq!(seen, ["event: change\ndata: 0", "event: stderr\ndata: 0", "event: stdout\ndata: 2 bGxvCg=="]);
    let starting = TaskId::new(&id("/shop/queue"), 1, 1);
    let mut events = browser.events(&format!("/live?task={starting}")).await;
    let mut seen = vec![events.next().await, events.next().await, events.next().await];
    seen.sort();
    assert_eq!(
        seen,
        ["event: absent\ndata: stderr", "event: absent\ndata: stdout", "event: change\ndata: 0"]
    );
}

#[tokio::test]
async fn the_first_page_is_small() {
    let mut browser = logged_in(&furnished()).await;
    let plain = browser.get("/").await.body;
    browser.extra = vec![("accept-encoding", "gzip")];
    let mut bytes = browser.bytes("/").await;
    let mut requests = 1;
    for address in plain.split('"').filter(|text| text.starts_with("/assets/")) {
        bytes += browser.bytes(address).await;
        requests += 1;
    }
    assert!(requests <= 3 && bytes <= 35 * 1024, "{requests} requests, {bytes} bytes");
}
