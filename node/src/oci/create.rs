//! `meseta oci create`: from a bundle to a running task, then exit.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, fchown};

use super::control::{HelperControl, Registration};
use super::executor::TaskExecutor;
use super::meta::Meta;
use super::{OciError, devices, overlay, workdir};
use crate::Exit;

/// The directory of the bundle over which the task's root is mounted; it stays empty on the node.
pub const ROOTFS: &str = "rootfs";

pub fn run(bundle: &Path) -> Exit {
    let control = match HelperControl::inherited() {
        Ok(control) => control,
        Err(error) => {
            eprintln!("meseta oci create is called by init, which passes a socket as descriptor 3: {error}");
            return Exit::BadConfig;
        }
    };
    match create(bundle, &control) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            control.fail(&error.chain());
            Exit::Failure
        }
    }
}

fn create(bundle: &Path, control: &HelperControl) -> Result<(), OciError> {
    let meta = Meta::read(bundle)
        .map_err(|source| OciError::Bundle { path: bundle.join(super::meta::FILE), source })?;
    enter_private_mounts()?;
    let root = bundle.join(ROOTFS);
    overlay::mount_root(&meta.overlay, &root).map_err(OciError::step("mount the task's root"))?;
    workdir::make(&root, &meta.working_dir).map_err(OciError::step("make the working directory"))?;
    give_output_to(&meta)?;
    let mut container = build(bundle, &meta)?;
    let pid = container.pid().map_or(0, |pid| pid.as_raw());
    if meta.device_filter {
        devices::restrict(&meta.cgroup).map_err(OciError::step("load the device filter"))?;
    }
    if let Some(attachment) = &meta.network {
        crate::network::attach::attach(pid, attachment).map_err(OciError::Network)?;
    }
    let start_time = crate::init::proc::start_time(pid).map_err(OciError::step("find the new process"))?;
    let registration =
        Registration { pid, start_time, uid: meta.uid, gid: meta.gid, grace_ms: meta.grace_ms };
    if !control.register(registration).map_err(OciError::step("tell init of the new process"))? {
        return Err(OciError::NotAcknowledged);
    }
    container.start().map_err(OciError::Container)
}

/// From here on no mount of this process is seen by the node, and all end with it and the task.
fn enter_private_mounts() -> Result<(), OciError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(OciError::step("leave the node's mount namespace"))?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(OciError::step("make the mounts private"))
}

/// Programs reopen their output as /dev/stdout; for that the pipes must belong to the task's user.
fn give_output_to(meta: &Meta) -> Result<(), OciError> {
    let (uid, gid) = (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)));
    let (stdout, stderr) = (io::stdout(), io::stderr());
    for pipe in [stdout.as_fd(), stderr.as_fd()] {
        fchown(pipe, uid, gid).map_err(OciError::step("give the output pipes to the task's user"))?;
    }
    Ok(())
}

fn build(bundle: &Path, meta: &Meta) -> Result<Container, OciError> {
    fs::create_dir_all(&meta.state_root).map_err(OciError::step("make the folder of container states"))?;
    ContainerBuilder::new(meta.task.to_string(), SyscallType::default())
        .with_executor(TaskExecutor::new(meta.seccomp))
        .with_root_path(&meta.state_root)
        .map_err(OciError::Container)?
        .as_init(bundle)
        .with_systemd(false)
        // The new process stays the helper's child, so that it is re-parented to init, the subreaper, not to whoever
        // called the helper.
        .as_sibling(false)
        .with_detach(true)
        .build()
        .map_err(OciError::Container)
}
