//! `meseta.json` beside `config.json`: what the OCI format has no place for.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::TaskId;
use nix::sys::signal::Signal;
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
    /// What asks the task to end; most images leave it at SIGTERM.
    #[serde(default = "sigterm")]
    pub stop_signal: i32,
    /// Made in the task's root if it is not there, as Docker does.
    #[serde(default)]
    pub working_dir: PathBuf,
}

pub const STOP_SIGNAL_DEFAULT: i32 = libc::SIGTERM;

fn sigterm() -> i32 {
    STOP_SIGNAL_DEFAULT
}

/// What asks the task of that bundle to end.
pub fn stop_signal_of(bundle: &Path) -> Signal {
    let meta = Meta::read(bundle).ok();
    meta.and_then(|meta| Signal::try_from(meta.stop_signal).ok()).unwrap_or(Signal::SIGTERM)
}

/// The number of a signal as images write it: `SIGQUIT`, `QUIT` or `3`. What is none of the first 31 is SIGTERM.
pub fn stop_signal(text: &str) -> i32 {
    let named = || Signal::from_str(&format!("SIG{}", text.trim_start_matches("SIG"))).ok();
    let numbered = || text.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    named().or_else(numbered).map_or(STOP_SIGNAL_DEFAULT, |signal| signal as i32)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_as_images_write_them() {
        for (text, number) in
            [("SIGQUIT", 3), ("INT", 2), ("10", 10), ("", 15), ("SIGRTMIN+3", 15), ("999", 15)]
        {
            assert_eq!(stop_signal(text), number, "{text}");
        }
    }
}
