//! A client of registries (OCI distribution, Docker registry v2) that only ever reads, and trusts nothing it is sent.
//!
//! Every answer has a bound, every wait a limit, every digest is checked. It is our own and not `oci-client` because
//! that one reads manifests and errors whole, however long, and brings a second HTTP stack.

mod challenge;
mod connection;
mod error;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_RANGE, LOCATION, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use error::RegistryError;

use self::challenge::Challenge;
pub use self::connection::{Ask, exchange};
use super::manifest::{ACCEPTED, Descriptor, MANIFEST_BYTES_MAX};
use super::reach::Way;
use super::reference::{Digest, Version};

const REDIRECTS_MAX: usize = 5;
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
const ERROR_BYTES_MAX: u64 = 4 * 1024;
const DIGEST_HEADER: &str = "docker-content-digest";
/// For how long nothing may move. Registries that fetch from elsewhere first take their time.
const PATIENCE: Duration = Duration::from_secs(30);

/// One repository of one registry, asked as nobody in particular.
#[derive(Clone)]
pub struct Repository {
    way: Way,
    name: String,
    /// `Bearer …`, once the registry has asked for one.
    token: Arc<Mutex<Option<String>>>,
    patience: Duration,
}

/// The manifest behind a name.
pub struct Found {
    pub digest: Digest,
    pub bytes: Bytes,
}

impl Repository {
    pub fn new(way: Way, name: &str) -> Self {
        Self { way, name: name.to_owned(), token: Arc::default(), patience: PATIENCE }
    }

    /// The digest behind a name, without fetching what it stands for. `None` if the registry does not tell that way.
    pub async fn digest_of(&self, version: &Version) -> Result<Option<Digest>, RegistryError> {
        let answer = self.get("HEAD", &format!("manifests/{version}"), Some(ACCEPTED), 0).await?;
        Ok(header_digest(&answer))
    }

    pub async fn manifest(&self, version: &Version) -> Result<Found, RegistryError> {
        let answer = self.get("GET", &format!("manifests/{version}"), Some(ACCEPTED), 0).await?;
        let announced = match version {
            Version::Digest(digest) => Some(digest.clone()),
            Version::Tag(_) => header_digest(&answer),
        };
        let bytes = self.read(answer, MANIFEST_BYTES_MAX, "its manifest").await?;
        let digest = Digest::of(&bytes);
        check("its manifest", announced.as_ref(), &digest)?;
        Ok(Found { digest, bytes })
    }

    /// A small blob, whole.
    pub async fn blob(&self, blob: &Descriptor, limit: u64, what: &str) -> Result<Bytes, RegistryError> {
        let answer = self.get("GET", &format!("blobs/{}", blob.digest), None, 0).await?;
        let bytes = self.read(answer, limit.min(blob.size), what).await?;
        check(what, Some(&blob.digest), &Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// A blob from byte `from` on, or from its begin if the registry cannot do that: the answer says where.
    pub async fn open_blob(&self, digest: &Digest, from: u64) -> Result<(u64, Transfer), RegistryError> {
        let answer = self.get("GET", &format!("blobs/{digest}"), None, from).await?;
        let begin = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
                let begin = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                begin.ok_or_else(|| RegistryError::Nonsense("a part without its position".to_owned()))?
            }
            _ => 0,
        };
        Ok((begin, Transfer { body: answer.into_body(), patience: self.patience }))
    }

    /// A request within the repository; the answer is a success. Gets a token if one is wanted, follows redirects.
    async fn get(
        &self,
        method: &'static str,
        path: &str,
        accept: Option<&'static str>,
        from: u64,
    ) -> Result<Response<Incoming>, RegistryError> {
        let url = uri(&format!("{}/v2/{}/{path}", self.way.endpoint, self.name))?;
        let token = self.token.lock().await.clone();
        let ask = Ask { method, accept, from, ..self.ask(&url, token.as_deref()) };
        let mut answer = exchange(&ask).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let token = self.fetch_token(&answer).await?;
            answer = exchange(&Ask { authorization: Some(&token), ..ask }).await?;
            *self.token.lock().await = Some(token);
        }
        let mut at = url.clone();
        for _ in 0..REDIRECTS_MAX {
            if !answer.status().is_redirection() {
                return self.succeed(answer).await;
            }
            at = redirected(&at, &answer)?;
            // The token is for the registry, not for whom it sends us to.
            let token = self.token.lock().await.clone().filter(|_| at.authority() == url.authority());
            answer = exchange(&Ask { method, accept, from, ..self.ask(&at, token.as_deref()) }).await?;
        }
        Err(RegistryError::Nonsense(format!("more than {REDIRECTS_MAX} redirects")))
    }

    fn ask<'a>(&'a self, url: &'a Uri, authorization: Option<&'a str>) -> Ask<'a> {
        Ask {
            method: "GET",
            url,
            proxy: self.way.proxy.as_ref(),
            accept: None,
            authorization,
            from: 0,
            patience: self.patience,
            headers: &[],
            body: Bytes::new(),
        }
    }

    async fn fetch_token(&self, answer: &Response<Incoming>) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let header = answer.headers().get(WWW_AUTHENTICATE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (realm, service, scope) = match Challenge::parse(header) {
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
            Challenge::Other(scheme) => return Err(RegistryError::Login(scheme)),
        };
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.name));
        let separator = if realm.contains('?') { '&' } else { '?' };
        let mut url = format!("{realm}{separator}scope={}", encoded(&scope));
        if let Some(service) = service {
            url.push_str(&format!("&service={}", encoded(&service)));
        }
        let url = uri(&url)?;
        if self.way.endpoint.tls && url.scheme_str() != Some("https") {
            return Err(RegistryError::Nonsense("tokens are to be fetched without TLS".to_owned()));
        }
        let answer = exchange(&self.ask(&url, None)).await?;
        if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RegistryError::NotFound);
        }
        let bytes = self.read(self.succeed(answer).await?, TOKEN_BYTES_MAX, "its token").await?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|error| RegistryError::Nonsense(format!("its token: {error}")))?;
        let token = token.token.or(token.access_token).unwrap_or_default();
        let is_plain = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        match is_plain {
            true => Ok(format!("Bearer {token}")),
            false => Err(RegistryError::Nonsense("it gave no token".to_owned())),
        }
    }

    async fn succeed(&self, answer: Response<Incoming>) -> Result<Response<Incoming>, RegistryError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        // What it says more is only read where it may help.
        let said = self.read(answer, ERROR_BYTES_MAX, "its error").await.unwrap_or_default();
        let said = said_by(&said);
        let shown = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        Err(match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Login(shown),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => RegistryError::Server(shown),
            status if status.is_server_error() => RegistryError::Server(shown),
            _ => RegistryError::Refused(shown),
        })
    }

    async fn read(&self, answer: Response<Incoming>, limit: u64, what: &str) -> Result<Bytes, RegistryError> {
        let mut transfer = Transfer { body: answer.into_body(), patience: self.patience };
        let mut bytes = Vec::new();
        let all = async {
            while let Some(more) = transfer.next().await? {
                if (bytes.len() + more.len()) as u64 > limit {
                    return Err(RegistryError::TooLarge { what: what.to_owned(), limit });
                }
                bytes.extend_from_slice(&more);
            }
            Ok(Bytes::from(std::mem::take(&mut bytes)))
        };
        timeout(self.patience, all).await.map_err(|_| RegistryError::Silent(self.patience))?
    }
}

/// The bytes of a blob as they come.
pub struct Transfer {
    body: Incoming,
    patience: Duration,
}

impl Transfer {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let frame = timeout(self.patience, self.body.frame())
                .await
                .map_err(|_| RegistryError::Silent(self.patience))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(RegistryError::Broken(connection::chain(&error))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

pub fn check(what: &str, expected: Option<&Digest>, got: &Digest) -> Result<(), RegistryError> {
    match expected {
        Some(expected) if expected != got => Err(RegistryError::Digest {
            what: what.to_owned(),
            expected: expected.to_string(),
            got: got.to_string(),
        }),
        _ => Ok(()),
    }
}

fn header_digest(answer: &Response<Incoming>) -> Option<Digest> {
    Digest::parse(answer.headers().get(DIGEST_HEADER)?.to_str().ok()?)
}

fn redirected(from: &Uri, answer: &Response<Incoming>) -> Result<Uri, RegistryError> {
    let to = answer.headers().get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let to = match to.starts_with('/') {
        true => uri(&format!(
            "{}://{}{to}",
            from.scheme_str().unwrap_or("https"),
            from.authority().map_or("", |a| a.as_str())
        ))?,
        false => uri(to)?,
    };
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Err(RegistryError::Nonsense("it leads from TLS to plain HTTP".to_owned()));
    }
    Ok(to)
}

/// The first message of a registry's error, as its API lays it down.
fn said_by(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        message: String,
    }
    let errors: Option<Errors> = serde_json::from_slice(body).ok();
    let first = errors.and_then(|e| e.errors.into_iter().next()).map(|said| said.message);
    first.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

fn uri(text: &str) -> Result<Uri, RegistryError> {
    text.parse().map_err(|error| {
        RegistryError::Nonsense(format!(
            "the address `{}`: {error}",
            text.chars().take(200).collect::<String>()
        ))
    })
}

/// For a query: everything but letters, digits and a few signs as `%XX`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
#[path = "../registry_tests.rs"]
mod tests;
