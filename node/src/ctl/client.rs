//! One HTTP/1.1 request a connection, plain, to an IP address. Names are not resolved: this program has no resolver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Exit;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the head of the answer; writes wait for the cluster's log.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer that is read whole.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    #[error("{0}")]
    Config(String),
    #[error("{url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server's own words.
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    #[error("")]
    OutputClosed,
}

impl CtlError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::BadConfig,
            Self::Unreachable { .. } => Exit::TryAgain,
            Self::Refused { status, .. } => match *status {
                StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INSUFFICIENT_STORAGE => Exit::TryAgain,
                _ => Exit::Failure,
            },
            Self::OutputClosed => Exit::Ok,
        }
    }
}

pub struct Client {
    address: SocketAddr,
    /// As given, for messages and the `Host` header.
    authority: String,
    pub user: String,
    pub password: Option<String>,
}

impl Client {
    pub fn new(url: &str, user: &str, password: Option<String>) -> Result<Self, CtlError> {
        let wrong = |what: &str| CtlError::Config(format!("--url {url:?}: {what}"));
        let uri: Uri = url.parse().map_err(|_| wrong("expected something like http://10.0.0.1:8080"))?;
        let authority = uri.authority().ok_or_else(|| wrong("expected a host and a port"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("expected http://; for TLS use a tunnel to the node's plain port"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().map_err(|_| wrong("expected an IP address or localhost"))?,
        };
        let address = SocketAddr::new(ip, authority.port_u16().unwrap_or(80));
        Ok(Self { address, authority: authority.to_string(), user: user.to_owned(), password })
    }

    pub async fn get(&self, path: &str) -> Result<Value, CtlError> {
        self.json(Method::GET, path, None).await
    }

    /// The answer as JSON; null if it has no body.
    pub async fn json(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, CtlError> {
        let bytes = self.read(self.send(method, path, body).await?).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        let odd = |error| self.unreachable(format!("the answer is not JSON: {error}"));
        serde_json::from_slice(&bytes).map_err(odd)
    }

    /// The body of a good answer, as it comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Incoming, CtlError> {
        let body = body.map(|text| ("application/json".to_owned(), Bytes::from(text)));
        self.send_as(method, path, body).await
    }

    /// A form with a file, as a browser sends it.
    pub async fn form(
        &self,
        path: &str,
        fields: &[(&str, &[u8])],
        (name, file): (&str, &[u8]),
    ) -> Result<Incoming, CtlError> {
        // Random, so that it is in none of the values.
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let mut body = Vec::with_capacity(file.len() + 1024);
        for (name, value, more) in fields.iter().map(|(name, value)| (*name, *value, "")).chain([(
            name,
            file,
            "; filename=\"file\"",
        )]) {
            let head =
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        self.send_as(Method::POST, path, Some((kind, body.into()))).await
    }

    async fn send_as(
        &self,
        method: Method,
        path: &str,
        body: Option<(String, Bytes)>,
    ) -> Result<Incoming, CtlError> {
        let response = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(method, path, body)).await;
        let response = response.map_err(|_| self.unreachable("no answer in time"))??;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let bytes = self.read(response.into_body()).await?;
        Err(CtlError::Refused { status, message: refusal(status, &bytes) })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(String, Bytes)>,
    ) -> Result<hyper::Response<Incoming>, CtlError> {
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await;
        let stream = stream.map_err(|_| self.unreachable("no connection in time"))?;
        let stream = stream.map_err(|error| self.unreachable(error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.unreachable(error))?;
        // Drives the exchange; ends with it, and its errors reach the sender too.
        tokio::spawn(connection);
        let mut request = Request::builder().method(&method).uri(path).header(header::HOST, &self.authority);
        if let Some(password) = &self.password {
            let credentials = STANDARD.encode(format!("{}:{password}", self.user));
            request = request.header(header::AUTHORIZATION, format!("Basic {credentials}"));
        }
        if method != Method::GET {
            request = request.header("idempotency-key", uuid::Uuid::new_v4().to_string());
        }
        let (kind, body) = body.unzip();
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(body.unwrap_or_default()));
        let request =
            request.map_err(|error| CtlError::Config(format!("{path:?} is not a path: {error}")))?;
        sender.send_request(request).await.map_err(|error| self.unreachable(error))
    }

    pub async fn read(&self, body: Incoming) -> Result<Bytes, CtlError> {
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        Ok(whole.map_err(|error| self.unreachable(error))?.to_bytes())
    }

    pub fn unreachable(&self, reason: impl std::fmt::Display) -> CtlError {
        CtlError::Unreachable { url: format!("http://{}", self.authority), reason: reason.to_string() }
    }
}

/// The server's message with its details, a line each.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return format!("the server answered {status}");
    };
    let mut text =
        body["message"].as_str().map_or_else(|| format!("the server answered {status}"), str::to_owned);
    match &body["details"] {
        Value::String(detail) => text.push_str(&format!(": {detail}")),
        Value::Array(faults) => {
            for fault in faults {
                let errors = fault["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let errors: Vec<&str> = errors.collect();
                text.push_str(&format!(
                    "\n  {} {}",
                    fault["path"].as_str().unwrap_or("/"),
                    errors.join("; ")
                ));
            }
        }
        _ => {}
    }
    text
}

/// A path below `prefix` for an id typed by a person: nothing in it can leave the path.
pub fn path(prefix: &str, id: &str) -> String {
    let mut path = prefix.trim_end_matches('/').to_owned();
    path.push('/');
    for byte in id.trim_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}
