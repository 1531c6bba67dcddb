//! Debian's docker-registry on loopback, with images that tests push into it.
//!
//! The seed's images under the seed's names hold Debian's real nginx and python3 on a busybox, not what Docker Hub has
//! under these names: that cannot be reached from everywhere, and of 2014 nothing is left to compare with.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::http::Client;
use crate::image::{self, Image, MANIFEST, digest};
use crate::wait;

pub struct Registry {
    dir: tempfile::TempDir,
    child: Child,
    address: String,
    http: Client,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST)
    }

    /// For nodes in a network of their own, on our side of it.
    pub fn start_at(ip: Ipv4Addr) -> Self {
        let dir = tempfile::Builder::new().prefix("mr").tempdir().expect("a temporary folder");
        // A port that was free a moment ago; the kernel hands out others before it comes round again.
        let port = TcpListener::bind((ip, 0)).and_then(|l| l.local_addr()).expect("a port").port();
        let address = format!("{ip}:{port}");
        let config = json!({
            "version": "0.1",
            "log": { "level": "warn", "accesslog": { "disabled": false } },
            "storage": { "filesystem": { "rootdirectory": dir.path().join("data") } },
            "http": { "addr": address },
        });
        let path = dir.path().join("config.yml");
        fs::write(&path, config.to_string()).expect("a configuration");
        let log = File::create(dir.path().join("log")).expect("a log file");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        // SAFETY: between fork and exec only prctl(2) is called, which allocates nothing and takes no lock.
        unsafe {
            // A test that is killed must not leave its registry behind.
            command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
        }
        let child = command.spawn().expect("docker-registry; scripts/setup installs it");
        let registry = Self { http: Client::new(&address), dir, child, address };
        let probe = || match registry.http.get("/v2/") {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        };
        wait::until("the registry answers", wait::DEADLINE, probe, || registry.log());
        registry
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Flags of a node's agent that make it ask here for images of Docker Hub.
    pub fn as_docker_hub(&self) -> Vec<String> {
        vec!["--registry-mirror".to_owned(), format!("docker.io=http://{}", self.address)]
    }

    /// Pushes what the seed's apps name.
    pub fn push_seed(&self) {
        let base = image::busybox();
        let nginx = Image {
            layers: vec![base.clone(), image::nginx().expect("nginx")],
            config: json!({
                "Cmd": ["nginx", "-g", "daemon off;"], "StopSignal": "SIGQUIT",
                "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=1.7.7"],
            }),
        };
        let python = Image {
            layers: vec![base.clone(), image::python().expect("python3")],
            config: json!({ "Cmd": ["python3"], "Env": ["PATH=/usr/bin:/bin"] }),
        };
        let ubuntu = Image { layers: vec![base], config: json!({ "Cmd": ["/bin/sh"] }) };
        self.push("library/nginx", "1.7.7", &nginx);
        self.push("library/python", "3", &python);
        self.push("libmesos/ubuntu", "latest", &ubuntu);
    }

    /// Pushes an image; returns the digest of its manifest.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        for blob in image.layers.iter().map(|layer| layer.blob.clone()).chain([image.config_file()]) {
            self.push_blob(repository, &blob);
        }
        self.push_manifest(repository, tag, MANIFEST, &image.manifest())
    }

    pub fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: &[u8]) -> String {
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.http
            .send("PUT", &path, &[("Content-Type", media_type)], Some(manifest))
            .expect("an answer")
            .expect(201);
        digest(manifest)
    }

    fn push_blob(&self, repository: &str, blob: &[u8]) {
        let digest = digest(blob);
        let known = self.http.send("HEAD", &format!("/v2/{repository}/blobs/{digest}"), &[], None);
        if known.expect("an answer").status == 200 {
            return;
        }
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.http.send("POST", &path, &[], Some(&[])).expect("an answer").expect(202);
        let at = begun.header("Location").to_owned();
        let at = at.strip_prefix(&format!("http://{}", self.address)).unwrap_or(&at).to_owned();
        let separator = if at.contains('?') { '&' } else { '?' };
        let headers = [("Content-Type", "application/octet-stream")];
        let put = format!("{at}{separator}digest={digest}");
        self.http.send("PUT", &put, &headers, Some(blob)).expect("an answer").expect(201);
    }

    /// Where the registry keeps a blob.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        let folder = self.dir.path().join("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex);
        folder.join("data")
    }

    /// Requests so far whose line holds `what`.
    pub fn requests(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains("HTTP/1.1\"") && line.contains(what)).count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
