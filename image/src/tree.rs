//! The unpacked packages: where files of the image come from, and where the tools that build it run out of.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::debian::Packages;
use crate::lock::hex;
use crate::progress;

const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

pub struct Tree {
    path: PathBuf,
}

impl Tree {
    /// Unpacks into a folder named after the packages, or takes the one that is there.
    pub fn unpack(packages: &Packages, cache: &Path) -> anyhow::Result<Tree> {
        let name = hex(&Sha256::digest(packages.got.to_text().as_bytes())[..8]);
        let path = cache.join("trees").join(&name);
        if path.is_dir() {
            return Ok(Tree { path });
        }
        progress(format!("unpacking {} packages", packages.files.len()));
        let trees = cache.join("trees");
        fs::create_dir_all(&trees).with_context(|| format!("making {}", trees.display()))?;
        // Unpacked beside and renamed, so that a folder of that name is always complete.
        let partial = tempfile::Builder::new().prefix("partial-").tempdir_in(&trees)?;
        for file in &packages.files {
            unpack(file, partial.path())?;
        }
        let partial = partial.keep();
        if let Err(e) = fs::rename(&partial, &path) {
            fs::remove_dir_all(&partial)?;
            anyhow::ensure!(path.is_dir(), "renaming to {}: {e}", path.display());
        }
        Ok(Tree { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A program of the tree, run by the tree's own loader with the tree's own libraries: no chroot, no privileges,
    /// and nothing of the machine's own versions.
    pub fn tool(&self, program: &str, argv0: &str) -> Command {
        let mut command = Command::new(self.path.join(LOADER));
        command.arg("--library-path").arg(self.path.join(LIBRARIES));
        command.arg("--argv0").arg(argv0).arg(self.path.join(program));
        command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command
    }

    /// What the loader finds for a program: paths relative to the tree, loader included.
    pub fn libraries_of(&self, program: &str) -> anyhow::Result<Vec<String>> {
        let mut command = Command::new(self.path.join(LOADER));
        command
            .arg("--library-path")
            .arg(self.path.join(LIBRARIES))
            .arg("--list")
            .arg(self.path.join(program));
        let listing = output(&mut command)?;
        let prefix = format!("{}/", self.path.display());
        let mut found = vec![LOADER.to_owned()];
        for line in listing.lines() {
            anyhow::ensure!(
                !line.contains("not found"),
                "{program} needs what no package brings: {}",
                line.trim()
            );
            let words = line.split_whitespace();
            found.extend(words.filter_map(|word| word.strip_prefix(&prefix)).map(str::to_owned));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The version of the one kernel in the tree.
    pub fn kernel_version(&self) -> anyhow::Result<String> {
        let modules = self.path.join("usr/lib/modules");
        let mut names = Vec::new();
        for entry in fs::read_dir(&modules).with_context(|| format!("listing {}", modules.display()))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let [name] = &names[..] else { anyhow::bail!("expected one kernel, found {names:?}") };
        Ok(name.clone())
    }
}

fn unpack(file: &Path, into: &Path) -> anyhow::Result<()> {
    output(Command::new("dpkg-deb").arg("--extract").arg(file).arg(into)).map(drop)
}

/// Runs to the end; the error has what the program said.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).map(|arg| arg.into_owned()).collect();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name} {}: {}: {}", args.join(" "), output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
