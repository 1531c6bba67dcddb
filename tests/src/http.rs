//! A small blocking HTTP client for tests: one connection a request, no redirects followed, every status an answer.

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use ureq::http;

/// Longer than anything a node may take; a test that hits it has found a hang.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Asks one node, with or without credentials.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    authorization: Option<String>,
}

/// What the node said, read to the end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    /// `address` is `host:port`; the host must be an IP address (nothing resolves names here).
    pub fn new(address: &str) -> Self {
        Self { agent: agent(ANSWER_TIMEOUT), base: format!("http://{address}"), authorization: None }
    }

    /// The same client with Basic credentials on every request.
    pub fn with_password(&self, user: &str, password: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { authorization: Some(format!("Basic {pair}")), ..self.clone() }
    }

    /// The same client, which gives up earlier.
    pub fn within(&self, limit: Duration) -> Self {
        Self { agent: agent(limit), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Result<Answer, ureq::Error> {
        self.send("POST", path, &[JSON], Some(body.as_ref()))
    }

    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Result<Answer, ureq::Error> {
        self.send("PUT", path, &[JSON], Some(body.as_ref()))
    }

    pub fn delete(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.send("DELETE", path, &[], None)
    }

    /// Any request. The error is one of transport: the node is away, or closed the connection amid an answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut response = self.open(method, path, headers, body)?;
        let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec()?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }

    /// The body of a GET as it arrives, for streams that may never end.
    pub fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<impl Read + Send + use<>, ureq::Error> {
        let response = self.open("GET", path, headers, None)?;
        Ok(response.into_body().into_with_config().limit(BODY_BYTES_MAX).reader())
    }

    fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(value) = &self.authorization {
            request = request.header("Authorization", value);
        }
        match body {
            Some(bytes) => self.agent.run(request.body(bytes)?),
            None => self.agent.run(request.body(())?),
        }
    }
}

fn agent(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .timeout_global(Some(limit))
        .build()
        .new_agent()
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

impl Answer {
    /// The answer itself if it has this status; panics with the whole answer otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "expected status {status}, got {self}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.text().chars().take(2_000).collect();
        write!(f, "{} {text}", self.status)
    }
}
