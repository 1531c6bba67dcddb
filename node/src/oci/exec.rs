//! `meseta oci exec`: a further process inside a running task, with the same filter and rights as the task's own.

use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use model::TaskId;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::OciError;
use super::executor::TaskExecutor;
use super::meta::Meta;
use crate::Exit;
use crate::config::Paths;

/// Added to a signal's number in the exit code, as shells do.
const EXIT_SIGNAL_BASE: i32 = 128;

pub fn run(paths: &Paths, task: &TaskId, command: Vec<String>) -> Exit {
    let result = enter(paths, task, command).map_err(|error| error.chain()).and_then(|pid| {
        waitpid(pid, None).map_err(|error| format!("the command's end was not seen: {error}"))
    });
    // What the library left of this session; a failure only leaves a dead socket in a folder that goes with the task.
    let _ = sweep(&paths.containers().join(task.as_str()));
    match result {
        Ok(WaitStatus::Exited(_, code)) => std::process::exit(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => std::process::exit(EXIT_SIGNAL_BASE + signal as i32),
        Ok(_) => Exit::Internal,
        Err(message) => {
            eprintln!("meseta: {message}");
            Exit::Failure
        }
    }
}

fn enter(paths: &Paths, task: &TaskId, command: Vec<String>) -> Result<Pid, OciError> {
    let bundle = paths.bundle(task);
    let meta = Meta::read(&bundle)
        .map_err(|source| OciError::Bundle { path: bundle.join(super::meta::FILE), source })?;
    let pid = ContainerBuilder::new(task.to_string(), SyscallType::default())
        .with_executor(TaskExecutor::new(meta.seccomp))
        .with_root_path(paths.containers())
        .map_err(OciError::Container)?
        .as_tenant()
        .with_cwd(Some(super::spec::SANDBOX_IN_TASK))
        .with_container_args(command)
        .with_user(Some(meta.uid))
        .with_group(Some(meta.gid))
        .with_detach(true)
        .build()
        .map_err(OciError::Container)?;
    // The library speaks of pids in an older release of the same crate.
    Ok(Pid::from_raw(pid.as_raw()))
}

/// libcontainer leaves a socket and a link of each session in the state folder.
fn sweep(state: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n.starts_with("tenant-notify-") || n.starts_with("tenant-tty-")) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
