//! As much of a browser as the tests need: keeps cookies, remembers the token of the last form.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use futures::StreamExt;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::fake::Fake;

pub struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    /// Of the last page with a form.
    pub token: String,
    /// Sent with every request.
    pub extra: Vec<(&'static str, &'static str)>,
}

pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    /// A header's value, empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ascii"))
    }

    pub fn has(&self, text: &str) {
        assert!(self.body.contains(text), "{text:?} is not in the page:\n{}", self.body);
    }

    pub fn lacks(&self, text: &str) {
        assert!(!self.body.contains(text), "{text:?} is in the page:\n{}", self.body);
    }

    /// The text between two others, up to the first `end` after `start`.
    pub fn between(&self, start: &str, end: &str) -> String {
        let from = self.body.find(start).expect(start) + start.len();
        let to = self.body[from..].find(end).expect(end);
        self.body[from..from + to].to_owned()
    }
}

impl Browser {
    pub fn new(fake: Arc<Fake>) -> Self {
        Self {
            router: console::router(fake),
            cookies: BTreeMap::new(),
            token: String::new(),
            extra: Vec::new(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.request("GET", path).body(Body::empty()).expect("a request");
        self.load(request).await
    }

    /// Sends a form with the remembered token.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let token = [("csrf", self.token.clone())];
        let token = token.iter().map(|(k, v)| (*k, v.as_str()));
        let body: Vec<String> =
            token.chain(fields.iter().copied()).map(|(k, v)| format!("{k}={}", encode(v))).collect();
        let request = self
            .request("POST", path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.join("&")))
            .expect("a request");
        self.load(request).await
    }

    /// Sends a form with a file and the remembered token.
    pub async fn upload(&mut self, path: &str, fields: &[(&str, &str)], file: &str) -> Page {
        let part = |name: &str, value: &str| {
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields: String = fields.iter().map(|(name, value)| part(name, value)).collect();
        let body = format!("{}{fields}{}--edge--\r\n", part("csrf", &self.token), part("file", file));
        let request = self
            .request("POST", path)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge")
            .body(Body::from(body))
            .expect("a request");
        self.load(request).await
    }

    /// How many bytes a `GET` takes on the wire.
    pub async fn bytes(&mut self, path: &str) -> usize {
        let request = self.request("GET", path).body(Body::empty()).expect("a request");
        let response = self.call(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.into_body().collect().await.expect("a body").to_bytes().len()
    }

    pub async fn events(&mut self, path: &str) -> Events {
        let request = self.request("GET", path).body(Body::empty()).expect("a request");
        let response = self.call(request).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Events { body: response.into_body().into_data_stream(), text: String::new() }
    }

    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "rock-1:8080");
        request = request.header(header::COOKIE, cookies.join("; "));
        for (name, value) in &self.extra {
            request = request.header(*name, *value);
        }
        request
    }

    async fn call(&mut self, request: Request<Body>) -> Response<Body> {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().expect("ascii");
            assert!(text.contains("; HttpOnly") && text.contains("; SameSite=Lax"), "{text}");
            let (name, rest) = text.split_once('=').expect("a cookie has a value");
            self.cookies.insert(name.into(), rest.split(';').next().expect("a value").into());
        }
        response
    }

    async fn load(&mut self, request: Request<Body>) -> Page {
        let response = self.call(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("text");
        if let Some((_, rest)) = body.split_once("name=\"csrf\" value=\"") {
            self.token = rest.split('"').next().expect("an attribute ends").to_owned();
        }
        let location = parts.headers.get(header::LOCATION);
        let location = location.map(|v| v.to_str().expect("ascii").to_owned()).unwrap_or_default();
        Page { status: parts.status, location, headers: parts.headers, body }
    }
}

/// An event stream, one event at a time.
pub struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    pub async fn next(&mut self) -> String {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                self.text = rest.to_owned();
                return event;
            }
            let chunk = self.body.next().await.expect("the stream goes on").expect("a body");
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}
