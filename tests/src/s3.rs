//! `s3s-fs` on loopback: storage that speaks the S3 protocol and checks the signature of each request.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::http::Client;
use crate::wait;

pub const ACCESS_KEY: &str = "AKIATESTS";
pub const SECRET_KEY: &str = "a/secret+key/of-the-tests";
pub const BUCKET: &str = "kept";

pub struct Storage {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Storage {
    /// With an empty bucket.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ms").tempdir().expect("a temporary folder");
        fs::create_dir_all(dir.path().join("data").join(BUCKET)).expect("a bucket is a folder");
        // A port that was free a moment ago; the kernel hands out others before it comes round again.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut storage = Self { dir, port, child: None };
        storage.launch();
        storage
    }

    /// On the same port, with the same objects as before.
    pub fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.expect("a log file");
        let mut command = Command::new(program());
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]);
        command.arg(self.dir.path().join("data")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        // SAFETY: between fork and exec only prctl(2) is called, which allocates nothing and takes no lock.
        unsafe {
            // A test that is killed must not leave its storage behind.
            command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
        }
        self.child = Some(command.spawn().expect("s3s-fs; scripts/setup installs it"));
        let http = Client::new(&format!("127.0.0.1:{}", self.port));
        // Whatever it thinks of strangers.
        let probe = || http.get("/").map(drop).map_err(|error| error.to_string());
        wait::until("the storage answers", wait::DEADLINE, probe, || self.log());
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the objects of the bucket are, a file each.
    pub fn bucket(&self) -> PathBuf {
        self.dir.path().join("data").join(BUCKET)
    }

    /// Names of the objects in a folder of the bucket, in order.
    pub fn objects(&self, folder: &str) -> Vec<String> {
        let found = fs::read_dir(self.bucket().join(folder)).into_iter().flatten().flatten();
        let names = found.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where `scripts/setup` installs it.
fn program() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default();
    cache.join("meseta/tools/bin/s3s-fs")
}
