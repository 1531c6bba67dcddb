//! Who is let in, and what strangers are told.

use super::*;
use std::sync::atomic::Ordering;

fn auth(value: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", value.to_owned())]
}

#[tokio::test]
async fn unclaimed_nothing_but_the_claim_and_ping_is_open() {
    let server = Server::unclaimed();
    for line in ["GET /v2/apps", "POST /v2/apps", "GET /v2/nonsense", "GET /metrics", "GET /meseta/v1/node"] {
        server.check(line, HELLO, 403, &["not claimed", "/claim"]).await;
    }
    let ping = server.ask_raw("GET /ping", "", &[]).await;
    assert_eq!((ping.status.as_u16(), ping.text.as_str()), (200, "pong"));
}

#[tokio::test]
async fn claiming() {
    let server = Server::unclaimed();
    let claim =
        |code: &str, password: &str| serde_json::json!({ "code": code, "password": password }).to_string();
    for (body, status, part) in [
        (claim("AAAA-AAAA", fake::PASSWORD), 403, "the claim code is wrong"),
        (claim(fake::CODE, "short"), 422, "/password"),
        ("{".to_owned(), 400, "Invalid JSON"),
        (r#"{"code": 1, "password": "x"}"#.to_owned(), 422, "details"),
        (r#"{"code": "x"}"#.to_owned(), 422, "password"),
    ] {
        let answer = server.ask_raw("POST /meseta/v1/claim", &body, &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{body} {}", answer.text);
        assert!(answer.text.contains(part), "{body} {}", answer.text);
    }
    let answer = server.ask_raw("POST /meseta/v1/claim", &claim("ab2c xy9z", fake::PASSWORD), &[]).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(answer.json()["user"], "admin");
    server.check("GET /v2/apps", "", 200, &[]).await;
    let again = server.ask_raw("POST /meseta/v1/claim", &claim(fake::CODE, fake::PASSWORD), &[]).await;
    assert_eq!(again.status.as_u16(), 409, "{}", again.text);
}

#[tokio::test]
async fn guesses_of_the_code_are_limited() {
    let server = Server::unclaimed();
    let body = serde_json::json!({ "code": "AAAA-AAAA", "password": fake::PASSWORD }).to_string();
    for _ in 0..crate::api::auth::tries::TRIES_BURST {
        let answer = server.ask_raw("POST /meseta/v1/claim", &body, &[]).await;
        assert_eq!(answer.status.as_u16(), 403);
    }
    let answer = server.ask_raw("POST /meseta/v1/claim", &body, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "6"), "{}", answer.text);
    let right = serde_json::json!({ "code": fake::CODE, "password": fake::PASSWORD }).to_string();
    let answer = server.ask_raw("POST /meseta/v1/claim", &right, &[]).await;
    assert_eq!(answer.status.as_u16(), 429, "the right one comes too late too");
}

#[tokio::test]
async fn credentials() {
    let server = Server::new();
    for (headers, status) in [
        (vec![], 401),
        (auth("Basic ???"), 401),
        (auth(&basic("admin", "wrong")), 401),
        (auth(&basic("nobody", fake::PASSWORD)), 401),
        (auth("Bearer nonsense"), 401),
        (vec![("cookie", "meseta_session=whatever".to_owned())], 401),
        (auth(&basic("admin", fake::PASSWORD)), 200),
    ] {
        let answer = server.ask_raw("GET /v2/apps", "", &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?} {}", answer.text);
        let challenged = answer.header("www-authenticate").starts_with("Basic realm=");
        assert_eq!(challenged, status == 401, "{headers:?}");
    }
}

#[tokio::test]
async fn a_right_password_is_checked_once() {
    let server = Server::new();
    for _ in 0..20 {
        server.check("GET /v2/apps", "", 200, &[]).await;
    }
    assert_eq!(server.node.logins.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        let wrong = server.ask_raw("GET /v2/apps", "", &auth(&basic("admin", "wrong"))).await;
        assert_eq!(wrong.status.as_u16(), 401);
    }
    assert_eq!(server.node.logins.load(Ordering::SeqCst), 4, "a wrong one every time");
}

#[tokio::test]
async fn guesses_of_passwords_are_limited() {
    let server = Server::new();
    for _ in 0..crate::api::auth::tries::TRIES_BURST {
        server.ask_raw("GET /v2/apps", "", &auth(&basic("admin", "wrong"))).await;
    }
    let answer = server.ask_raw("GET /v2/apps", "", &auth(&basic("admin", "wrong"))).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "6"), "{}", answer.text);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let server = Server::new();
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", "http://10.0.0.1:8080", 200),
        ("sec-fetch-site", "none", 200),
    ] {
        let answer = server.ask_with("GET /v2/apps", "", &[(name, value)]).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
    }
    let claim = server.ask_with("POST /meseta/v1/claim", "{}", &[("origin", "https://evil.example")]).await;
    assert_eq!(claim.status.as_u16(), 403);
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let server = Server::new();
    const TOKENS: &str = "/meseta/v1/tokens";
    for (body, status, part) in [
        ("{", 400, "Invalid JSON"),
        (r#"{"days": 1}"#, 422, "name"),
        (r#"{"name": "ci", "days": 3651}"#, 422, "/days"),
        (r#"{"name": "ci", "days": -1}"#, 422, "details"),
        (r#"{"name": " ci"}"#, 422, "/name"),
        (r#"{"name": "ci", "role": "x"}"#, 422, "role"),
    ] {
        server.check(&format!("POST {TOKENS}"), body, status, &[part]).await;
    }
    let made = server.check(&format!("POST {TOKENS}"), r#"{"name": "ci"}"#, 201, &[]).await.json();
    let secret = made["token"].as_str().expect("a token").to_owned();
    assert!(secret.starts_with("meseta_") && made["expires_at"].is_string(), "{made}");
    server.check(&format!("POST {TOKENS}"), r#"{"name": "ci"}"#, 422, &["already"]).await;
    server.check(&format!("POST {TOKENS}"), r#"{"name": "for ever", "days": 0}"#, 201, &["null"]).await;

    let bearer = auth(&format!("Bearer {secret}"));
    assert_eq!(server.ask_raw("GET /v2/apps", "", &bearer).await.status.as_u16(), 200);
    // Or it would outlive its own revocation.
    for line in [format!("GET {TOKENS}"), format!("POST {TOKENS}"), format!("DELETE {TOKENS}/ci")] {
        let answer = server.ask_raw(&line, r#"{"name": "heir"}"#, &bearer).await;
        assert_eq!(answer.status.as_u16(), 403, "{line}: {}", answer.text);
    }
    let list = server.check(&format!("GET {TOKENS}"), "", 200, &[]).await;
    assert!(!list.text.contains("meseta_") && !list.text.contains("sha256"), "{}", list.text);
    let list = list.json();
    let names: Vec<_> =
        list["tokens"].as_array().expect("tokens").iter().map(|token| &token["name"]).collect();
    assert_eq!(names, ["ci", "for ever"]);
    assert!(list["tokens"][1]["expires_at"].is_null(), "{list}");

    server.check(&format!("DELETE {TOKENS}/nobody"), "", 404, &["no token named"]).await;
    server.check(&format!("DELETE {TOKENS}/ci"), "", 200, &[r#""revoked":"ci""#]).await;
    assert_eq!(server.ask_raw("GET /v2/apps", "", &bearer).await.status.as_u16(), 401);
    server.check(&format!("DELETE {TOKENS}/for%20ever"), "", 200, &[]).await;
}
