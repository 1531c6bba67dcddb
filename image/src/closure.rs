//! Copies programs out of the tree together with the libraries they need: a fifth of what the packages hold.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;

use crate::tree::Tree;

/// Links on the way to a file: more is a loop.
const LINKS_MAX: usize = 8;

pub fn copy_program(tree: &Tree, program: &str, root: &Path) -> anyhow::Result<()> {
    copy_file(tree, program, root)?;
    for library in tree.libraries_of(program)? {
        copy_file(tree, &library, root)?;
    }
    Ok(())
}

/// Copies a file and the links that lead to it, all under the same paths.
pub fn copy_file(tree: &Tree, path: &str, root: &Path) -> anyhow::Result<()> {
    let mut current = PathBuf::from(path);
    for _ in 0..LINKS_MAX {
        let from = tree.path().join(&current);
        let to = root.join(&current);
        let metadata = fs::symlink_metadata(&from).with_context(|| format!("no package brings {path}"))?;
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        if !metadata.is_symlink() {
            fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
            return Ok(());
        }
        let target = fs::read_link(&from)?;
        if fs::symlink_metadata(&to).is_err() {
            symlink(&target, &to).with_context(|| format!("linking {}", to.display()))?;
        }
        current = resolve(&current, &target);
    }
    anyhow::bail!("{path}: too many links")
}

/// Where a link at `at` leads, relative to the tree.
fn resolve(at: &Path, target: &Path) -> PathBuf {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    let base = if target.is_absolute() { None } else { at.parent() };
    for component in base.into_iter().flat_map(Path::components).chain(target.components()) {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_resolve_inside_the_tree() {
        let check = |at: &str, target: &str, expected: &str| {
            assert_eq!(resolve(Path::new(at), Path::new(target)), Path::new(expected), "{at} -> {target}");
        };
        check("usr/lib/x/liba.so.1", "liba.so.1.2", "usr/lib/x/liba.so.1.2");
        check("usr/lib64/ld.so", "../lib/x/ld.so", "usr/lib/x/ld.so");
        check("usr/bin/a", "/usr/sbin/b", "usr/sbin/b");
        check("a", "../../../b", "b");
    }
}
