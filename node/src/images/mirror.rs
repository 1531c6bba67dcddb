//! Where a registry is really asked: at itself, or at the mirror that the operator named for it. Pure.

use std::collections::BTreeMap;

use super::reference::{DEFAULT_REGISTRY, is_host};

/// Docker Hub answers under another name than its images carry.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// `REGISTRY=URL` as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Mirror {
    /// For the command line: `docker.io=http://10.0.0.1:5000`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |problem: &str| {
            format!("`{text}`: {problem}; expected REGISTRY=http://HOST:PORT or REGISTRY=https://HOST:PORT")
        };
        let (registry, url) = text.split_once('=').ok_or_else(|| wrong("has no `=`"))?;
        if !is_host(registry) {
            return Err(wrong("names no registry before the `=`"));
        }
        let (tls, host) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(host), _) => (false, host),
            (_, Some(host)) => (true, host),
            _ => return Err(wrong("has no URL after the `=`")),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        if !is_host(host) {
            return Err(wrong("the URL is more than a host and a port"));
        }
        Ok(Self { registry: registry.to_owned(), endpoint: Endpoint { tls, host: host.to_owned() } })
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
            ("docker.io=10.0.0.1:5000", "no URL"),
            ("docker.io=ftp://a", "no URL"),
            ("docker.io=http://a/path", "more than"),
            ("docker.io=http://", "more than"),
        ] {
            let error = Mirror::parse(text).expect_err(text);
            assert!(error.contains(says) && error.contains("expected"), "{error}");
        }
    }
}
