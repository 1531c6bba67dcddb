//! The balancer's files below RUN, written whole or not at all, and HAProxy's own opinion of a configuration.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::config::Paths;

/// A number that no account of an image or a distribution has: no task's user can do anything to the worker.
const WORKER_USER: u32 = 64_080;
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// Of HAProxy's complaints, what fits on a page.
const COMPLAINT_BYTES_MAX: usize = 2_000;

#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
    tls: PathBuf,
    program: PathBuf,
}

impl Files {
    pub fn new(paths: &Paths) -> Self {
        Self {
            folder: paths.run.join("haproxy"),
            tls: paths.state.join("tls"),
            program: paths.haproxy.clone(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.join("haproxy.cfg")
    }

    /// The worker's runtime socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// The master's socket.
    pub fn control(&self) -> PathBuf {
        self.folder.join("master.sock")
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.join("node.pem")
    }

    /// User and empty folder of the worker, where this process may grant them.
    pub fn jail(&self) -> Option<(u32, String)> {
        let is_root = nix::unistd::geteuid().is_root();
        is_root.then(|| (WORKER_USER, self.empty().display().to_string()))
    }

    fn empty(&self) -> PathBuf {
        self.folder.join("empty")
    }

    pub fn make_folder(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.empty())
    }

    pub fn read_configuration(&self) -> Option<String> {
        fs::read_to_string(self.configuration()).ok()
    }

    /// HAProxy wants certificate and key in one file; the console's are made before any balancer needs them.
    pub fn write_certificate(&self) -> io::Result<()> {
        let mut both = fs::read(self.tls.join("cert.pem"))?;
        both.extend(fs::read(self.tls.join("key.pem"))?);
        if fs::read(self.certificate()).is_ok_and(|old| old == both) {
            return Ok(());
        }
        write(&self.certificate(), &both)
    }

    /// Replaces the configuration that the next start or reload reads.
    pub fn write_configuration(&self, text: &str) -> io::Result<()> {
        write(&self.configuration(), text.as_bytes())
    }

    /// `haproxy -c`; the error is what HAProxy says.
    pub async fn check(&self, text: &str) -> Result<(), String> {
        let candidate = self.folder.join("candidate.cfg");
        write(&candidate, text.as_bytes()).map_err(|e| format!("{}: {e}", candidate.display()))?;
        let mut command = Command::new(&self.program);
        command.arg("-c").arg("-f").arg(&candidate).stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(CHECK_TIMEOUT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(format!("{}: {error}", self.program.display())),
            Err(_) => return Err("`haproxy -c` does not end".to_owned()),
        };
        if output.status.success() {
            return Ok(());
        }
        let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        Err(said.trim().chars().take(COMPLAINT_BYTES_MAX).collect())
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    // RUN ends with the boot: what a power cut could tear is gone anyway.
    fs::rename(fresh, path)
}
