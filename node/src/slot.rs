//! The slot this node was booted from, and telling the boot loader that it works.
//!
//! The loader takes one try of a slot at each boot (`buildroot/grub.cfg`); [`confirm`] gives them back. Its memory is
//! overwritten in place, and its partition mounted only for that moment: the loader writes to it as well.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use layout::{ENVIRONMENT_BYTES, Slot, Slots};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::config::Paths;
use crate::init::ModuleLoader;

const MEMORY: &str = "grub/grubenv";
/// What mounting the loader's file system takes, with the tables of its names.
const MODULES: [&str; 3] = ["nls_cp437", "nls_ascii", "vfat"];
/// How long a slot may take to become ready before the machine is started anew.
const READY_SECONDS: u64 = 300;

/// What the loader said on the kernel line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booted {
    pub slot: Slot,
    pub ready_seconds: u64,
}

/// `None` if no loader of ours started the kernel.
pub fn booted() -> Option<Booted> {
    parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default())
}

fn parse(line: &str) -> Option<Booted> {
    let value = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
    let slot = Slot::parse(value("meseta.slot=")?)?;
    let seconds = value("meseta.ready=").and_then(|text| text.parse().ok());
    Some(Booted { slot, ready_seconds: seconds.unwrap_or(READY_SECONDS) })
}

/// What lies on the loader's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    pub slots: Slots,
    /// The slot that does not run has a kernel.
    pub other_is_filled: bool,
}

/// Gives the running slot its tries back.
pub fn confirm(paths: &Paths, running: Slot) -> Result<Loader, String> {
    let at = paths.run.join("loader");
    let fault = |what: &str, error: io::Error| format!("{what}: {error}");
    let mut modules = ModuleLoader::open().map_err(|error| fault("modules", error))?;
    MODULES.iter().try_for_each(|name| modules.load(name))?;
    fs::create_dir_all(&at).map_err(|error| fault("its folder", error))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
    mount(Some(&paths.esp()), &at, Some("vfat"), flags, None::<&str>)
        .map_err(|error| fault("mounting", error.into()))?;
    let slots = rewrite(&at.join(MEMORY), running).map_err(|error| fault(MEMORY, error));
    let other_is_filled = at.join(format!("slot{}/kernel", running.other())).exists();
    umount2(&at, MntFlags::UMOUNT_NOFOLLOW).map_err(|error| fault("unmounting", error.into()))?;
    Ok(Loader { slots: slots?, other_is_filled })
}

fn rewrite(path: &Path, running: Slot) -> io::Result<Slots> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut slots = Slots::parse(&read(&file)?);
    slots.confirm(running);
    file.write_all_at(&slots.encode(), 0)?;
    file.sync_all()?;
    Ok(slots)
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    file.take(ENVIRONMENT_BYTES as u64).read_to_end(&mut block)?;
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_line_names_the_slot() {
        let booted = parse("BOOT_IMAGE=/slotB/kernel meseta.slot=B rootfstype=ramfs").expect("a slot");
        assert_eq!(booted, Booted { slot: Slot::B, ready_seconds: READY_SECONDS });
        assert_eq!(parse("meseta.slot=A meseta.ready=7").map(|b| b.ready_seconds), Some(7));
        assert_eq!(parse("rootfstype=ramfs"), None);
        assert_eq!(parse("meseta.slot=C"), None);
    }

    #[test]
    fn the_memory_is_overwritten_in_place() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut before = Slots::default().encode();
        before[25..].fill(b'#');
        let text = b"active=A\ntries_A=1\ntries_B=0\n";
        before[25..25 + text.len()].copy_from_slice(text);
        fs::write(file.path(), &before).expect("written");
        let slots = rewrite(file.path(), Slot::A).expect("rewritten");
        assert_eq!(slots, Slots::default());
        assert_eq!(fs::read(file.path()).expect("read"), Slots::default().encode());
    }
}
