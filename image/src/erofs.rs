//! Packs a folder into a read-only compressed file system whose bytes depend on its contents alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use crate::tree::{Tree, output};

/// Any constant does: nothing finds the file system by it.
const UUID: &str = "6d657365-7461-4d65-b365-746100000001";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Small: for images that travel (about 10 s)
    Small,
    /// Quick to make, a quarter larger: for the inner loop
    Quick,
}

impl Compression {
    fn option(self) -> &'static str {
        match self {
            // Higher zstd levels take twenty times as long for a tenth.
            Compression::Small => "-zzstd,level=6",
            Compression::Quick => "-zlz4hc,level=9",
        }
    }
}

pub fn pack(tree: &Tree, folder: &Path, compression: Compression, image: &Path) -> anyhow::Result<()> {
    normalise_modes(folder)?;
    let mut command = tree.tool("usr/bin/mkfs.erofs", "mkfs.erofs");
    command.args(["--quiet", compression.option(), "-C65536", "-T0", "--all-root", "-x-1", "-U", UUID]);
    output(command.arg(image).arg(folder)).map(drop)
}

/// The umask of whoever builds and the modes of their clone must not show: everything becomes 755 or 644, except what
/// is open to all on purpose.
fn normalise_modes(path: &Path) -> anyhow::Result<()> {
    let metadata = fs::symlink_metadata(path).with_context(|| format!("reading {}", path.display()))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let normal = if mode & 0o1000 != 0 {
        0o1777
    } else if metadata.is_dir() || mode & 0o100 != 0 {
        0o755
    } else {
        0o644
    };
    fs::set_permissions(path, fs::Permissions::from_mode(normal))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            normalise_modes(&entry?.path())?;
        }
    }
    Ok(())
}
