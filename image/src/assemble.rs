//! The steps from packages to `kernel` and `initrd`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::cpio::Cpio;
use crate::erofs::{self, Compression};
use crate::lock::{hex, sha256_file};
use crate::manifest::{Artefact, Manifest};
use crate::modules::Modules;
use crate::root::{self, Inputs};
use crate::spec::Spec;
use crate::tree::Tree;
use crate::{debian, progress};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to put the artefacts
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The node's program, static
    #[arg(long, value_name = "FILE")]
    meseta: PathBuf,
    /// The program in front of the root file system (crate `early`)
    #[arg(long, value_name = "FILE")]
    early: PathBuf,
    #[arg(long, value_enum, default_value = "small")]
    compression: Compression,
    /// Fail unless every package is exactly as packages.lock says
    #[arg(long)]
    locked: bool,
}

pub fn kernel_initrd(buildroot: &Path, cache: &Path, args: &Args) -> anyhow::Result<()> {
    let inputs = inputs_hash(buildroot, args)?;
    if Manifest::is_current(&args.out, &inputs) {
        progress(format!("{} is up to date", args.out.display()));
        return Ok(());
    }
    let spec = Spec::read(buildroot)?;
    let packages = debian::fetch(&spec, buildroot, cache, args.locked)?;
    let tree = Tree::unpack(&packages, cache)?;
    let modules = Modules::read(&tree)?;
    fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let work = tempfile::Builder::new().prefix("image-").tempdir_in(cache)?;

    progress("laying out the root file system");
    let folder = work.path().join("root");
    let from = Inputs { buildroot, spec: &spec, tree: &tree, modules: &modules, meseta: &args.meseta };
    root::build(&from, &folder)?;
    progress("compressing it");
    let erofs = work.path().join("root.erofs");
    erofs::pack(&tree, &folder, args.compression, &erofs)?;

    let kernel_version = tree.kernel_version()?;
    let vmlinuz = tree.path().join("boot").join(format!("vmlinuz-{kernel_version}"));
    let (kernel, initrd) = (args.out.join("kernel"), args.out.join("initrd"));
    fs::copy(&vmlinuz, &kernel).with_context(|| format!("copying {}", vmlinuz.display()))?;
    write_initrd(&initrd, &args.early, &modules.early(&spec.boot.early_modules)?, &erofs)?;

    let files = BTreeMap::from([
        ("kernel".to_owned(), Artefact::of(&kernel)?),
        ("initrd".to_owned(), Artefact::of(&initrd)?),
    ]);
    let total: u64 = files.values().map(|file| file.bytes).sum();
    progress(format!("kernel {kernel_version} and initrd in {}: {} KiB", args.out.display(), total / 1024));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let kernel_line = spec.boot.kernel_line;
    Manifest { version, kernel_version, kernel_line, pinned: packages.pinned, inputs, files }.write(&args.out)
}

/// The archive is not compressed: its bulk already is, and the kernel unpacks it faster.
fn write_initrd(
    path: &Path,
    early: &Path,
    modules: &[(String, Vec<u8>)],
    erofs: &Path,
) -> anyhow::Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let partial = path.with_extension("partial");
    let mut cpio = Cpio::new(std::io::BufWriter::new(fs::File::create(&partial)?));
    cpio.folder("dev")?;
    // Where the kernel opens standard input, output and error of the first program.
    cpio.character_device("dev/console", 5, 1)?;
    cpio.program("init", &read(early)?)?;
    cpio.folder("modules")?;
    for (index, (name, bytes)) in modules.iter().enumerate() {
        cpio.file(&format!("modules/{index:02}-{name}.ko"), bytes)?;
    }
    cpio.file("root.erofs", &read(erofs)?)?;
    cpio.finish()?.flush()?;
    fs::rename(&partial, path).with_context(|| format!("renaming {}", partial.display()))
}

/// Everything the result depends on: the data, both programs, this tool, the way of compressing.
fn inputs_hash(buildroot: &Path, args: &Args) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let own = std::env::current_exe().context("finding this program")?;
    for file in [&own, &args.meseta, &args.early] {
        hash.update(sha256_file(file)?);
    }
    hash.update(format!("{:?}", args.compression));
    let mut files = Vec::new();
    list(buildroot, &mut files)?;
    files.sort();
    for file in files {
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(sha256_file(&file)?);
    }
    Ok(hex(&hash.finalize()))
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
