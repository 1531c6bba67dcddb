//! Lays out the node's root file system in a folder, as `buildroot/` says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::modules::Modules;
use crate::spec::Spec;
use crate::tree::Tree;
use crate::{closure, task_root};

const PROGRAM: &str = "usr/sbin/meseta";
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

pub struct Inputs<'a> {
    pub buildroot: &'a Path,
    pub spec: &'a Spec,
    pub tree: &'a Tree,
    pub modules: &'a Modules<'a>,
    pub meseta: &'a Path,
}

pub fn build(inputs: &Inputs, root: &Path) -> anyhow::Result<()> {
    let Inputs { buildroot, spec, tree, modules, meseta } = inputs;
    make_dirs(root, &spec.root.dirs)?;
    make_links(root, &spec.root.links)?;
    copy_overlay(&buildroot.join("root"), root)?;
    for program in &spec.root.programs {
        closure::copy_program(tree, program, root)?;
    }
    for path in &spec.root.copies {
        closure::copy_file(tree, path, root)?;
    }
    certificates(&tree.path().join(&spec.root.certificates), &root.join(CERTIFICATES))?;
    fs::write(root.join("etc/os-release"), os_release()).context("writing os-release")?;
    modules.install(spec, root)?;
    task_root::build(tree, &spec.task_root, buildroot, root)?;
    let program = root.join(PROGRAM);
    fs::copy(meseta, &program).with_context(|| format!("copying {}", meseta.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    for open in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(open), fs::Permissions::from_mode(0o1777))?;
    }
    Ok(())
}

/// Modes are set here and not left to the umask of whoever builds: they are part of the image.
pub fn make_dirs(root: &Path, dirs: &[String]) -> anyhow::Result<()> {
    for dir in dirs {
        let path = root.join(dir);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    }
    Ok(())
}

pub fn make_links(root: &Path, links: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for (link, target) in links {
        let path = root.join(link);
        symlink(target, &path).with_context(|| format!("linking {} to {target}", path.display()))?;
    }
    Ok(())
}

/// Copies the files of a folder, and of the folders in it.
pub fn copy_overlay(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let dir = from.join(&relative);
        fs::create_dir_all(to.join(&relative))?;
        for entry in fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
            let entry = entry?;
            let relative = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(relative);
            } else {
                let target = to.join(&relative);
                fs::copy(entry.path(), &target).with_context(|| format!("writing {}", target.display()))?;
            }
        }
    }
    Ok(())
}

/// What update-ca-certificates would make on an installed system.
fn certificates(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "crt") {
            files.push(path);
        }
    }
    files.sort();
    anyhow::ensure!(!files.is_empty(), "no certificates in {}", from.display());
    let mut bundle = Vec::new();
    for file in files {
        bundle.extend(fs::read(&file).with_context(|| format!("reading {}", file.display()))?);
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(to, bundle).with_context(|| format!("writing {}", to.display()))
}

fn os_release() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("NAME=Meseta\nID=meseta\nVERSION_ID={version}\nPRETTY_NAME=\"Meseta {version}\"\n")
}
