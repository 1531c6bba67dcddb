//! File systems that hold something, from the list of mounts.

use std::collections::BTreeSet;

use console::inspect::FileSystem;
use nix::sys::statvfs::statvfs;

/// Kinds on which people's or our own data lies; the kernel's own views of itself are none.
const KINDS: [&str; 10] =
    ["ext4", "xfs", "btrfs", "vfat", "erofs", "squashfs", "iso9660", "tmpfs", "ramfs", "overlay"];
/// A task's root is mounted in its helper's namespace; a machine with more than this many is a strange one.
const MOUNTS_MAX: usize = 64;

/// Mounts of `/proc/self/mountinfo`, each device once, with what is free on them.
pub fn read(mountinfo: &str) -> Vec<FileSystem> {
    let measured = |mut found: FileSystem| {
        // The kernel's text may be of a mount that is gone by now.
        let space = statvfs(found.mount.as_str()).ok()?;
        let unit = space.fragment_size();
        found.total_bytes = space.blocks() * unit;
        found.free_bytes = space.blocks_available() * unit;
        (found.total_inodes, found.free_inodes) = (space.files(), space.files_available());
        (found.total_bytes > 0).then_some(found)
    };
    parse(mountinfo).into_iter().filter_map(measured).take(MOUNTS_MAX).collect()
}

/// `27 1 254:0 / /mount rw,relatime shared:1 - ext4 /dev/vda rw`: what follows the `-` stands behind optional fields.
fn parse(mountinfo: &str) -> Vec<FileSystem> {
    let mut seen = BTreeSet::new();
    let line = |line: &str| {
        let (place, what) = line.split_once(" - ")?;
        let place: Vec<&str> = place.split(' ').collect();
        let (device, mount, options) = (place.get(2)?, place.get(4)?, place.get(5)?);
        let mut what = what.split(' ');
        let (kind, source) = (what.next()?, what.next()?);
        let is_ours = KINDS.contains(&kind) && !mount.starts_with("/dev/") && !mount.starts_with("/sys/");
        (is_ours && seen.insert((*device).to_owned())).then(|| FileSystem {
            source: unescape(source),
            mount: unescape(mount),
            kind: kind.to_owned(),
            read_only: options.split(',').any(|option| option == "ro"),
            ..FileSystem::default()
        })
    };
    mountinfo.lines().filter_map(line).collect()
}

/// Blanks and the like are written as `\040`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_once_and_no_views_of_the_kernel() {
        let found = parse(
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
             27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n\
             30 27 254:0 /sub /again rw - ext4 /dev/vda rw\n\
             25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw\n\
             31 27 8:2 / /mnt/a\\040b\\134c ro,nosuid - xfs /dev/sda2 rw\n\
             32 27 0:40 / /run rw - tmpfs tmpfs rw,size=4k\n\
             broken line\n\
             33 27 0:41 / /x\n",
        );
        let seen: Vec<_> = found.iter().map(|f| (f.mount.as_str(), f.kind.as_str(), f.read_only)).collect();
        assert_eq!(seen, [("/", "ext4", false), ("/mnt/a b\\c", "xfs", true), ("/run", "tmpfs", false)]);
        assert_eq!(found[1].source, "/dev/sda2");
        assert_eq!(unescape("a\\04"), "a\\04");
    }
}
