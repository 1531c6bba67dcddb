//! `buildroot/root.toml` as types. Unknown keys are errors, so that a misspelt one is not silently without effect.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub debian: Debian,
    pub boot: Boot,
    pub root: Root,
    pub task_root: TaskRoot,
    /// Kernel modules by name; the groups are for the reader.
    pub modules: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    pub suite: String,
    pub keyring: String,
    pub packages: Vec<String>,
    pub provided: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    pub kernel_line: String,
    pub early_modules: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    pub programs: Vec<String>,
    pub copies: Vec<String>,
    pub certificates: String,
    pub dirs: Vec<String>,
    pub links: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRoot {
    pub path: String,
    pub busybox: String,
    pub dirs: Vec<String>,
    pub links: BTreeMap<String, String>,
}

impl Spec {
    pub fn read(buildroot: &Path) -> anyhow::Result<Spec> {
        let path = buildroot.join("root.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    pub fn module_names(&self) -> impl Iterator<Item = &str> {
        self.modules.values().flatten().map(String::as_str)
    }
}
