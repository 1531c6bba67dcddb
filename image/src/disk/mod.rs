//! The disk image: one file with partition table, boot loader and slot A. What holds data is made by the node at its
//! first boot, in the size of the disk it finds itself on.

mod fat;
mod grub;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use layout::{
    BIOS_BOOT, ESP, ESP_SECTORS, Guid, META, META_SECTORS, MIB_SECTORS, SECTOR_BYTES, Slot, Slots, Table,
    environment,
};
use sha2::{Digest, Sha256};

use crate::lock::{hex, sha256_file};
use crate::manifest::{self, Artefact, Manifest};
use crate::spec::Spec;
use crate::tree::Tree;
use crate::{debian, progress};

const LABEL: &str = "MESETA";
/// Names the first disk and its partitions; nothing finds them by it. The last byte differs.
const ID: [u8; 15] = *b"meseta disk id ";
/// Both screens; what is said last is where the kernel sends the first program's output.
const CONSOLES: &str = "console=tty0 console=ttyS0,115200";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder with kernel, initrd and manifest.json
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The image to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Its size in MiB; the node makes use of a larger disk by itself
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    size: u64,
    #[arg(long)]
    locked: bool,
}

pub fn build(buildroot: &Path, cache: &Path, args: &Args) -> anyhow::Result<()> {
    let inputs = inputs_hash(buildroot, args)?;
    let note = args.out.with_extension("inputs");
    let is_whole = fs::metadata(&args.out).is_ok_and(|file| file.len() == args.size * 1024 * 1024);
    if is_whole && fs::read_to_string(&note).is_ok_and(|text| text == inputs) {
        progress(format!("{} is up to date", args.out.display()));
        return Ok(());
    }
    let spec = Spec::read(buildroot)?;
    let packages = debian::fetch(&spec, buildroot, cache, args.locked)?;
    let tree = Tree::unpack(&packages, cache)?;
    let work = tempfile::Builder::new().prefix("disk-").tempdir_in(cache)?;
    let partial = args.out.with_extension("partial");
    write(buildroot, &tree, work.path(), args, &partial)?;
    fs::rename(&partial, &args.out).with_context(|| format!("renaming {}", partial.display()))?;
    fs::write(&note, inputs).with_context(|| format!("writing {}", note.display()))?;
    progress(format!("{}: {} MiB", args.out.display(), args.size));
    Ok(())
}

fn write(buildroot: &Path, tree: &Tree, work: &Path, args: &Args, out: &Path) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.from)?;
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("reading {}", path.display()));
    let (kernel, initrd) = (read(args.from.join("kernel"))?, read(args.from.join("initrd"))?);
    let grub_cfg = read(buildroot.join("grub.cfg"))?;
    let kernel_line = format!("{} {CONSOLES}", manifest.kernel_line);
    let slot = environment(&[("kernel_line".to_owned(), kernel_line)]);
    let (slots, efi) = (Slots::default().encode(), grub::efi(tree, work)?);

    let sectors = args.size * MIB_SECTORS;
    let table = table();
    let [bios, esp] = [BIOS_BOOT, ESP].map(|part| table.find(part));
    let ((_, bios), (esp_number, esp)) =
        bios.zip(esp).context("the table lacks the partitions of the boot loader")?;
    ensure!(
        sectors > esp.last + META_SECTORS + 2 * MIB_SECTORS,
        "an image of {} MiB is too small",
        args.size
    );

    let image = File::options().read(true).write(true).create(true).truncate(true).open(out);
    let image = image.with_context(|| format!("creating {}", out.display()))?;
    image.set_len(sectors * SECTOR_BYTES).context("making room")?;
    grub::write_bios(tree, work, &image, bios, esp_number)?;
    for write in table.writes(sectors) {
        image.write_all_at(&write.bytes, write.at).context("writing the partition table")?;
    }
    let place = fat::Place { first: esp.first, sectors: esp.sectors() };
    // Copies of both sizes of a slot are to fit; half for each.
    let half = esp.sectors() * SECTOR_BYTES / 2;
    ensure!(
        (kernel.len() + initrd.len()) as u64 + (1 << 20) < half,
        "kernel and initrd do not fit into a slot"
    );
    let slot_a = format!("slot{}", Slot::A);
    let files: [(&str, &[u8]); 6] = [
        ("efi/boot/bootx64.efi", &efi),
        ("grub/grub.cfg", &grub_cfg),
        ("grub/grubenv", &slots),
        (&format!("{slot_a}/kernel"), &kernel),
        (&format!("{slot_a}/initrd"), &initrd),
        (&format!("{slot_a}/slot.env"), &slot),
    ];
    fat::write(&image, place, LABEL, &files)?;
    image.sync_all().context("writing")
}

fn table() -> Table {
    let id = |number: u8| {
        let mut bytes = [number; 16];
        bytes[..15].copy_from_slice(&ID);
        Guid::random(bytes)
    };
    let mut table = Table::new(id(0));
    table.append(BIOS_BOOT, MIB_SECTORS, id(1), 0);
    table.append(ESP, ESP_SECTORS, id(2), 0);
    table.append(META, META_SECTORS, id(3), 0);
    table
}

fn inputs_hash(buildroot: &Path, args: &Args) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let own = std::env::current_exe().context("finding this program")?;
    let files =
        [own, args.from.join(manifest::NAME), buildroot.join("grub.cfg"), buildroot.join("packages.lock")];
    for file in &files {
        hash.update(sha256_file(file)?);
    }
    for name in ["kernel", "initrd"] {
        // The manifest has their checksums; whether they are those is seen by their size.
        hash.update(Artefact::size_of(&args.from.join(name))?.to_le_bytes());
    }
    hash.update(args.size.to_le_bytes());
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_have_their_numbers_and_end_before_the_smallest_disk() {
        let table = table();
        let numbers = [BIOS_BOOT, ESP, META].map(|part| table.find(part).map(|(number, _)| number));
        assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
        assert!(table.entries.values().all(|entry| entry.last < 1024 * MIB_SECTORS));
    }
}
