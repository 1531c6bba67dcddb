//! `manifest.json` beside the artefacts: what they are, how to boot them, and from what they were made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::lock::sha256_file;

pub const NAME: &str = "manifest.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: String,
    pub kernel_version: String,
    /// What the kernel must be started with.
    pub kernel_line: String,
    /// Made of exactly the packages of packages.lock.
    pub pinned: bool,
    /// Stands for everything the artefacts were made from.
    pub inputs: String,
    pub files: BTreeMap<String, Artefact>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    pub bytes: u64,
    pub sha256: String,
}

impl Artefact {
    pub fn of(path: &Path) -> anyhow::Result<Artefact> {
        Ok(Artefact { bytes: Artefact::size_of(path)?, sha256: sha256_file(path)? })
    }

    pub fn size_of(path: &Path) -> anyhow::Result<u64> {
        Ok(fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len())
    }
}

impl Manifest {
    pub fn write(&self, out: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let path = out.join(NAME);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    pub fn read(out: &Path) -> anyhow::Result<Manifest> {
        let path = out.join(NAME);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Whether `out` holds complete artefacts made from `inputs`.
    pub fn is_current(out: &Path, inputs: &str) -> bool {
        let Ok(manifest) = Manifest::read(out) else { return false };
        let same_size = |(name, artefact): (&String, &Artefact)| {
            fs::metadata(out.join(name)).is_ok_and(|metadata| metadata.len() == artefact.bytes)
        };
        manifest.inputs == inputs && manifest.files.iter().all(same_size)
    }
}
