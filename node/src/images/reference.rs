//! Names of images: `nginx:1.7.7`, `registry.example:5000/team/app@sha256:…`. Pure.

use std::fmt;

const REFERENCE_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;
/// What a name without a registry means.
pub const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";

/// SHA-256 of something, the only kind of digest that is taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Reads `sha256:` and 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Self(text.to_owned()))
    }

    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_hash(&sha2::Sha256::digest(bytes))
    }

    pub fn from_hash(hash: &[u8]) -> Self {
        Self(hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// The 64 digits alone: a file name.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no digest; expected sha256: and 64 digits"))
        })
    }
}

/// Which image of which registry, everything filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// `host` or `host:port`.
    pub registry: String,
    pub repository: String,
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Version {
    /// May lead elsewhere tomorrow.
    Tag(String),
    Digest(Digest),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no name of an image: {problem}; expected e.g. nginx:1.27 or registry.example:5000/app:2"
)]
pub struct ReferenceError {
    given: String,
    problem: String,
}

impl Reference {
    /// Fills in what people leave out, as Docker does: the registry, `library/`, the tag. A digest beats a tag.
    pub fn parse(given: &str) -> Result<Self, ReferenceError> {
        let fail = |problem: String| ReferenceError { given: given.chars().take(80).collect(), problem };
        if given.len() > REFERENCE_BYTES_MAX {
            return Err(fail(format!("it has more than {REFERENCE_BYTES_MAX} bytes")));
        }
        let (rest, digest) = match given.split_once('@') {
            Some((rest, text)) => {
                let digest = Digest::parse(text)
                    .ok_or_else(|| fail("its digest is not sha256: and 64 hexadecimal digits".to_owned()))?;
                (rest, Some(digest))
            }
            None => (given, None),
        };
        // The first part is a registry if it looks like a host; the names of people on Docker Hub hold neither.
        let (registry, path) = match rest.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => (DEFAULT_REGISTRY, rest),
        };
        // A colon before the last slash belongs to a port.
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (path, None),
        };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
            other => other,
        };
        if !is_host(registry) {
            return Err(fail(format!("`{registry}` is no host with or without a port")));
        }
        let repository = match path.contains('/') || registry != DEFAULT_REGISTRY {
            true => path.to_owned(),
            false => format!("library/{path}"),
        };
        if let Some(part) = repository.split('/').find(|part| !is_path_part(part)) {
            return Err(fail(format!(
                "`{part}` may only hold lower-case letters, digits, and single `.`, `_`, `-` between them"
            )));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(fail(format!(
                "the tag `{tag}` may only hold letters, digits, `_`, `.`, `-`, at most {TAG_BYTES_MAX}"
            )));
        }
        let version = match digest {
            Some(digest) => Version::Digest(digest),
            None => Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
        };
        Ok(Self { registry: registry.to_owned(), repository, version })
    }
}

/// With everything filled in: one text for one image.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match self.version {
            Version::Tag(_) => ':',
            Version::Digest(_) => '@',
        };
        write!(f, "{}/{}{separator}{}", self.registry, self.repository, self.version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// `name`, `name:port` or `[v6]:port`.
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_v6 = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    port_fits && (is_v6 || host.split('.').all(is_label))
}

/// Words of letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let joins = part.split(is_word).filter(|join| !join.is_empty());
    let is_join = |join: &str| matches!(join, "." | "_" | "__") || join.bytes().all(|b| b == b'-');
    part.starts_with(is_word) && part.ends_with(is_word) && joins.into_iter().all(is_join)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=TAG_BYTES_MAX).contains(&tag.len())
        && tag.starts_with(is_word)
        && tag.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_left_out_is_filled_in() {
        for (given, whole) in [
            ("nginx:1.7.7", "docker.io/library/nginx:1.7.7"),
            ("python:3", "docker.io/library/python:3"),
            ("libmesos/ubuntu", "docker.io/libmesos/ubuntu:latest"),
            ("busybox", "docker.io/library/busybox:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("10.0.0.1:5000/team/app:2", "10.0.0.1:5000/team/app:2"),
            ("[::1]:5000/app:2", "[::1]:5000/app:2"),
            ("quay.io/a/b/c/d:V_1.2-x", "quay.io/a/b/c/d:V_1.2-x"),
            ("a__b/c--d.e", "docker.io/a__b/c--d.e:latest"),
        ] {
            let reference = Reference::parse(given).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(reference.to_string(), whole);
            assert_eq!(Reference::parse(whole), Ok(reference), "{given}");
        }
    }

    #[test]
    fn a_digest_beats_a_tag() {
        let reference = Reference::parse(&format!("nginx:1.7@{DIGEST}")).unwrap();
        assert_eq!(reference.to_string(), format!("docker.io/library/nginx@{DIGEST}"));
        assert_eq!(Digest::of(b"").to_string(), DIGEST);
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        for (given, says) in [
            ("", "lower-case"),
            ("Nginx", "lower-case"),
            ("nginx:", "tag"),
            ("nginx:-a", "tag"),
            ("a/../b", "lower-case"),
            ("a//b", "lower-case"),
            ("/a", "lower-case"),
            ("a/b/", "lower-case"),
            ("a___b", "lower-case"),
            ("example.com:0/a", "no host"),
            ("example.com:99999/a", "no host"),
            ("-bad.com/a", "no host"),
            ("user@host/a", "digest"),
            ("nginx@sha256:12", "digest"),
            ("nginx@md5:d41d8cd98f00b204e9800998ecf8427e", "digest"),
            (&"a".repeat(300), "255"),
        ] {
            let error = Reference::parse(given).expect_err(given).to_string();
            assert!(error.contains(says), "{given}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "\\PC{0,60}|[a-z.:/@_-]{0,30}") {
            if let Ok(reference) = Reference::parse(&text) {
                // A name becomes part of a URL: nothing in it may mean something there.
                let whole = reference.to_string();
                proptest::prop_assert!(!whole.contains(['?', '#', '%', ' ', '\\']) && !whole.contains(".."));
                proptest::prop_assert_eq!(Reference::parse(&whole), Ok(reference));
            }
        }
    }
}
