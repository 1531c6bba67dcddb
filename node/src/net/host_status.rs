//! What the network role says of the machine to the other roles: `console::HostStatus` in a file of its own.

use std::fs;
use std::io;
use std::path::Path;

use console::HostStatus;

use super::names::replace_file;

pub fn write(file: &Path, status: &HostStatus) -> io::Result<()> {
    replace_file(file, &serde_json::to_string(status)?)
}

/// Empty where no network role of ours runs.
pub fn read(file: &Path) -> HostStatus {
    fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}
