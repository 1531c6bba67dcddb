//! The API as its clients see it: requests in, answers out, against the real model on a fake node.

mod apps;
mod auth;
mod client;
mod events;
mod fake;
mod forms;
mod mesos_dns;
mod own;
mod speed;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use fake::Fake;

/// A claimed cluster of one node behind the whole router.
struct Server {
    router: Router,
    node: Arc<Fake>,
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

impl Server {
    fn new() -> Self {
        let server = Self::unclaimed();
        server.node.claim_now();
        server
    }

    fn unclaimed() -> Self {
        let node = Arc::new(Fake::new());
        Self { router: super::router(node.clone()), node }
    }

    /// `line` is `METHOD PATH`; sent as admin.
    async fn ask(&self, line: &str, body: &str) -> Answer {
        self.ask_with(line, body, &[]).await
    }

    async fn ask_with(&self, line: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("authorization", basic("admin", fake::PASSWORD))];
        all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.ask_raw(line, body, &all).await
    }

    /// With exactly these headers; a later one of the same name replaces an earlier one.
    async fn ask_raw(&self, line: &str, body: &str, headers: &[(&str, String)]) -> Answer {
        let response = self.router.clone().oneshot(request(line, body, headers)).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// Asks and checks the status and that each of `parts` is in the body.
    async fn check(&self, line: &str, body: &str, status: u16, parts: &[&str]) -> Answer {
        let answer = self.ask(line, body).await;
        assert_eq!(answer.status.as_u16(), status, "{line} {body}\n{}", answer.text);
        for part in parts {
            assert!(answer.text.contains(part), "{line} {body}\nexpected {part}\nin {}", answer.text);
        }
        answer
    }

    /// Creates an app and lets it run.
    async fn running(&self, body: &str) -> Answer {
        let answer = self.check("POST /v2/apps", body, 201, &[]).await;
        self.node.settle();
        answer
    }
}

fn request(line: &str, body: &str, headers: &[(&str, String)]) -> Request<Body> {
    let (method, path) = line.split_once(' ').expect("METHOD PATH");
    let mut request =
        Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).expect(line);
    request.headers_mut().insert(header::HOST, "10.0.0.1:8080".parse().expect("a host"));
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    request
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

const HELLO: &str = include_str!("../../../../tests/seed/hello2.json");
