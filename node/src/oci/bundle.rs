//! Makes everything ready for one task: folders, the files bound into it, and the bundle that init is told to create.
//!
//! Called by the agent. Nothing runs yet when this returns, and writing the same bundle again gives the same result.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use model::TaskId;
use model::app::{AppSpec, KILL_GRACE_MS_DEFAULT};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use serde::Deserialize;

use super::create::ROOTFS;
use super::meta::{self, Meta, Overlay};
use super::spec::{self, Inputs};
use super::user::{self, UserError};
use crate::Exit;
use crate::config::Paths;
use crate::images::ImageConfig;
use crate::network::attachment::Attachment;

/// One task to be started.
#[derive(Debug, Clone, Deserialize)]
pub struct Launch {
    pub task: TaskId,
    pub app: AppSpec,
    /// The task's whole environment.
    pub env: BTreeMap<String, String>,
    /// The node's name and addresses for `/etc/hosts`.
    pub hostname: String,
    pub addresses: Vec<IpAddr>,
    /// Its place on the node's bridge; `None` on the node's own network.
    #[serde(default)]
    pub network: Option<Attachment>,
    /// Read-only layers of the root, best first; empty: the node's own task root.
    #[serde(default)]
    pub layers: Vec<PathBuf>,
    /// What the image that the layers are of says of itself.
    #[serde(default)]
    pub image: Option<ImageConfig>,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    User(#[from] UserError),
    #[error("neither `cmd` nor `args` nor the image says what to run")]
    NoCommand,
    #[error("the image has no layers, so there is nothing to run")]
    EmptyImage,
    #[error("the task's root {0} is not there")]
    NoRoot(PathBuf),
    #[error("cannot prepare {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Writes the bundle of `launch`; returns its folder, for `ToInit::Create`.
pub fn write(paths: &Paths, launch: &Launch) -> Result<PathBuf, BundleError> {
    let layers = if launch.layers.is_empty() { vec![paths.task_root.clone()] } else { launch.layers.clone() };
    if launch.image.is_some() && launch.layers.is_empty() {
        return Err(BundleError::EmptyImage);
    }
    if let Some(missing) = layers.iter().find(|layer| !layer.is_dir()) {
        return Err(BundleError::NoRoot(missing.clone()));
    }
    let image = launch.image.as_ref();
    if spec::arguments(&launch.app, image).is_empty() {
        return Err(BundleError::NoCommand);
    }
    let named = launch.app.user.as_deref().or(image.map(|image| image.user.as_str()));
    let user = user::resolve(named, &layers)?;
    let folder = paths.task(&launch.task);
    // Only the node may look into it: beside the sandbox lies the index of the log.
    make_folder(&folder, 0o700)?;
    let sandbox = paths.sandbox(&launch.task);
    make_folder(&sandbox, 0o755)?;
    chown(&sandbox, Some(user.uid), Some(user.gid)).map_err(at(&sandbox))?;

    let bundle = paths.bundle(&launch.task);
    make_folder(&bundle, 0o700)?;
    make_folder(&bundle.join(ROOTFS), 0o755)?;
    let files = write_etc(paths, &bundle, launch)?;
    let cgroup = crate::init::cgroup::path_of(&paths.cgroup, &launch.task);
    let config = spec::build(&Inputs {
        app: &launch.app,
        image,
        env: &launch.env,
        user,
        rootfs: &bundle.join(ROOTFS),
        cgroup: &cgroup,
        sandbox: &sandbox,
        files: &files,
        files_max: files_max(),
        unified: is_unified(),
    });
    let meta = Meta {
        format: meta::FORMAT,
        task: launch.task.clone(),
        state_root: paths.containers(),
        network: launch.network.clone(),
        overlay: Overlay { lowers: layers, upper: folder.join("upper"), work: folder.join("work") },
        cgroup,
        seccomp: true,
        device_filter: true,
        uid: user.uid,
        gid: user.gid,
        grace_ms: launch.app.kill_grace_ms.unwrap_or(KILL_GRACE_MS_DEFAULT),
        stop_signal: image.map_or(meta::STOP_SIGNAL_DEFAULT, |image| meta::stop_signal(&image.stop_signal)),
        working_dir: spec::working_dir(image).into(),
    };
    write_json(&bundle.join("config.json"), &config)?;
    write_json(&bundle.join(meta::FILE), &meta)?;
    Ok(bundle)
}

/// `meseta oci bundle`.
pub fn run(paths: &Paths) -> Exit {
    let launch: Launch = match serde_json::from_reader(io::stdin().lock()) {
        Ok(launch) => launch,
        Err(error) => {
            eprintln!("standard input is not the JSON of a launch: {error}");
            return Exit::BadConfig;
        }
    };
    match write(paths, &launch) {
        Ok(bundle) => {
            println!("{}", bundle.display());
            Exit::Ok
        }
        Err(error) => {
            eprintln!(
                "{}",
                anyhow::Error::new(error).chain().map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
            );
            Exit::Failure
        }
    }
}

/// As many open files as containers usually get, or as this process may hand on.
fn files_max() -> u64 {
    const USUAL: u64 = 1_048_576;
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard.min(USUAL))
}

fn is_unified() -> bool {
    statfs("/sys/fs/cgroup").is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// The files of /etc that belong to the place, not to the image. They stay writable for the agent, in place.
fn write_etc(
    paths: &Paths,
    bundle: &Path,
    launch: &Launch,
) -> Result<Vec<(PathBuf, &'static str)>, BundleError> {
    let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n".to_owned();
    let own = launch.network.as_ref().map(|network| IpAddr::V4(network.address));
    let addresses = own.as_ref().map_or(&launch.addresses[..], std::slice::from_ref);
    for address in addresses {
        hosts.push_str(&format!("{address}\t{}\n", launch.hostname));
    }
    // At the bridge the node itself answers names, too.
    let resolvers = match &launch.network {
        Some(network) => format!("nameserver {}\n", network.gateway),
        None => crate::dns::task_file::resolv_conf(&paths.run),
    };
    let contents = [
        ("hosts", "/etc/hosts", hosts),
        ("hostname", "/etc/hostname", format!("{}\n", launch.hostname)),
        ("resolv.conf", "/etc/resolv.conf", resolvers),
    ];
    let mut files = Vec::new();
    for (name, target, content) in contents {
        let path = bundle.join(name);
        fs::write(&path, content).map_err(at(&path))?;
        files.push((path, target));
    }
    Ok(files)
}

fn make_folder(path: &Path, mode: u32) -> Result<(), BundleError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(at(path))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), BundleError> {
    let text = serde_json::to_vec(value)
        .map_err(|error| BundleError::Io { path: path.to_owned(), source: error.into() })?;
    fs::write(path, text).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::Io { path, source }
}
