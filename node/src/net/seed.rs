//! The seed disk: a small volume labelled `cidata` (NoCloud) or `config-2` (config drive), ISO 9660 or FAT, that says
//! how a machine is to be set up. Only the label is read here; the files are read through the kernel's file systems,
//! read-only, nothing on them can be executed or is a device.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::settings::Files;
use super::sources::read_text;
use crate::init::boot::modules::Modules;

/// Enough of a volume to know its label: that of ISO 9660 lies in the sector at 32 KiB.
const HEAD_BYTES: usize = 34 * 1024;
const LABELS: [&str; 2] = ["cidata", "config-2"];

#[derive(Debug, Default)]
pub struct Seed {
    /// `seed disk /dev/sr0 (cidata)`
    pub place: String,
    pub files: Files,
    pub faults: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Iso9660,
    Fat,
}

/// The first seed among the block devices of this machine. Mounts it at `mount_point` for as long as it is read.
pub fn find(mount_point: &Path) -> Option<Seed> {
    let entries = fs::read_dir("/sys/class/block").ok()?;
    let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.retain(|name| !["loop", "ram", "zram", "dm-", "nbd", "md"].iter().any(|p| name.starts_with(p)));
    names.sort();
    names.iter().find_map(|name| read_device(&Path::new("/dev").join(name), mount_point))
}

fn read_device(device: &Path, mount_point: &Path) -> Option<Seed> {
    let mut head = vec![0; HEAD_BYTES];
    let file = File::open(device).ok()?;
    // A small FAT volume may be shorter than an ISO's head.
    let length = file.read_at(&mut head, 0).ok()?;
    let (kind, label) = label(&head[..length])?;
    let mut seed = Seed { place: format!("seed disk {} ({label})", device.display()), ..Seed::default() };
    match read_mounted(device, kind, mount_point) {
        Ok(files) => (seed.files, seed.faults) = files,
        Err(fault) => seed.faults.push(fault),
    }
    Some(seed)
}

/// Kind and label, if it is one of ours.
fn label(head: &[u8]) -> Option<(Kind, &'static str)> {
    let is_iso = head.get(0x8001..0x8006) == Some(b"CD001");
    let is_fat = head.get(510..512) == Some(&[0x55, 0xaa]);
    let candidates = [
        (is_iso, Kind::Iso9660, head.get(0x8028..0x8048)),
        // The boot sector of FAT32, and of FAT12 and FAT16.
        (is_fat && head.get(0x52..0x55) == Some(b"FAT"), Kind::Fat, head.get(0x47..0x52)),
        (is_fat && head.get(0x36..0x39) == Some(b"FAT"), Kind::Fat, head.get(0x2b..0x36)),
    ];
    candidates.into_iter().filter(|(fits, ..)| *fits).find_map(|(_, kind, field)| {
        let text = std::str::from_utf8(field?).ok()?.trim_end_matches(['\0', ' ']);
        let label = LABELS.into_iter().find(|label| label.eq_ignore_ascii_case(text))?;
        Some((kind, label))
    })
}

fn read_mounted(device: &Path, kind: Kind, mount_point: &Path) -> Result<(Files, Vec<String>), String> {
    let (name, module) = if kind == Kind::Fat { ("vfat", "vfat") } else { ("iso9660", "isofs") };
    if let Ok(mut modules) = Modules::open() {
        // FAT wants its code pages when it is mounted; absent ones may be built in.
        for module in [module, "nls_cp437", "nls_ascii", "nls_iso8859_1"] {
            if kind == Kind::Fat || module == "isofs" {
                modules.load(module)?;
            }
        }
    }
    fs::create_dir_all(mount_point).map_err(|error| format!("{}: {error}", mount_point.display()))?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(device), mount_point, Some(name), flags, None::<&str>)
        .map_err(|error| format!("cannot be mounted: {error}"))?;
    let read = read_files(mount_point);
    if let Err(error) = umount2(mount_point, MntFlags::MNT_DETACH) {
        tracing::warn!(%error, "letting go of the seed disk");
    }
    Ok(read)
}

/// NoCloud has its files at the top, a config drive below `openstack/latest`. What is missing is no fault.
fn read_files(root: &Path) -> (Files, Vec<String>) {
    let mut faults = Vec::new();
    let mut read = |names: &[&str]| {
        let paths: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
        let path = paths.iter().find(|path| path.exists())?;
        match read_text(path) {
            Ok(text) => Some(text),
            Err(error) => {
                let name = path.strip_prefix(root).unwrap_or(path).display();
                faults.push(format!("{name}: {error}"));
                None
            }
        }
    };
    let files = Files {
        meta_data: read(&["meta-data", "openstack/latest/meta_data.json"]),
        user_data: read(&["user-data", "openstack/latest/user_data"]),
        network_config: read(&["network-config"]),
        network_data: read(&["openstack/latest/network_data.json"]),
        own: read(&["meseta.json"]),
    };
    (files, faults)
}

/// Whether a kernel event tells of a new block device or a new medium in one.
pub fn may_bring_seed(event: &[u8]) -> bool {
    let has = |field: &[u8]| event.split(|byte| *byte == 0).any(|f| f == field);
    has(b"SUBSYSTEM=block") && (has(b"ACTION=add") || has(b"ACTION=change"))
}

/// The kernel's announcements of devices.
pub fn events() -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    let fd = crate::init::boot::modules::subscribe()?;
    // SAFETY: the descriptor is owned by the value that is registered, and never replaced.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(fd)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn iso(name: &[u8]) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        head[0x8001..0x8006].copy_from_slice(b"CD001");
        head[0x8028..0x8048].fill(b' ');
        head[0x8028..0x8028 + name.len()].copy_from_slice(name);
        head
    }

    fn fat(at: usize, kind_at: usize, name: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        head[kind_at..kind_at + 3].copy_from_slice(b"FAT");
        head[at..at + 11].fill(b' ');
        head[at..at + name.len()].copy_from_slice(name);
        head
    }

    #[test]
    fn labels_are_told() {
        assert_eq!(label(&iso(b"cidata")), Some((Kind::Iso9660, "cidata")));
        assert_eq!(label(&iso(b"CONFIG-2")), Some((Kind::Iso9660, "config-2")));
        assert_eq!(label(&iso(b"cidata2")), None);
        assert_eq!(label(&fat(0x2b, 0x36, b"CIDATA")), Some((Kind::Fat, "cidata")));
        assert_eq!(label(&fat(0x47, 0x52, b"CIDATA")), Some((Kind::Fat, "cidata")));
        assert_eq!(label(&fat(0x2b, 0x36, b"PHOTOS")), None);
    }

    #[test]
    fn files_are_taken_from_either_layout() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("openstack/latest")).unwrap();
        fs::write(dir.path().join("openstack/latest/meta_data.json"), "{\"hostname\":\"a\"}").unwrap();
        fs::write(dir.path().join("network-config"), [0xff, 0xfe]).unwrap();
        let (files, faults) = read_files(dir.path());
        assert!(files.meta_data.is_some() && files.network_config.is_none());
        assert_eq!(faults, ["network-config: it is not text"]);
    }

    #[test]
    fn only_block_devices_are_looked_at() {
        assert!(may_bring_seed(b"add@/x\0ACTION=add\0SUBSYSTEM=block\0"));
        assert!(!may_bring_seed(b"add@/x\0ACTION=add\0SUBSYSTEM=net\0"));
    }

    proptest! {
        #[test]
        fn no_head_panics(mut head in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = label(&head);
            head.resize(HEAD_BYTES, 0xff);
            let _ = label(&head);
        }
    }
}
