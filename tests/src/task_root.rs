//! A root file system for tasks that name no image: Debian's static busybox and little else.
//!
//! Made once per user in the cache folder; `MESETA_TASK_ROOT` names another one. It is only ever read by nodes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "mnt/mesos/sandbox", "proc", "root", "sys", "tmp"];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// The folder, made if it is not there yet. Two processes that make it at once both succeed.
pub fn path() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("MESETA_TASK_ROOT") {
        return Ok(path.into());
    }
    let cache = cache_folder()?;
    let root = cache.join("task-root");
    if root.join("bin/sh").symlink_metadata().is_ok() {
        return Ok(root);
    }
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let fresh = tempfile::tempdir_in(&cache)?;
    let made = fresh.path().join("root");
    build(&made, &fresh.path().join("package")).context("making the task root")?;
    match fs::rename(&made, &root) {
        Err(error) if root.join("bin/sh").symlink_metadata().is_err() => {
            Err(error).context("placing the task root")
        }
        _ => Ok(root),
    }
}

fn cache_folder() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("meseta"))
}

fn build(root: &Path, package: &Path) -> anyhow::Result<()> {
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    let busybox = root.join("bin/busybox");
    fs::copy(fetch_busybox(package)?, &busybox)?;
    for applet in run(Command::new(&busybox).arg("--list"))?.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).with_context(|| format!("linking {applet}"))?;
    }
    Ok(())
}

/// Debian's package, unpacked without being installed.
fn fetch_busybox(package: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(package)?;
    run(Command::new("apt-get").args(["download", "-qq", "busybox-static"]).current_dir(package))?;
    let Some(archive) = fs::read_dir(package)?.flatten().map(|e| e.path()).find(|p| p.extension().is_some())
    else {
        bail!("apt-get downloaded nothing");
    };
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(package))?;
    let merged = package.join("usr/bin/busybox");
    Ok(if merged.exists() { merged } else { package.join("bin/busybox") })
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
