//! The disk that keeps the state: found by its label, or an empty one that is made ready once.
//!
//! Nothing that holds data of anybody is ever written to: a disk that is neither ours nor empty is named and left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::modules::Modules;

pub const MOUNT_POINT: &str = "/var/meseta";
const LABEL: &str = "meseta-state";
/// How long a controller may take to show its disks.
const DISKS_QUIET_MS: u64 = 3_000;
const BLANK_BYTES: usize = 1024 * 1024;
const DISK_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Written at the end of an empty disk while it is formatted: a power cut meanwhile leaves neither an empty disk nor
/// a file system, but then we know that the rubbish is our own.
const FORMATTING: &[u8; 32] = b"meseta formats this empty disk\n\0";

#[derive(Debug, PartialEq, Eq)]
pub struct Disk {
    device: PathBuf,
    is_new: bool,
}

/// What a device holds, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Ours,
    Blank,
    Foreign,
}

/// The state disk. Waits a little for one to appear.
pub fn find(mut modules: Option<&mut Modules>) -> Result<Disk, String> {
    loop {
        let disks = block_devices();
        let contents: Vec<(PathBuf, Content)> =
            disks.into_iter().filter_map(|device| Some((device.clone(), examine(&device).ok()?))).collect();
        if let Some((device, _)) = contents.iter().find(|(_, content)| *content == Content::Ours) {
            return Ok(Disk { device: device.clone(), is_new: false });
        }
        let came =
            modules.as_mut().is_some_and(|modules| modules.wait(Duration::from_millis(DISKS_QUIET_MS)));
        if came {
            continue;
        }
        let blank = contents.iter().find(|(device, content)| *content == Content::Blank && is_virtio(device));
        if let Some((device, _)) = blank {
            return Ok(Disk { device: device.clone(), is_new: true });
        }
        let foreign: Vec<String> = contents.iter().map(|(device, _)| device.display().to_string()).collect();
        return Err(match foreign.as_slice() {
            [] => "there is no disk".to_owned(),
            disks => format!("{} hold other data and are left alone", disks.join(", ")),
        });
    }
}

impl Disk {
    pub fn prepare_and_mount(&self) -> super::Outcome {
        let name = self.device.display();
        if self.is_new {
            format(&self.device)?;
        }
        let repaired = check(&self.device)?;
        mount(
            Some(&self.device),
            MOUNT_POINT,
            Some("ext4"),
            MsFlags::MS_NOATIME | MsFlags::MS_NODEV,
            None::<&str>,
        )
        .map_err(|error| format!("{name} cannot be mounted: {error}"))?;
        let how = match (self.is_new, repaired) {
            (true, _) => " was empty and has been formatted",
            (false, true) => " was repaired",
            (false, false) => "",
        };
        Ok(format!("{name}{how}"))
    }
}

fn block_devices() -> Vec<PathBuf> {
    let skip = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd"];
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut devices: Vec<PathBuf> = names
        .filter(|name| !skip.iter().any(|prefix| name.starts_with(prefix)))
        .map(|name| Path::new("/dev").join(name))
        .collect();
    devices.sort();
    devices
}

/// Whole virtio disks; only such are formatted without being asked.
fn is_virtio(device: &Path) -> bool {
    let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("vd")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase()) && !rest.is_empty())
}

fn examine(device: &Path) -> io::Result<Content> {
    let file = File::open(device)?;
    let mut head = vec![0; BLANK_BYTES];
    file.read_exact_at(&mut head, 0)?;
    let size = size_of_device(&file)?;
    let mut tail = [0; FORMATTING.len()];
    file.read_exact_at(&mut tail, size - FORMATTING.len() as u64)?;
    Ok(content(&head, &tail, size))
}

fn content(head: &[u8], tail: &[u8], size: u64) -> Content {
    // ext4's superblock begins at 1024; magic at +0x38, label at +0x78.
    let magic = head.get(1024 + 0x38..1024 + 0x3a);
    let label = head.get(1024 + 0x78..1024 + 0x88).unwrap_or_default();
    let is_ext4 = magic == Some([0x53, 0xef].as_slice());
    if is_ext4 && label.split(|b| *b == 0).next() == Some(LABEL.as_bytes()) {
        return Content::Ours;
    }
    let is_empty = head.iter().all(|byte| *byte == 0) || (!is_ext4 && tail == FORMATTING);
    if is_empty && size >= DISK_BYTES_MIN { Content::Blank } else { Content::Foreign }
}

fn size_of_device(file: &File) -> io::Result<u64> {
    Ok(nix::unistd::lseek(file, 0, nix::unistd::Whence::SeekEnd)? as u64)
}

fn format(device: &Path) -> Result<(), String> {
    let fault = |error: io::Error| format!("{} cannot be formatted: {error}", device.display());
    let file = OpenOptions::new().write(true).open(device).map_err(fault)?;
    let end = size_of_device(&file).map_err(fault)? - FORMATTING.len() as u64;
    let mark = |bytes: &[u8]| file.write_all_at(bytes, end).and_then(|()| file.sync_all());
    mark(FORMATTING).map_err(fault)?;
    // Blocks of 4096 even on a small disk: the size stays for ever, also when the disk grows.
    let mut mke2fs = Command::new("/usr/sbin/mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-L", LABEL]).arg(device);
    let output = mke2fs.stdin(Stdio::null()).output().map_err(fault)?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        return Err(format!("{} cannot be formatted: {errors}", device.display()));
    }
    mark(&[0; FORMATTING.len()]).map_err(fault)
}

/// Replays the journal and repairs what is safe to repair. True if something was repaired.
fn check(device: &Path) -> Result<bool, String> {
    let mut e2fsck = Command::new("/usr/sbin/e2fsck");
    let output = e2fsck.arg("-p").arg(device).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("e2fsck cannot be started: {error}"))?;
    match output.status.code() {
        Some(0) => Ok(false),
        Some(1..=3) => Ok(true),
        _ => {
            let told = String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; ");
            Err(format!("{} is damaged and is left as it is: {told}", device.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ext4(label: &[u8]) -> Vec<u8> {
        let mut head = vec![0; BLANK_BYTES];
        head[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        head[1024 + 0x78..1024 + 0x78 + label.len()].copy_from_slice(label);
        head
    }

    #[test]
    fn only_an_empty_disk_or_our_own_is_taken() {
        let (blank, no_tail) = (vec![0; BLANK_BYTES], [0; FORMATTING.len()]);
        let mut other = blank.clone();
        other[BLANK_BYTES - 1] = 1;
        let size = DISK_BYTES_MIN;
        assert_eq!(content(&ext4(b"meseta-state"), &no_tail, size), Content::Ours);
        assert_eq!(content(&ext4(b"meseta-state2"), &no_tail, size), Content::Foreign);
        assert_eq!(content(&ext4(b"photos"), &no_tail, size), Content::Foreign);
        assert_eq!(content(&ext4(b"photos"), FORMATTING, size), Content::Foreign);
        assert_eq!(content(&blank, &no_tail, size), Content::Blank);
        assert_eq!(content(&blank, &no_tail, size - 1), Content::Foreign);
        assert_eq!(content(&other, &no_tail, size), Content::Foreign);
        // The power went while it was formatted.
        assert_eq!(content(&other, FORMATTING, size), Content::Blank);
    }

    #[test]
    fn only_whole_virtio_disks_are_formatted() {
        for (device, expected) in [
            ("/dev/vda", true),
            ("/dev/vdab", true),
            ("/dev/vda1", false),
            ("/dev/sda", false),
            ("/dev/vd", false),
        ] {
            assert_eq!(is_virtio(Path::new(device)), expected, "{device}");
        }
    }
}
