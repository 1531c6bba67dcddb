//! Host tool: makes what a node boots from Debian packages, the data in `buildroot/`, and the static `meseta` program.
//!
//! It needs apt and dpkg, no privileges, and no network once the packages are in the cache folder. Everything that
//! shapes the bytes of the result runs out of the unpacked packages, so the same inputs give the same image anywhere.

mod assemble;
mod closure;
mod cpio;
mod debian;
mod disk;
mod erofs;
mod lock;
mod manifest;
mod mirror;
mod modules;
mod ova;
mod root;
mod spec;
mod task_root;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Builds what a node boots", max_term_width = 100)]
struct Cli {
    /// The folder that says what the root holds
    #[arg(long, default_value = "buildroot", value_name = "DIR", global = true)]
    buildroot: PathBuf,
    /// Where downloaded and unpacked packages are kept
    #[arg(long, value_name = "DIR", global = true)]
    cache: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes `kernel`, `initrd` and `manifest.json`; does nothing if they are up to date
    KernelInitrd(assemble::Args),
    /// Writes the disk image that boots them; does nothing if it is up to date
    Disk(disk::Args),
    /// Wraps a disk for VirtualBox and VMware
    Ova(ova::Args),
    /// Writes buildroot/packages.lock anew from what the mirror serves now
    UpdateLock,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let cache = match cli.cache {
        Some(dir) => dir,
        None => default_cache()?,
    };
    match cli.command {
        Command::KernelInitrd(args) => assemble::kernel_initrd(&cli.buildroot, &cache, &args),
        Command::Disk(args) => disk::build(&cli.buildroot, &cache, &args),
        Command::Ova(args) => ova::build(&args),
        Command::UpdateLock => debian::update_lock(&cli.buildroot, &cache),
    }
}

fn default_cache() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").ok_or(anyhow::anyhow!("neither HOME nor --cache is set"))?)
                .join(".cache")
        }
    };
    Ok(base.join("meseta"))
}

/// One line for the person who waits.
fn progress(text: impl std::fmt::Display) {
    eprintln!("image: {text}");
}
