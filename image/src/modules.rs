//! Picks kernel modules with their dependencies, unpacks them and writes the indexes the node's loader reads.
//!
//! They are stored plain: the root file system compresses better than each file alone. They are never stripped: the
//! signature is a trailer that stripping would cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::spec::Spec;
use crate::tree::{Tree, output};

/// What the loader reads: names, hardware, built-ins. The binary indexes are for other loaders.
const INDEXES: [&str; 4] = ["modules.dep", "modules.alias", "modules.softdep", "modules.builtin"];

pub struct Modules<'a> {
    tree: &'a Tree,
    version: String,
    /// By module name: path below the version's folder.
    paths: BTreeMap<String, String>,
    /// By path: paths of what it needs.
    needs: BTreeMap<String, Vec<String>>,
}

impl<'a> Modules<'a> {
    pub fn read(tree: &'a Tree) -> anyhow::Result<Modules<'a>> {
        let version = tree.kernel_version()?;
        // The package has no modules.dep: it is written at installation, so write it in the tree once.
        let dir = tree.path().join("usr/lib/modules").join(&version);
        if !dir.join("modules.dep").is_file() {
            depmod(tree, tree.path(), &version)?;
        }
        let text = fs::read_to_string(dir.join("modules.dep")).context("reading modules.dep")?;
        let mut paths = BTreeMap::new();
        let mut needs = BTreeMap::new();
        for line in text.lines() {
            let Some((path, rest)) = line.split_once(':') else { continue };
            paths.insert(name_of(path), path.to_owned());
            needs.insert(path.to_owned(), rest.split_whitespace().map(str::to_owned).collect());
        }
        Ok(Modules { tree, version, paths, needs })
    }

    /// Puts the wanted modules and their indexes below `root`.
    pub fn install(&self, spec: &Spec, root: &Path) -> anyhow::Result<()> {
        let target = root.join("usr/lib/modules").join(&self.version);
        let mut wanted = BTreeSet::new();
        for name in spec.module_names() {
            wanted.extend(self.in_load_order(name)?);
        }
        for path in &wanted {
            write_file(&target.join(plain_name(path)), &self.unpack(path)?)?;
        }
        for index in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::copy(self.dir().join(index), target.join(index))
                .with_context(|| format!("copying {index}"))?;
        }
        depmod(self.tree, root, &self.version)?;
        keep_only_indexes(&target)
    }

    /// Module files in the order in which they load, each once.
    pub fn early(&self, names: &[String]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut order: Vec<String> = Vec::new();
        for name in names {
            for path in self.in_load_order(name)? {
                if !order.contains(&path) {
                    order.push(path);
                }
            }
        }
        order.iter().map(|path| Ok((name_of(path), self.unpack(path)?))).collect()
    }

    fn dir(&self) -> PathBuf {
        self.tree.path().join("usr/lib/modules").join(&self.version)
    }

    /// Dependencies first. modules.dep lists them all, the deepest last.
    fn in_load_order(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let wanted = name.replace('-', "_");
        let path = self.paths.get(&wanted).with_context(|| format!("the kernel has no module {name}"))?;
        let needs = self.needs.get(path).into_iter().flatten().rev().cloned();
        Ok(needs.chain([path.clone()]).collect())
    }

    fn unpack(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.dir().join(path);
        let result =
            self.tree.tool("usr/bin/xz", "xz").arg("--decompress").arg("--stdout").arg(&file).output();
        let output = result.context("starting xz")?;
        anyhow::ensure!(output.status.success(), "xz cannot read {}", file.display());
        Ok(output.stdout)
    }
}

/// `kernel/fs/nls/nls_cp437.ko.xz` → `nls_cp437`. The kernel takes - and _ in names as the same.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn plain_name(path: &str) -> &str {
    path.strip_suffix(".xz").unwrap_or(path)
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// `root` holds its modules under `usr/lib`; depmod looks below `lib`.
fn depmod(tree: &Tree, root: &Path, version: &str) -> anyhow::Result<()> {
    let mut command = tree.tool("usr/bin/kmod", "depmod");
    output(command.arg("-b").arg(root).arg("-m").arg("/usr/lib/modules").arg(version)).map(drop)
}

fn keep_only_indexes(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() && !INDEXES.iter().any(|index| name == *index) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_paths() {
        for (path, name) in [
            ("kernel/fs/erofs/erofs.ko.xz", "erofs"),
            ("kernel/net/ipv4/tcp_diag.ko", "tcp_diag"),
            ("kernel/arch/x86/crypto/crc32c-intel.ko.xz", "crc32c_intel"),
        ] {
            assert_eq!(name_of(path), name);
        }
    }
}
