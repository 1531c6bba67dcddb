//! `meseta oci exec`: a further process inside a running task, with the same filter and rights as the task's own.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use model::TaskId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::OciError;
use super::executor::TaskExecutor;
use super::meta::Meta;
use crate::Exit;
use crate::config::Paths;

/// Added to a signal's number in the exit code, as shells do.
const EXIT_SIGNAL_BASE: i32 = 128;
/// What timeout(1) answers with, too.
pub const EXIT_TIMED_OUT: i32 = 124;

pub fn run(paths: &Paths, task: &TaskId, command: Vec<String>, timeout_ms: Option<u64>) -> Exit {
    let result = enter(paths, task, command).map_err(|error| error.chain()).and_then(|pid| {
        let is_late = timeout_ms.is_some_and(|ms| !ends_within(pid, ms));
        if is_late {
            end(pid);
        }
        let end = waitpid(pid, None).map_err(|error| format!("the command's end was not seen: {error}"))?;
        Ok((end, is_late))
    });
    // What the library left of this session; a failure only leaves a dead socket in a folder that goes with the task.
    let _ = sweep(&paths.containers().join(task.as_str()));
    match result {
        Ok((_, true)) => std::process::exit(EXIT_TIMED_OUT),
        Ok((WaitStatus::Exited(_, code), _)) => std::process::exit(code),
        Ok((WaitStatus::Signaled(_, signal, _), _)) => std::process::exit(EXIT_SIGNAL_BASE + signal as i32),
        Ok(_) => Exit::Internal,
        Err(message) => {
            eprintln!("meseta: {message}");
            Exit::Failure
        }
    }
}

/// False if the process, a child of ours, still runs after that time, or cannot be watched.
fn ends_within(pid: Pid, ms: u64) -> bool {
    // SAFETY: the call takes no pointers; its result is checked before it is used.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let Ok(descriptor) = i32::try_from(descriptor) else { return false };
    if descriptor < 0 {
        return false;
    }
    // SAFETY: the kernel has just given us this descriptor; nothing else owns it.
    let process = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let mut watched = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX);
    poll(&mut watched, timeout).is_ok_and(|ended| ended > 0)
}

/// The process, and its group where it leads one.
fn end(pid: Pid) {
    // We are its parent and have not waited for it: the number is still its own.
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
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
