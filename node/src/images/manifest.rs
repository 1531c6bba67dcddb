//! What a registry says of an image: index, manifest, configuration. Pure; every text is a stranger's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reference::Digest;

/// What is asked for, best first.
pub const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// Bytes of an index or a manifest; Docker's registry takes no more either.
pub const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
pub const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What Docker makes at most; the kernel's overlay takes 500.
const LAYERS_MAX: usize = 128;
/// All layers together, as they are sent.
const IMAGE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Arguments, variables: far more than any image has, few enough to be handed to a process.
const LIST_MAX: usize = 4_096;

const OS: &str = "linux";
const ARCHITECTURE: &str = "amd64";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("its {what} cannot be read: {problem}")]
    Unreadable { what: &'static str, problem: String },
    #[error("it is kept in a format of before 2016 (schema 1); push it again with a newer program")]
    SchemaOne,
    #[error("it is no image but `{0}`")]
    NoImage(String),
    #[error("it has nothing for {OS}/{ARCHITECTURE}, only {0}")]
    Platform(String),
    #[error("it has {0} layers, more than {LAYERS_MAX}")]
    Layers(usize),
    #[error("its layers have {0} bytes, more than {IMAGE_BYTES_MAX}")]
    Bytes(u64),
    #[error("its manifest names {layers} layers and its configuration {diffs}")]
    Mismatch { layers: usize, diffs: usize },
    #[error("its layer {0} is of the kind `{1}`, which is not in the registry")]
    Foreign(Digest, String),
    #[error("its configuration has {count} {what}, more than {LIST_MAX}")]
    List { what: &'static str, count: usize },
}

/// A blob by its digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

/// What the first answer of a registry can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One for many platforms; the manifest for this one is this.
    Index(Descriptor),
    Manifest(Manifest),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub config: Descriptor,
    /// The lowest first.
    pub layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Option<Vec<RawEntry>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

impl Document {
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let raw: Raw = serde_json::from_slice(bytes).map_err(unreadable("manifest"))?;
        if raw.schema_version == 1 {
            return Err(ManifestError::SchemaOne);
        }
        if let Some(entries) = raw.manifests {
            return choose(entries).map(Self::Index);
        }
        let (Some(config), Some(layers)) = (raw.config, raw.layers) else {
            return Err(ManifestError::NoImage(shown(&raw.media_type)));
        };
        // Charts and the like are kept in the same form.
        let is_config =
            ["", "application/vnd.oci.image.config.v1+json", DOCKER_CONFIG, "application/octet-stream"];
        if !is_config.contains(&config.media_type.as_str()) {
            return Err(ManifestError::NoImage(shown(&config.media_type)));
        }
        if layers.len() > LAYERS_MAX {
            return Err(ManifestError::Layers(layers.len()));
        }
        let bytes =
            layers.iter().try_fold(0_u64, |sum, layer| sum.checked_add(layer.size)).unwrap_or(u64::MAX);
        if bytes > IMAGE_BYTES_MAX {
            return Err(ManifestError::Bytes(bytes));
        }
        if let Some(layer) = layers.iter().find(|layer| layer.media_type.contains("foreign")) {
            return Err(ManifestError::Foreign(layer.digest.clone(), shown(&layer.media_type)));
        }
        Ok(Self::Manifest(Manifest { config, layers }))
    }
}

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

fn choose(entries: Vec<RawEntry>) -> Result<Descriptor, ManifestError> {
    let fits = |p: &RawPlatform| p.os == OS && p.architecture == ARCHITECTURE;
    let mut others: Vec<String> = Vec::new();
    for entry in entries {
        match entry.platform {
            Some(platform) if fits(&platform) => return Ok(entry.descriptor),
            Some(p) if others.len() < 10 => others.push(shown(&format!("{}/{}", p.os, p.architecture))),
            _ => {}
        }
    }
    let others = if others.is_empty() { "entries without a platform".to_owned() } else { others.join(", ") };
    Err(ManifestError::Platform(others))
}

/// How an image wants to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default)]
    pub entrypoint: Vec<String>,
    #[serde(default)]
    pub cmd: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Empty: root.
    #[serde(default)]
    pub user: String,
    /// Empty: `/`.
    #[serde(default)]
    pub working_dir: String,
    /// What asks it to end, e.g. `SIGQUIT`; empty: SIGTERM.
    #[serde(default)]
    pub stop_signal: String,
}

#[derive(Deserialize)]
struct RawConfigFile {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    config: Option<RawConfig>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Vec<Digest>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
}

/// The configuration, and the digest of each layer as it is unpacked, the lowest first.
pub fn parse_config(bytes: &[u8], layers: usize) -> Result<(ImageConfig, Vec<Digest>), ManifestError> {
    let file: RawConfigFile = serde_json::from_slice(bytes).map_err(unreadable("configuration"))?;
    if (file.os.as_str(), file.architecture.as_str()) != (OS, ARCHITECTURE) {
        return Err(ManifestError::Platform(shown(&format!("{}/{}", file.os, file.architecture))));
    }
    let diffs = file.rootfs.diff_ids;
    if diffs.len() != layers {
        return Err(ManifestError::Mismatch { layers, diffs: diffs.len() });
    }
    let raw = file.config.unwrap_or_default();
    let list = |what, list: Option<Vec<String>>| {
        let list = list.unwrap_or_default();
        match list.len() {
            count if count > LIST_MAX => Err(ManifestError::List { what, count }),
            _ if list.iter().any(|item| item.contains('\0')) => {
                Err(ManifestError::Unreadable { what, problem: "it holds a NUL character".to_owned() })
            }
            _ => Ok(list),
        }
    };
    let config = ImageConfig {
        entrypoint: list("words of its entry point", raw.entrypoint)?,
        cmd: list("words of its command", raw.cmd)?,
        env: list("variables", raw.env)?
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| !key.is_empty())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        user: raw.user.unwrap_or_default(),
        working_dir: raw.working_dir.unwrap_or_default(),
        stop_signal: raw.stop_signal.unwrap_or_default(),
    };
    Ok((config, diffs))
}

fn unreadable(what: &'static str) -> impl FnOnce(serde_json::Error) -> ManifestError {
    move |error| ManifestError::Unreadable { what, problem: error.to_string() }
}

/// A stranger's word, fit to be shown.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn parse(value: serde_json::Value) -> Result<Document, ManifestError> {
        Document::parse(value.to_string().as_bytes())
    }

    fn manifest(layers: serde_json::Value) -> serde_json::Value {
        json!({
            "schemaVersion": 2,
            "config": { "mediaType": DOCKER_CONFIG, "digest": digest("c"), "size": 1 },
            "layers": layers,
        })
    }

    #[test]
    fn an_index_leads_to_this_platform() {
        let entry = |name: &str, os: &str, arch: &str| json!({"mediaType": "m", "digest": digest(name), "size": 3, "platform": {"os": os, "architecture": arch}});
        let entries =
            [entry("a", "linux", "arm64"), entry("b", "linux", "amd64"), entry("c", "linux", "amd64")];
        let Ok(Document::Index(chosen)) = parse(json!({"schemaVersion": 2, "manifests": entries})) else {
            panic!("no index")
        };
        assert_eq!((chosen.digest, chosen.size), (digest("b"), 3));
        let other = parse(json!({"schemaVersion": 2, "manifests": [entry("a", "windows", "amd64")]}));
        assert_eq!(other, Err(ManifestError::Platform("windows/amd64".to_owned())));
    }

    #[test]
    fn manifests_that_are_no_image_are_refused() {
        let layer = |media: &str, size: u64| json!({"mediaType": media, "digest": digest("l"), "size": size});
        let layers = |n: usize| serde_json::Value::from(vec![layer("x", 1); n]);
        assert!(matches!(parse(manifest(layers(2))), Ok(Document::Manifest(m)) if m.layers.len() == 2));
        assert_eq!(parse(json!({"schemaVersion": 1})), Err(ManifestError::SchemaOne));
        assert_eq!(parse(manifest(layers(129))), Err(ManifestError::Layers(129)));
        let bytes = parse(manifest(json!([layer("x", u64::MAX), layer("x", 5)])));
        assert_eq!(bytes, Err(ManifestError::Bytes(u64::MAX)));
        let foreign =
            parse(manifest(json!([layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 5)])));
        assert!(matches!(foreign, Err(ManifestError::Foreign(..))), "{foreign:?}");
        let mut chart = manifest(layers(1));
        chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        assert!(matches!(parse(chart), Err(ManifestError::NoImage(_))));
        let mut odd = manifest(layers(1));
        odd["layers"][0]["digest"] = json!("../../etc/passwd");
        assert!(matches!(parse(odd), Err(ManifestError::Unreadable { .. })));
        for garbage in [&b""[..], b"{", b"[]", b"null", b"\xff"] {
            assert!(matches!(Document::parse(garbage), Err(ManifestError::Unreadable { .. })));
        }
    }

    #[test]
    fn the_configuration_says_how_to_run() {
        let file = json!({
            "os": "linux", "architecture": "amd64",
            "config": {
                "Entrypoint": ["/entry"], "Cmd": null, "Env": ["A=b=c", "odd", "=x"], "User": "web",
                "WorkingDir": "/srv", "StopSignal": "SIGQUIT", "Volumes": {"/data": {}},
            },
            "rootfs": { "type": "layers", "diff_ids": [digest("d")] },
        });
        let (config, diffs) = parse_config(file.to_string().as_bytes(), 1).unwrap();
        let expected = ImageConfig {
            entrypoint: vec!["/entry".to_owned()],
            cmd: Vec::new(),
            env: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            user: "web".to_owned(),
            working_dir: "/srv".to_owned(),
            stop_signal: "SIGQUIT".to_owned(),
        };
        assert_eq!((config, diffs), (expected, vec![digest("d")]));
        let mismatch = parse_config(file.to_string().as_bytes(), 2);
        assert_eq!(mismatch, Err(ManifestError::Mismatch { layers: 2, diffs: 1 }));
        let mut other = file.clone();
        other["architecture"] = json!("arm64");
        assert!(matches!(parse_config(other.to_string().as_bytes(), 1), Err(ManifestError::Platform(_))));
        let mut bad = file;
        bad["config"]["Cmd"] = json!(["a\0b"]);
        assert!(parse_config(bad.to_string().as_bytes(), 1).is_err());
    }
}
