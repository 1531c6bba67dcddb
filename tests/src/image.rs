//! Images for tests: layers from folders or from single files, and what an image says of itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::task_root;

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// A layer as it lies in a registry.
#[derive(Debug, Clone)]
pub struct Layer {
    pub blob: Vec<u8>,
    pub media_type: &'static str,
    /// Of the archive without its packing.
    pub diff_id: String,
}

impl Layer {
    /// `archive` is a tar.
    pub fn new(archive: &[u8], packing: Packing) -> Self {
        let (blob, media_type) = match packing {
            Packing::Plain => (archive.to_vec(), "application/vnd.oci.image.layer.v1.tar"),
            Packing::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(archive).expect("memory takes it");
                (gzip.finish().expect("memory takes it"), "application/vnd.docker.image.rootfs.diff.tar.gzip")
            }
            Packing::Zstd => (
                zstd::stream::encode_all(archive, 1).expect("memory takes it"),
                "application/vnd.oci.image.layer.v1.tar+zstd",
            ),
        };
        Self { blob, media_type, diff_id: digest(archive) }
    }

    /// Files by name, mode and content; folders appear by themselves.
    pub fn of_files(files: &[(&str, u32, &[u8])], packing: Packing) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, mode, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_mtime(1_600_000_000);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, *content).expect("memory takes it");
        }
        Self::new(&builder.into_inner().expect("memory takes it"), packing)
    }
}

/// What is pushed.
#[derive(Debug, Clone, Default)]
pub struct Image {
    pub layers: Vec<Layer>,
    /// The `config` of the configuration: `Entrypoint`, `Cmd`, `Env`, …
    pub config: Value,
}

impl Image {
    pub fn config_file(&self) -> Vec<u8> {
        let diffs: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        json!({
            "os": "linux", "architecture": "amd64", "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diffs },
        })
        .to_string()
        .into_bytes()
    }

    pub fn manifest(&self) -> Vec<u8> {
        let config = self.config_file();
        let layer = |layer: &Layer| json!({ "mediaType": layer.media_type, "digest": digest(&layer.blob), "size": layer.blob.len() });
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": digest(&config), "size": config.len(),
            },
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
        })
        .to_string()
        .into_bytes()
    }
}

pub const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Debian's static busybox: the lowest layer of all images here, so that they share it.
pub fn busybox() -> Layer {
    let root = task_root::path().expect("a root file system for tasks");
    let mut builder = builder();
    builder.append_dir_all("", root).expect("the root can be read");
    Layer::new(&builder.into_inner().expect("memory takes it"), Packing::Gzip)
}

/// The machine's own python3, that of Debian: program, library, and what they are linked to.
pub fn python() -> anyhow::Result<Layer> {
    let program =
        std::fs::canonicalize("/usr/bin/python3").context("python3 is missing; scripts/setup installs it")?;
    let library = Path::new("/usr/lib").join(program.file_name().context("a name")?);
    let mut builder = builder();
    add_program(&mut builder, &program, "usr/bin/python3")?;
    add_folder(&mut builder, &library)?;
    Ok(Layer::new(&builder.into_inner()?, Packing::Plain))
}

/// The machine's own nginx, that of Debian, with a configuration that needs nothing else.
pub fn nginx() -> anyhow::Result<Layer> {
    const CONFIG: &str = "worker_processes 1;\nerror_log /dev/stderr;\npid /tmp/nginx.pid;\nuser nobody nogroup;\n\
        events {}\nhttp {\n  access_log /dev/stdout;\n  server { listen 80; root /usr/share/nginx/html; }\n}\n";
    const PAGE: &str = "<h1>Welcome to nginx!</h1>\n";
    let mut builder = builder();
    let program = Path::new("/usr/sbin/nginx");
    ensure!(program.exists(), "nginx is missing; scripts/setup installs it");
    add_program(&mut builder, program, "usr/sbin/nginx")?;
    let files = [
        ("etc/nginx/nginx.conf", CONFIG),
        ("usr/share/nginx/html/index.html", PAGE),
        ("var/log/nginx/.keep", ""),
        ("var/lib/nginx/.keep", ""),
    ];
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content.as_bytes())?;
    }
    Ok(Layer::new(&builder.into_inner()?, Packing::Zstd))
}

fn builder() -> tar::Builder<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder
}

/// The program as `name`, and each library it is linked to at its own place.
fn add_program(builder: &mut tar::Builder<Vec<u8>>, program: &Path, name: &str) -> anyhow::Result<()> {
    builder.append_path_with_name(program, name)?;
    for library in linked(program)? {
        let name = library.strip_prefix("/")?.to_owned();
        builder.append_file(name, &mut std::fs::File::open(&library)?)?;
    }
    Ok(())
}

/// What the loader says that a program is linked to, itself included.
fn linked(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("starting ldd")?;
    ensure!(
        output.status.success(),
        "ldd {}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

/// Without what only builds and tests need.
fn add_folder(builder: &mut tar::Builder<Vec<u8>>, folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || name.starts_with("config-") || SPARED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            add_folder(builder, &path)?;
        } else {
            builder.append_path_with_name(&path, path.strip_prefix("/")?)?;
        }
    }
    Ok(())
}

const SPARED: [&str; 8] =
    ["__pycache__", "test", "ensurepip", "idlelib", "lib2to3", "tkinter", "distutils", "pydoc_data"];
