//! A client of storage that speaks the S3 protocol: puts, lists and removes objects of one bucket.
//!
//! An object goes up in one request: no backup comes near the 5 GiB that one may have. Every answer is bounded and
//! every wait has a limit. Whether to try again is the caller's matter.

mod answer;
mod sign;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Response, StatusCode, Uri};
use model::Timestamp;
use model::backup::Bucket;
use tokio::time::timeout;

use crate::images::{Ask, Endpoint, RegistryError, exchange};

use self::sign::{Call, Keys};

/// For how long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the slowest way up takes of a body in a second.
const BYTES_PER_SECOND_MIN: u64 = 32 * 1024;
const ERROR_BYTES_MAX: usize = 16 * 1024;
/// A page has up to 1,000 keys of up to 1,024 bytes.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Of one list: a stranger's server may have no last one.
const PAGES_MAX: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    #[error("{0}")]
    Unreachable(RegistryError),
    #[error("HTTP status {status}{said}")]
    Refused {
        status: StatusCode,
        /// Code and message behind a colon, if it gave any.
        said: String,
    },
    #[error("its answer makes no sense: {0}")]
    Nonsense(String),
}

/// One bucket and the way to it.
pub struct Client<'a> {
    pub bucket: &'a Bucket,
    /// Of the machine's settings; not asked for what is near.
    pub proxy: Option<Endpoint>,
}

impl Client<'_> {
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), S3Error> {
        self.send("PUT", key, "", body).await.map(drop)
    }

    /// It is no error if there is none.
    pub async fn delete(&self, key: &str) -> Result<(), S3Error> {
        self.send("DELETE", key, "", Bytes::new()).await.map(drop)
    }

    /// All keys that begin with `prefix`, in no order.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, S3Error> {
        let mut keys = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut fields = vec![("list-type", "2"), ("prefix", prefix)];
            fields.extend(next.as_deref().map(|token| ("continuation-token", token)));
            let answer = self.send("GET", "", &sign::query(&fields), Bytes::new()).await?;
            let bytes = read(answer, PAGE_BYTES_MAX).await?;
            let xml = std::str::from_utf8(&bytes).map_err(|error| S3Error::Nonsense(error.to_string()))?;
            let page = answer::page(xml).map_err(S3Error::Nonsense)?;
            keys.extend(page.keys);
            next = page.next;
            if next.is_none() {
                return Ok(keys);
            }
        }
        Err(S3Error::Nonsense(format!("a list of more than {PAGES_MAX} pages")))
    }

    /// The answer is a success; of a body only the head has come.
    async fn send(
        &self,
        method: &'static str,
        key: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, S3Error> {
        let Bucket { region, access_key, secret_key, .. } = self.bucket;
        let (root, path) = self.place(key);
        let question = if query.is_empty() { "" } else { "?" };
        let url: Uri = format!("{root}{path}{question}{query}")
            .parse()
            .map_err(|error| S3Error::Nonsense(format!("the address {root}{path}: {error}")))?;
        let host = url.authority().map_or("", |authority| authority.as_str());
        let (body_sha256, stamp) = (sign::sha256(&body), stamp());
        let headers = [("host", host), ("x-amz-content-sha256", &*body_sha256), ("x-amz-date", &*stamp)];
        let keys = Keys { access_key, secret_key: &secret_key.0, region };
        let call =
            Call { method, path: &path, query, headers: &headers, body_sha256: &body_sha256, stamp: &stamp };
        let authorization = sign::authorization(&keys, &call);
        let ask = Ask {
            method,
            url: &url,
            proxy: self.proxy.as_ref(),
            accept: None,
            authorization: Some(&authorization),
            from: 0,
            patience: PATIENCE + Duration::from_secs(body.len() as u64 / BYTES_PER_SECOND_MIN),
            // `host` is written by whoever connects.
            headers: &headers[1..],
            body,
        };
        let answer = exchange(&ask).await.map_err(S3Error::Unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        // What it says more only helps.
        let body = read(answer, ERROR_BYTES_MAX).await.unwrap_or_default();
        let said = answer::error(&String::from_utf8_lossy(&body));
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Err(S3Error::Refused { status, said })
    }

    /// Scheme and host, and the path of an object or of the bucket itself.
    fn place(&self, key: &str) -> (String, String) {
        let Bucket { endpoint, name, path_style, .. } = self.bucket;
        match (endpoint.split_once("://"), path_style) {
            (Some((scheme, host)), false) => (format!("{scheme}://{name}.{host}"), format!("/{key}")),
            _ if key.is_empty() => (endpoint.clone(), format!("/{name}")),
            _ => (endpoint.clone(), format!("/{name}/{key}")),
        }
    }
}

/// Now, by this machine's clock, for a server compares it with its own: `20130524T000000Z`.
fn stamp() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    stamp_of(Timestamp(since_epoch.as_millis() as u64))
}

fn stamp_of(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    seconds.chars().filter(char::is_ascii_alphanumeric).chain(['Z']).collect()
}

async fn read(answer: Response<Incoming>, limit: usize) -> Result<Bytes, S3Error> {
    let body = Limited::new(answer.into_body(), limit).collect();
    let body = timeout(PATIENCE, body).await.map_err(|_| S3Error::Nonsense("it does not end".to_owned()))?;
    body.map(|body| body.to_bytes()).map_err(|error| S3Error::Nonsense(error.to_string()))
}

#[cfg(test)]
mod tests {
    use model::backup::Secret;

    use super::*;

    #[test]
    fn buckets_stand_in_the_path_or_before_the_host() {
        let mut bucket = Bucket {
            endpoint: "https://s3.example.com:9000".to_owned(),
            name: "kept".to_owned(),
            prefix: String::new(),
            region: "us-east-1".to_owned(),
            access_key: "AKIA".to_owned(),
            secret_key: Secret("hidden".to_owned()),
            path_style: true,
        };
        let place = |bucket: &Bucket, key| {
            let (root, path) = Client { bucket, proxy: None }.place(key);
            root + &path
        };
        assert_eq!(place(&bucket, "a/b"), "https://s3.example.com:9000/kept/a/b");
        assert_eq!(place(&bucket, ""), "https://s3.example.com:9000/kept");
        bucket.path_style = false;
        assert_eq!(place(&bucket, "a/b"), "https://kept.s3.example.com:9000/a/b");
        assert_eq!(place(&bucket, ""), "https://kept.s3.example.com:9000/");
    }

    #[test]
    fn a_stamp_has_no_signs_and_no_fraction() {
        assert_eq!(stamp_of(Timestamp(1_369_353_600_987)), "20130524T000000Z");
    }
}
