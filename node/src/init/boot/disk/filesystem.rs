//! The file systems of STATE (ext4) and DATA (XFS): made, checked, mounted, grown.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::mount::{MsFlags, mount};

const FLAGS: MsFlags = MsFlags::MS_NOATIME.union(MsFlags::MS_NODEV);
/// Below this mkfs would make allocation groups so small that there are hundreds once the disk has grown.
const DATA_BYTES_SMALL: u64 = 8 << 30;
/// XFS has no allocation group smaller than this, so it leaves a smaller rest unused.
const GROWTH_BYTES_MIN: u64 = 16 << 20;

/// The first fields of `struct xfs_fsop_geom_v1`.
#[repr(C)]
struct Geometry {
    block_size: u32,
    others: [u32; 7],
    data_blocks: u64,
    rest: [u64; 9],
}

/// `struct xfs_growfs_data`.
#[repr(C)]
struct Growth {
    blocks: u64,
    inode_percent: u32,
}

nix::ioctl_read!(xfs_geometry, b'X', 100, Geometry);
nix::ioctl_write_ptr!(xfs_grow, b'X', 110, Growth);

pub fn format_state(device: &Path) -> Result<(), String> {
    // Blocks of 4096 also on a small disk: they stay for ever.
    let arguments = ["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "meseta-state"];
    formatted(device, run(Command::new("/usr/sbin/mke2fs").args(arguments).arg(device))?)
}

/// With reflinks and, by the way it is mounted, project quotas.
pub fn format_data(device: &Path, bytes: u64) -> Result<(), String> {
    let mut mkfs = Command::new("/usr/sbin/mkfs.xfs");
    mkfs.args(["-q", "-f", "-L", "meseta-data", "-m", "reflink=1"]);
    if bytes < DATA_BYTES_SMALL {
        mkfs.args(["-d", "agcount=2"]);
    }
    formatted(device, run(mkfs.arg(device))?)
}

fn formatted(device: &Path, output: Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{} cannot be formatted: {}", device.display(), words(&output.stderr)))
}

/// Replays the journal and repairs what is safe to repair. True if something was repaired.
pub fn check_state(device: &Path) -> Result<bool, String> {
    let output = run(Command::new("/usr/sbin/e2fsck").arg("-p").arg(device))?;
    match output.status.code() {
        Some(0) => Ok(false),
        Some(1..=3) => Ok(true),
        _ => Err(format!("{} is damaged and is left as it is: {}", device.display(), words(&output.stdout))),
    }
}

pub fn mount_state(device: &Path, at: &Path) -> Result<(), String> {
    mount(Some(device), at, Some("ext4"), FLAGS, None::<&str>)
        .map_err(|error| format!("{} cannot be mounted: {error}", device.display()))
}

/// XFS replays its journal here, and refuses what it cannot trust.
pub fn mount_data(device: &Path, at: &Path) -> Result<(), String> {
    mount(Some(device), at, Some("xfs"), FLAGS, Some("prjquota"))
        .map_err(|error| format!("{} is damaged and is left as it is: {error}", device.display()))
}

/// Lets the mounted file system have its whole partition. True if it grew.
pub fn grow_data(at: &Path, partition_bytes: u64) -> io::Result<bool> {
    let file = File::open(at)?;
    let mut geometry = Geometry { block_size: 0, others: [0; 7], data_blocks: 0, rest: [0; 9] };
    // SAFETY: the kernel fills a structure of exactly this size.
    unsafe { xfs_geometry(file.as_raw_fd(), &mut geometry)? };
    let block = u64::from(geometry.block_size.max(512));
    if partition_bytes < geometry.data_blocks * block + GROWTH_BYTES_MIN {
        return Ok(false);
    }
    let growth = Growth { blocks: partition_bytes / block, inode_percent: 25 };
    // SAFETY: the kernel reads a structure of exactly this size.
    unsafe { xfs_grow(file.as_raw_fd(), &growth)? };
    Ok(true)
}

fn run(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().map_err(|error| format!("{name} cannot be started: {error}"))
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Geometry>(), 112);
        assert_eq!(size_of::<Growth>(), 16);
    }
}
