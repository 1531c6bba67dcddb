//! Names, traffic, and images on their way.

use super::*;

#[tokio::test]
async fn names_are_listed_searched_and_asked_for() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/dns").await;
    for says in ["web-shop.marathon.mesos", "leader.mesos", "192.168.7.21", "_web-shop._tcp.marathon.mesos"] {
        page.has(says);
    }
    page.has("<a href=\"/dns\" data-go=\"d\" aria-current=\"page\">");
    let page = browser.get("/dns?q=QUEUE").await;
    page.has("queue-shop.marathon.mesos");
    page.lacks("web-shop.marathon.mesos");
    browser.get("/dns?q=nothing-like-it").await.has("No name or record matches");

    let page = browser.get("/dns?name=Web-Shop.marathon.mesos.&type=A").await;
    page.has("<strong>NOERROR</strong> One record.");
    page.has("<th scope=\"row\">web-shop.marathon.mesos.</th>");
    let page = browser.get("/dns?name=_web-shop._tcp.marathon.mesos&type=SRV").await;
    page.has("<strong>NOERROR</strong> 6 records");
    page.has("<caption>Additional</caption>");
    browser.get("/dns?name=web-shop.marathon.mesos&type=AAAA").await.has("no record of this type");
    let page = browser.get("/dns?name=nobody.marathon.mesos&type=A").await;
    page.has("<strong>NXDOMAIN</strong>");
    page.has("<caption>Authority</caption>");
    browser.get("/dns?name=example.com&type=A").await.has("This name is not the cluster");
    let page = browser.get("/dns?name=%22%3E%3Cimg%20src%3Dx%3E&type=%3Cimg%3E&q=%3Cimg%3E&page=x").await;
    page.lacks("<img");

    fake.change(|state| {
        for n in 0..60 {
            let app = fake::put(state, &format!(r#"{{"id":"/many/app{n:03}","cmd":"true"}}"#));
            fake::launch(state, &app, 1_000 + n, model::task::TaskState::Running, 5);
        }
    });
    let first = browser.get("/dns?q=many").await;
    first.has("page 1 of ");
    first.lacks("rel=\"prev\"");
    let next = browser.get("/dns?q=many&page=2").await;
    next.has("rel=\"prev\" href=\"/dns?q=many&page=1\"");
    assert_ne!(first.between("id=\"names\"", "</table>"), next.between("id=\"names\"", "</table>"));
    browser.get("/dns?q=many&page=999999").await.lacks("rel=\"next\"");
}

#[tokio::test]
async fn how_far_an_image_has_come_is_shown_while_its_task_waits() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let apps = state(&fake).apps.clone();
    let tasks = &apps[&id("/shop/queue")].tasks;
    let task = |state| tasks.values().find(|task| task.state == state).expect("there is one").id.clone();
    let (starting, running) = (task(TaskState::Starting), task(TaskState::Running));
    let told = "pulling registry.example/queue:2: 12 of 40 MiB";
    fake.preparing.send_replace(Arc::new([(starting.clone(), told.to_owned())].into()));
    browser.get("/apps/shop/queue").await.has(told);
    browser.get(&format!("/tasks/{starting}")).await.has(told);
    let other = browser.get(&format!("/tasks/{running}")).await;
    assert!(!other.body.contains(told), "{}", other.body);
}

#[tokio::test]
async fn the_balancer_is_shown_with_what_it_does_and_what_it_cannot() {
    let fake = furnished();
    fake.change(|state| drop(fake::put(state, r#"{"id":"/shop/broken","cmd":"true"}"#)));
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/balancer").await;
    for says in [
        "href=\"/balancer\" data-go=\"b\" aria-current=\"page\"",
        "HAProxy 3.0.11",
        "2 servers were changed without a reload (the state changed)",
        "shop_web_10000",
        "192.168.7.22:31002",
        "mark deploying\">DRAIN",
        "frontend http",
        "<code>&#60;udp&#62;</code>; expected one of http, tcp",
    ] {
        page.has(says);
    }
    browser.get("/apps/shop/broken").await.has("<code>&#60;udp&#62;</code>; expected one of http, tcp");
}
