//! The root file system of tasks that name no image: busybox under all its names, a few files, empty folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::root::{copy_overlay, make_dirs, make_links};
use crate::spec::TaskRoot;
use crate::tree::{Tree, output};

pub fn build(tree: &Tree, spec: &TaskRoot, buildroot: &Path, root: &Path) -> anyhow::Result<()> {
    let target = root.join(&spec.path);
    make_dirs(&target, &spec.dirs)?;
    copy_overlay(&buildroot.join("task-root"), &target)?;
    let busybox = tree.path().join(&spec.busybox);
    let program = target.join("bin/busybox");
    fs::copy(&busybox, &program).with_context(|| format!("copying {}", busybox.display()))?;
    // It is static, so it can be asked here for the names it answers to.
    let names = output(Command::new(&busybox).arg("--list"))?;
    for name in names.lines().filter(|name| *name != "busybox") {
        let link = target.join("bin").join(name);
        symlink("busybox", &link).with_context(|| format!("linking {}", link.display()))?;
    }
    make_links(&target, &spec.links)?;
    for open in ["tmp", "var/tmp"] {
        fs::set_permissions(target.join(open), fs::Permissions::from_mode(0o1777))?;
    }
    Ok(())
}
