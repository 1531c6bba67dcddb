//! The boot loader: GRUB's own image builder, run out of the unpacked packages, and the few bytes its installer would
//! write. The installer itself wants a block device and the machine's own folders.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, ensure};
use layout::{Entry, SECTOR_BYTES};

use crate::tree::{Tree, output};

/// What grub.cfg needs, beside what the formats bring.
const MODULES: [&str; 13] = [
    "part_gpt",
    "fat",
    "normal",
    "linux",
    "loadenv",
    "test",
    "echo",
    "serial",
    "terminal",
    "reboot",
    "sleep",
    "boot",
    "configfile",
];
const BOOT_CODE_BYTES: usize = 440;
/// In the first sector of the core: where its list of sectors ends.
const CORE_LIST_AT: usize = 500;
const CORE_SEGMENT: u16 = 0x0820;

/// The program a UEFI firmware starts. It finds its folder on the partition it was read from.
pub fn efi(tree: &Tree, work: &Path) -> anyhow::Result<Vec<u8>> {
    make_image(tree, "x86_64-efi", "/grub", &[], &work.join("grub.efi"))
}

/// Writes the BIOS loader: its first part into the first sector, the rest into the partition for it. It finds its
/// folder on partition `esp` of the disk it was started from.
pub fn write_bios(tree: &Tree, work: &Path, image: &File, partition: &Entry, esp: u32) -> anyhow::Result<()> {
    let folder = format!("(,gpt{esp})/grub");
    let mut core = make_image(tree, "i386-pc", &folder, &["biosdisk"], &work.join("core.img"))?;
    core.resize(core.len().next_multiple_of(SECTOR_BYTES as usize), 0);
    let sectors = core.len() as u64 / SECTOR_BYTES;
    ensure!(sectors <= partition.sectors(), "the boot loader has {sectors} sectors, its partition fewer");
    core[CORE_LIST_AT..CORE_LIST_AT + 8].copy_from_slice(&(partition.first + 1).to_le_bytes());
    core[CORE_LIST_AT + 8..CORE_LIST_AT + 10].copy_from_slice(&u16::try_from(sectors - 1)?.to_le_bytes());
    core[CORE_LIST_AT + 10..CORE_LIST_AT + 12].copy_from_slice(&CORE_SEGMENT.to_le_bytes());

    let path = tree.path().join("usr/lib/grub/i386-pc/boot.img");
    let mut boot = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(boot.len() >= BOOT_CODE_BYTES, "{} is too short", path.display());
    boot.truncate(BOOT_CODE_BYTES);
    boot[0x5c..0x64].copy_from_slice(&partition.first.to_le_bytes());
    // Two instructions that do nothing, where the code for floppies would jump: the drive's number is believed.
    boot[0x66..0x68].copy_from_slice(&[0x90, 0x90]);

    image.write_all_at(&boot, 0).context("writing the boot sector")?;
    image.write_all_at(&core, partition.first * SECTOR_BYTES).context("writing the boot loader")
}

fn make_image(
    tree: &Tree,
    format: &str,
    prefix: &str,
    more: &[&str],
    target: &Path,
) -> anyhow::Result<Vec<u8>> {
    let mut command = tree.tool("usr/bin/grub-mkimage", "grub-mkimage");
    command.arg("-d").arg(tree.path().join("usr/lib/grub").join(format));
    command.args(["-O", format, "-p", prefix, "-o"]).arg(target).args(more).args(MODULES);
    output(&mut command)?;
    fs::read(target).with_context(|| format!("reading {}", target.display()))
}
