//! Fetches Debian packages with the machine's own apt, kept apart from the machine's own packages: apt resolves
//! dependencies and checks signatures, packages.lock pins what comes out.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::lock::{Lock, Pin, sha256_file};
use crate::mirror::{self, Mirror};
use crate::progress;
use crate::spec::{Debian, Spec};

/// The packages of a build, as files.
pub struct Packages {
    pub files: Vec<PathBuf>,
    pub got: Lock,
    /// Exactly what packages.lock says.
    pub pinned: bool,
}

/// Takes the locked packages from the cache, else from the mirror. When the mirror no longer serves a locked version:
/// an error if `locked`, otherwise a warning and what it serves instead, because Debian removes superseded versions
/// and a fresh machine must still be able to build.
pub fn fetch(spec: &Spec, buildroot: &Path, cache: &Path, locked: bool) -> anyhow::Result<Packages> {
    let lock = Lock::read(buildroot)?;
    if let Some(files) = cached(&lock, cache)? {
        return Ok(Packages { files, got: lock, pinned: true });
    }
    let apt = Apt::prepare(&spec.debian, cache)?;
    progress("reading the package lists");
    apt.run(&["update"])?;
    let pins: Vec<String> = lock.0.iter().map(|(name, pin)| format!("{name}={}", pin.version)).collect();
    progress("downloading the packages");
    // Names go in front of pins: apt takes the pinned version, and adds what a new name needs.
    let mut wanted = spec.debian.packages.clone();
    wanted.extend(pins);
    if lock.0.is_empty() || apt.download(&wanted).is_err() {
        apt.download(&spec.debian.packages)?;
    }
    let packages = apt.downloaded(spec)?;
    let differences = lock.differences(&packages.got);
    if differences.is_empty() {
        return Ok(packages);
    }
    let text = format!(
        "the packages are not those of {}:\n  {}\n`cargo run -p image -- update-lock` takes them over",
        buildroot.join("packages.lock").display(),
        differences.join("\n  ")
    );
    anyhow::ensure!(!locked, text);
    progress(format!("WARNING: {text}"));
    Ok(Packages { pinned: false, ..packages })
}

pub fn update_lock(buildroot: &Path, cache: &Path) -> anyhow::Result<()> {
    let spec = Spec::read(buildroot)?;
    let apt = Apt::prepare(&spec.debian, cache)?;
    apt.run(&["update"])?;
    apt.download(&spec.debian.packages)?;
    let got = apt.downloaded(&spec)?.got;
    let path = buildroot.join("packages.lock");
    for line in Lock::read(buildroot)?.differences(&got) {
        progress(line);
    }
    fs::write(&path, got.to_text()).with_context(|| format!("writing {}", path.display()))
}

/// The files of a complete lock, if all are there unharmed.
fn cached(lock: &Lock, cache: &Path) -> anyhow::Result<Option<Vec<PathBuf>>> {
    let mut files = Vec::new();
    for (name, pin) in &lock.0 {
        let Some(file) = find_deb(&archives(cache), name, &pin.version)? else { return Ok(None) };
        if sha256_file(&file)? != pin.sha256 {
            return Ok(None);
        }
        files.push(file);
    }
    Ok((!files.is_empty()).then_some(files))
}

fn archives(cache: &Path) -> PathBuf {
    cache.join("debian/cache/archives")
}

/// apt names files `name_version_arch.deb`, with a colon in the version as `%3a`.
fn find_deb(archives: &Path, name: &str, version: &str) -> anyhow::Result<Option<PathBuf>> {
    let stem = format!("{name}_{}", version.replace(':', "%3a"));
    let candidates = ["amd64", "all"].map(|arch| archives.join(format!("{stem}_{arch}.deb")));
    Ok(candidates.into_iter().find(|path| path.is_file()))
}

/// An apt with its own lists, cache and (empty) list of installed packages.
struct Apt {
    config: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn prepare(debian: &Debian, cache: &Path) -> anyhow::Result<Apt> {
        let base = cache.join("debian");
        anyhow::ensure!(
            Path::new(&debian.keyring).is_file(),
            "{} is missing; install the package debian-archive-keyring",
            debian.keyring
        );
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(base.join(dir))
                .with_context(|| format!("making {}", base.join(dir).display()))?;
        }
        let base = base.canonicalize().context("finding the cache folder")?;
        fs::write(base.join("sources.list"), sources(debian, &mirror::find()?))
            .context("writing sources.list")?;
        fs::write(base.join("status"), status(&debian.provided)).context("writing status")?;
        let config = base.join("apt.conf");
        fs::write(&config, configuration(&base)).context("writing apt.conf")?;
        Ok(Apt { config, archives: archives(cache) })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        // -c is read last and so overrides the machine's own settings; its proxy stays in force.
        command.arg("-c").arg(&self.config).arg("-qq").args(args).env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args).output().context("starting apt-get")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "apt-get {} failed: {}", args[0], errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn download(&self, wanted: &[String]) -> anyhow::Result<()> {
        let mut args = vec!["install", "--download-only", "--yes"];
        args.extend(wanted.iter().map(String::as_str));
        for old in fs::read_dir(&self.archives)?.flatten() {
            // What apt would choose is told apart from leftovers by being asked for by name; only torn files go.
            if old.metadata()?.len() == 0 {
                fs::remove_file(old.path())?;
            }
        }
        self.run(&args).map(drop)?;
        let chosen = self.run(&[&["install", "--simulate"], &args[2..]].concat())?;
        fs::write(self.chosen_path(), chosen).context("keeping apt's choice")
    }

    fn chosen_path(&self) -> PathBuf {
        self.config.with_file_name("chosen")
    }

    /// What the last download chose, as files and as a lock.
    fn downloaded(&self, spec: &Spec) -> anyhow::Result<Packages> {
        let chosen = fs::read_to_string(self.chosen_path()).context("reading apt's choice")?;
        let mut got = Lock::default();
        let mut files = Vec::new();
        for (name, version) in chosen.lines().filter_map(installed_line) {
            let file = find_deb(&self.archives, name, version)?.with_context(|| {
                format!("apt did not leave {name} {version} in {}", self.archives.display())
            })?;
            let pin = Pin { version: version.to_owned(), sha256: sha256_file(&file)? };
            got.0.insert(name.to_owned(), pin);
            files.push(file);
        }
        for wanted in &spec.debian.packages {
            anyhow::ensure!(got.0.contains_key(wanted), "apt did not choose {wanted}");
        }
        Ok(Packages { files, got, pinned: true })
    }
}

/// `Inst kmod (34.2-2 Debian:13.2/stable [amd64])` → name and version.
fn installed_line(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("Inst ")?;
    let (name, rest) = rest.split_once(' ')?;
    let version = rest.strip_prefix('(')?.split_whitespace().next()?;
    Some((name, version))
}

fn sources(debian: &Debian, mirror: &Mirror) -> String {
    let Debian { suite, keyring, .. } = debian;
    let mut text = String::new();
    for (mirror, suite) in [
        (&mirror.archive, suite.clone()),
        (&mirror.archive, format!("{suite}-updates")),
        (&mirror.security, format!("{suite}-security")),
    ] {
        let _ = writeln!(text, "deb [arch=amd64 signed-by={keyring}] {mirror} {suite} main");
    }
    text
}

/// A list of installed packages that holds one invented package, which provides what is not to be fetched.
fn status(provided: &[String]) -> String {
    format!(
        "Package: meseta-image\nStatus: install ok installed\nPriority: optional\nSection: misc\nMaintainer: none\n\
         Architecture: amd64\nVersion: 1\nProvides: {}\nDescription: stands for what the image does without\n\n",
        provided.join(", ")
    )
}

fn configuration(base: &Path) -> String {
    let base = base.display();
    format!(
        "Dir::Etc::SourceList \"{base}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State \"{base}/state\";\n\
         Dir::State::status \"{base}/status\";\n\
         Dir::Cache \"{base}/cache\";\n\
         Dir::Cache::archives \"{base}/cache/archives\";\n\
         APT::Architecture \"amd64\";\n\
         #clear APT::Architectures;\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Install-Recommends \"false\";\n\
         APT::Sandbox::User \"\";\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear DPkg::Post-Invoke;\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         Debug::NoLocking \"true\";\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_choice_is_read() {
        let check = |line: &str, expected: Option<(&str, &str)>| assert_eq!(installed_line(line), expected);
        check("Inst kmod (34.2-2 Debian:13.2/stable [amd64])", Some(("kmod", "34.2-2")));
        check("Inst libc6 (2.41-12 Debian:13 [amd64]) []", Some(("libc6", "2.41-12")));
        check("Conf kmod (34.2-2 Debian:13.2/stable [amd64])", None);
    }
}
