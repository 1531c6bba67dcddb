//! Where a registry is really asked: at itself, or at the mirror that the operator named for it. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::reference::{DEFAULT_REGISTRY, is_host};

/// Docker Hub answers under another name than its images carry.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// `REGISTRY=URL` as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mirror {
    registry: String,
    endpoint: Endpoint,
}

/// Who is asked, and how. Plain HTTP only where the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub tls: bool,
    /// `host` or `host:port`.
    pub host: String,
}

impl Endpoint {
    /// `http://10.0.0.1:5000`; the error is what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (tls, host) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(host), _) => (false, host),
            (_, Some(host)) => (true, host),
            _ => return Err("begins with neither http:// nor https://"),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        match is_host(host) {
            true => Ok(Self { tls, host: host.to_owned() }),
            false => Err("is more than a host and a port"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.host)
    }
}

impl Mirror {
    /// For the command line: `docker.io=http://10.0.0.1:5000`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |problem: String| {
            format!("`{text}`: {problem}; expected REGISTRY=http://HOST:PORT or REGISTRY=https://HOST:PORT")
        };
        let (registry, url) = text.split_once('=').ok_or_else(|| wrong("it has no `=`".to_owned()))?;
        if !is_host(registry) {
            return Err(wrong("it names no registry before the `=`".to_owned()));
        }
        let endpoint = Endpoint::parse(url).map_err(|problem| wrong(format!("its URL {problem}")))?;
        Ok(Self { registry: registry.to_owned(), endpoint })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}={}", self.registry, self.endpoint)
    }
}

impl TryFrom<String> for Mirror {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Mirror> for String {
    fn from(mirror: Mirror) -> Self {
        mirror.to_string()
    }
}

/// All mirrors of a node.
#[derive(Debug, Clone, Default)]
pub struct Mirrors(BTreeMap<String, Endpoint>);

impl FromIterator<Mirror> for Mirrors {
    /// Of two mirrors for one registry the later counts.
    fn from_iter<T: IntoIterator<Item = Mirror>>(mirrors: T) -> Self {
        Self(mirrors.into_iter().map(|mirror| (mirror.registry, mirror.endpoint)).collect())
    }
}

impl Mirrors {
    pub fn endpoint(&self, registry: &str) -> Endpoint {
        let own = || Endpoint {
            tls: true,
            host: if registry == DEFAULT_REGISTRY { DOCKER_HUB } else { registry }.to_owned(),
        };
        self.0.get(registry).cloned().unwrap_or_else(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_asked_at_its_mirror_or_by_tls_at_itself() {
        let mirrors: Mirrors = ["docker.io=http://127.0.0.1:5000", "quay.io=https://cache.example/"]
            .map(|text| Mirror::parse(text).unwrap())
            .into_iter()
            .collect();
        let at = |tls, host: &str| Endpoint { tls, host: host.to_owned() };
        assert_eq!(mirrors.endpoint("docker.io"), at(false, "127.0.0.1:5000"));
        assert_eq!(mirrors.endpoint("quay.io"), at(true, "cache.example"));
        assert_eq!(mirrors.endpoint("localhost:5000"), at(true, "localhost:5000"));
        assert_eq!(Mirrors::default().endpoint("docker.io"), at(true, "registry-1.docker.io"));
    }

    #[test]
    fn what_is_no_mirror_is_refused_with_the_reason() {
        for (text, says) in [
            ("docker.io", "no `=`"),
            ("=http://a", "no registry"),
            ("docker.io=10.0.0.1:5000", "neither http:// nor"),
            ("docker.io=ftp://a", "neither http:// nor"),
            ("docker.io=http://a/path", "more than"),
            ("docker.io=http://user:word@a", "more than"),
            ("docker.io=http://", "more than"),
        ] {
            let error = Mirror::parse(text).expect_err(text);
            assert!(error.contains(says) && error.contains("expected"), "{error}");
        }
    }
}
