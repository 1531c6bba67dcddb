//! `meseta.json` beside `config.json`: what the OCI format has no place for.

use std::io;
use std::path::{Path, PathBuf};

use model::TaskId;
use serde::{Deserialize, Serialize};

use crate::network::attachment::Attachment;

pub const FORMAT: u32 = 1;
pub const FILE: &str = "meseta.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub format: u32,
    pub task: TaskId,
    /// Where libcontainer keeps the state of all containers.
    pub state_root: PathBuf,
    pub overlay: Overlay,
    /// How it hangs on the node's bridge; `None` on the node's own network.
    pub network: Option<Attachment>,
    /// Below the mount of each cgroup hierarchy, with a leading slash.
    pub cgroup: PathBuf,
    pub seccomp: bool,
    /// Whether the device filter is loaded; false only for privileged tasks.
    pub device_filter: bool,
    pub uid: u32,
    pub gid: u32,
    /// Milliseconds between SIGTERM and SIGKILL when the node itself goes down.
    pub grace_ms: u64,
}

/// The task's root: read-only layers, best first, and where its writes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    pub lowers: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
}

impl Meta {
    pub fn read(bundle: &Path) -> io::Result<Self> {
        let meta: Self = serde_json::from_slice(&std::fs::read(bundle.join(FILE))?)?;
        if meta.format != FORMAT {
            return Err(io::Error::other(format!("format {} where {FORMAT} was expected", meta.format)));
        }
        Ok(meta)
    }
}
