//! The program the kernel starts out of the initrd: loads what the root file system needs, mounts it, hands over.
//!
//! It knows no hardware, reads no configuration and keeps nothing: everything else is the work of `meseta init` on
//! the real root. When it fails it says why on the console, waits, and reboots.

use std::convert::Infallible;
use std::ffi::CStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::{chdir, chroot, execv};

const MODULES: &str = "/modules";
const ROOT_IMAGE: &str = "/root.erofs";
const NEW_ROOT: &str = "/newroot";
const PROGRAM: &CStr = c"/sbin/meseta";
/// Long enough to read the message on a screen, short enough for a machine that nobody watches.
const FAILURE_WAIT: Duration = Duration::from_secs(20);

struct Failure {
    step: String,
    error: String,
}

fn main() {
    let Err(failure) = start();
    eprintln!("meseta early init: {}: {}", failure.step, failure.error);
    eprintln!("meseta early init: this image cannot start; rebooting in {} s", FAILURE_WAIT.as_secs());
    std::thread::sleep(FAILURE_WAIT);
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

fn start() -> Result<Infallible, Failure> {
    for module in modules()? {
        load(&module)?;
    }
    mount_root()?;
    free_initrd();
    switch_root().map_err(|e| failure("switching to the root file system", e))?;
    let argv = [c"init"];
    execv(PROGRAM, &argv).map_err(|e| failure("starting /sbin/meseta", e))
}

/// In the order of their names, which the image builder numbers.
fn modules() -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(MODULES).map_err(|e| failure("listing /modules", e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn load(path: &Path) -> Result<(), Failure> {
    let step = || format!("loading {}", path.display());
    let file = File::open(path).map_err(|e| failure(step(), e))?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(failure(step(), e)),
    }
}

fn mount_root() -> Result<(), Failure> {
    fs::create_dir_all(NEW_ROOT).map_err(|e| failure("making /newroot", e))?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    mount(Some(ROOT_IMAGE), NEW_ROOT, Some("erofs"), flags, None::<&str>).map_err(|e| match e {
        // A file on tmpfs cannot be mounted without a loop device.
        Errno::ENOTBLK => failure("mounting /root.erofs", "the kernel line lacks rootfstype=ramfs"),
        other => failure("mounting /root.erofs", other),
    })
}

/// The initrd's files would stay in memory for ever. The image itself lives on through its mount.
fn free_initrd() {
    let _ = fs::remove_dir_all(MODULES);
    let _ = fs::remove_file(ROOT_IMAGE);
    let _ = fs::remove_file("/init");
}

fn switch_root() -> nix::Result<()> {
    chdir(NEW_ROOT)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    chroot(".")?;
    chdir("/")
}

fn failure(step: impl Into<String>, error: impl std::fmt::Display) -> Failure {
    Failure { step: step.into(), error: error.to_string() }
}
