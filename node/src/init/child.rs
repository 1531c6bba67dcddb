//! Starts the children of init: the other roles and the one-shot helpers, all of them this same program.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::oci::control::HELPER_FD;

/// The running program itself, also after its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

/// Starts a role. It gets SIGTERM should init die: on a developer's machine nothing else would end it.
pub fn spawn_role(
    name: &str,
    arguments: &[OsString],
    socket: Option<OwnedFd>,
    stderr: OwnedFd,
) -> io::Result<i32> {
    let mut command = Command::new(PROGRAM);
    command.arg0("meseta").arg(name).args(arguments).stdin(Stdio::null()).stderr(stderr);
    pass_socket(&mut command, socket, true);
    Ok(command.spawn()?.id() as i32)
}

/// Starts `meseta oci create`; its output becomes the task's.
pub fn spawn_helper(bundle: &Path, socket: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<i32> {
    let mut command = Command::new(PROGRAM);
    command.arg0("meseta").args(["oci", "create"]).arg(bundle).env_clear();
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    // A group of its own: what it forked and had not yet put into the task's cgroup dies with it.
    command.process_group(0);
    pass_socket(&mut command, Some(socket), false);
    Ok(command.spawn()?.id() as i32)
}

/// Two ends of a packet socket, ours not blocking.
pub fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((ours, theirs))
}

/// The child finds `socket` as descriptor 3. In init itself that number is always taken, see [`reserve_descriptor`],
/// so it can be none of the pipes that the standard library uses between fork and exec.
fn pass_socket(command: &mut Command, socket: Option<OwnedFd>, ends_with_init: bool) {
    let prepare = move || {
        // Init takes its signals by descriptor and blocks them; a mask is inherited.
        SigSet::empty().thread_set_mask()?;
        if let Some(socket) = &socket {
            // SAFETY: both are system calls on descriptors of this process; dup2 clears close-on-exec of the copy.
            let copied = unsafe { libc::dup2(socket.as_raw_fd(), HELPER_FD) };
            if copied < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if ends_with_init {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec it only makes system calls, and init has no other thread that could hold a lock.
    unsafe { command.pre_exec(prepare) };
}

/// Makes sure that descriptor 3 is never free in init.
pub fn reserve_descriptor() -> io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    if null.as_raw_fd() == HELPER_FD {
        std::mem::forget(null);
    }
    Ok(())
}
