//! `buildroot/packages.lock`: every package that goes into a build, one line each: name, version, SHA-256 of its file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

const HEAD: &str = "# Written by `cargo run -p image -- update-lock`: name, version, SHA-256 of the .deb\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub version: String,
    pub sha256: String,
}

/// By package name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock(pub BTreeMap<String, Pin>);

impl Lock {
    pub fn parse(text: &str) -> anyhow::Result<Lock> {
        let mut pins = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [name, version, sha256] = fields[..] else {
                anyhow::bail!("line {}: expected name, version and checksum, found `{line}`", number + 1);
            };
            let pin = Pin { version: version.into(), sha256: sha256.into() };
            anyhow::ensure!(pins.insert(name.to_owned(), pin).is_none(), "line {}: {name} again", number + 1);
        }
        Ok(Lock(pins))
    }

    pub fn read(buildroot: &Path) -> anyhow::Result<Lock> {
        let path = buildroot.join("packages.lock");
        match std::fs::read_to_string(&path) {
            Ok(text) => Lock::parse(&text).with_context(|| format!("in {}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, pin) in &self.0 {
            let _ = writeln!(text, "{name} {} {}", pin.version, pin.sha256);
        }
        text
    }

    /// One line for each package that is not as `self` pins it; empty if `got` is exactly this lock.
    pub fn differences(&self, got: &Lock) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, pin) in &got.0 {
            match self.0.get(name) {
                None => lines.push(format!("{name} {} is not in packages.lock", pin.version)),
                Some(want) if want.version != pin.version => {
                    lines.push(format!("{name} is {}, packages.lock has {}", pin.version, want.version));
                }
                Some(want) if want.sha256 != pin.sha256 => {
                    lines.push(format!(
                        "{name} {}: sha256 is {}, packages.lock has {}",
                        pin.version, pin.sha256, want.sha256
                    ));
                }
                Some(_) => {}
            }
        }
        let gone = self.0.keys().filter(|name| !got.0.contains_key(*name));
        lines.extend(gone.map(|name| format!("{name} is in packages.lock but no longer needed")));
        lines
    }
}

pub fn sha256_file(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).with_context(|| format!("reading {}", path.display()))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(text: &str) -> Lock {
        Lock::parse(text).unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        let before = lock("# c\n\nkmod 34.2-2 aa\nxz 1 bb\n");
        assert_eq!(lock(&before.to_text()), before);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, expected) in [("kmod 34", "line 1: expected name"), ("a 1 b\na 2 c", "line 2: a again")] {
            let error = Lock::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn each_kind_of_difference_is_told() {
        let pinned = lock("same 1 aa\nnewer 1 aa\nforged 1 aa\ngone 1 aa");
        let got = lock("same 1 aa\nnewer 2 bb\nforged 1 cc\nadded 1 aa");
        let lines = pinned.differences(&got).join("\n");
        for part in ["newer is 2", "forged 1: sha256 is cc", "added 1 is not in", "gone is in"] {
            assert!(lines.contains(part), "{part} missing in:\n{lines}");
        }
        assert!(!lines.contains("same"));
        assert!(pinned.differences(&pinned).is_empty());
    }
}
