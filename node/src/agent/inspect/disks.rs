//! Disks and their partitions as `/sys/block` shows them.

use std::path::Path;

use console::inspect::{Disk, Partition};

use super::{names, text};

/// `size` counts these, whatever the disk's own sectors are.
const SECTOR_BYTES: u64 = 512;

/// All block devices that hold something and are no mere views of files and memory.
pub fn read(folder: &Path) -> Vec<Disk> {
    let wanted = names(folder).into_iter().filter(|name| is_disk(name));
    wanted.map(|name| disk(&folder.join(&name), name)).filter(|disk| disk.bytes > 0).collect()
}

fn is_disk(name: &str) -> bool {
    !["loop", "ram", "zram", "dm-", "fd"].iter().any(|prefix| name.starts_with(prefix))
}

fn disk(folder: &Path, name: String) -> Disk {
    let flag = |file: &str| text(&folder.join(file)) == "1";
    let vendor = text(&folder.join("device/vendor"));
    // Virtio has a number there.
    let is_virtio = vendor.starts_with("0x") || name.starts_with("vd");
    let vendor = if is_virtio { String::new() } else { vendor };
    let model = text(&folder.join("device/model"));
    let parts = names(folder).into_iter().filter(|part| part.starts_with(&name));
    Disk {
        model: format!("{vendor} {model}").trim().to_owned(),
        bytes: sectors(folder),
        // Virtio says that it rotates whatever is behind it.
        rotational: !is_virtio && flag("queue/rotational"),
        removable: flag("removable"),
        read_only: flag("ro"),
        partitions: parts.map(|part| partition(&folder.join(&part), part)).collect(),
        name,
    }
}

fn partition(folder: &Path, name: String) -> Partition {
    let uevent = text(&folder.join("uevent"));
    let label = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).unwrap_or_default();
    Partition { label: label.to_owned(), bytes: sectors(folder), name }
}

fn sectors(folder: &Path) -> u64 {
    text(&folder.join("size")).parse::<u64>().unwrap_or_default().saturating_mul(SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_partitions_and_things_that_are_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (file, content) in [
            ("sda/size", "2048\n"),
            ("sda/removable", "0\n"),
            ("sda/ro", "1\n"),
            ("sda/queue/rotational", "1\n"),
            ("sda/device/vendor", "ATA     \n"),
            ("sda/device/model", "QEMU HARDDISK   \n"),
            ("sda/sda1/size", "1024\n"),
            ("sda/sda1/uevent", "MAJOR=8\nPARTNAME=STATE\nPARTN=1\n"),
            ("sda/sda2/size", "512\n"),
            ("vdb/size", "4096\n"),
            ("vdb/device/vendor", "0x1af4\n"),
            ("vdb/queue/rotational", "1\n"),
            ("sr0/size", "0\n"),
            ("loop0/size", "100\n"),
            ("zram0/size", "100\n"),
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, content).expect("a file");
        }
        let partition =
            |name: &str, label: &str, bytes| Partition { name: name.into(), label: label.into(), bytes };
        let expected = [
            Disk {
                name: "sda".into(),
                model: "ATA QEMU HARDDISK".into(),
                bytes: 1_048_576,
                rotational: true,
                read_only: true,
                removable: false,
                partitions: vec![partition("sda1", "STATE", 524_288), partition("sda2", "", 262_144)],
            },
            Disk { name: "vdb".into(), bytes: 2_097_152, ..Disk::default() },
        ];
        assert_eq!(read(folder.path()), expected);
    }
}
