//! What every form and every answer of the console holds to, for all routes its router has.

use super::*;
use console::Backend;

const ROUTER: &str = include_str!("../../../../console/src/router.rs");

/// Addresses that take forms, as the router has them.
fn posts(node: &str) -> Vec<String> {
    let routes = ROUTER.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once('"'));
    let posts = routes.filter(|(_, how)| how.contains("post("));
    let posts: Vec<String> = posts
        .map(|(path, _)| path.replace("{*id}", "hello2").replace("{id}", "hello2.instance-1._app.1"))
        .map(|path| path.replace("{node}", node))
        .collect();
    assert!(posts.len() >= 12, "{posts:?}");
    posts
}

fn value_of<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, after) = page.split_once(&format!("name=\"{name}\" value=\"")).expect(name);
    after.split_once('"').expect("it ends").0
}

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split_once(';').expect("attributes").0.to_owned()
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn no_form_is_taken_without_the_token_of_its_session() {
    let server = Server::new();
    server.running(HELLO).await;
    let pages = Server { router: console::router(server.node.clone()), node: server.node.clone() };
    let form = |cookie: &str| vec![(FORM.0, FORM.1.to_owned()), ("cookie", cookie.to_owned())];

    let page = pages.ask_raw("GET /login", "", &[]).await;
    let visit = cookie(&page);
    let fields = format!(
        "csrf={}&name=admin&password={}&next=//evil.example",
        value_of(&page.text, "csrf"),
        fake::PASSWORD
    );
    let stolen = pages.ask_raw("POST /login", &fields, &form("meseta_visit=00")).await;
    assert_eq!(stolen.status.as_u16(), 403, "a token of another browser logs nobody in");
    let login = pages.ask_raw("POST /login", &fields, &form(&visit)).await;
    assert_eq!((login.status.as_u16(), login.header("location")), (303, "/"), "{}", login.text);
    let session = cookie(&login);
    let flags = login.header("set-cookie").to_owned();
    assert!(flags.contains("HttpOnly") && flags.contains("SameSite=Lax"), "{flags}");

    let index = server.node.state().index;
    let foreign = value_of(&page.text, "csrf").to_owned();
    for path in posts(&server.node.node().id.to_string()) {
        let line = format!("POST {path}");
        for token in ["", &foreign, &"00".repeat(64)] {
            let body = format!("csrf={token}&action=destroy&name=hello2&theme=dark&password=a-new-password");
            let answer = pages.ask_raw(&line, &body, &form(&session)).await;
            assert_eq!(answer.status.as_u16(), 403, "{line} with {token:?}: {}", answer.text);
        }
        let mut cross = form(&session);
        cross.push(("origin", "http://evil.example".to_owned()));
        assert_eq!(pages.ask_raw(&line, "", &cross).await.status.as_u16(), 403, "{line} from another site");
        let stranger = pages.ask_raw(&line, "csrf=", &form("a=b")).await;
        assert!(matches!(stranger.status.as_u16(), 303 | 403), "{line} of a stranger: {}", stranger.status);
    }
    assert_eq!(server.node.state().index, index, "nothing was changed");
}

#[tokio::test]
async fn every_answer_carries_the_policies_and_nothing_typed_becomes_markup() {
    let server = Server::new();
    let pages = Server { router: console::router(server.node.clone()), node: server.node.clone() };
    let odd = pages.ask_raw("GET /login?next=a&next=%3Cscript%3Ealert(1)", "", &[]).await;
    assert_eq!(odd.status.as_u16(), 400);
    assert!(odd.text.contains("<h1") && odd.text.contains("duplicate field"), "a page says it: {}", odd.text);
    let typed = "GET /login?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for line in [typed, "GET /login?next=a&next=%3Cscript%3Ealert(1)", "GET /nowhere", "POST /login"] {
        let answer = pages.ask_raw(line, "", &[]).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{line}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{line}");
        assert_eq!(answer.header("cache-control"), "no-store", "{line}");
        assert!(!answer.text.contains("<script>alert"), "{line}: {}", answer.text);
    }
}
