//! The task's root file system: an overlay over read-only layers, mounted in the helper's own mount namespace only.
//!
//! The new mount API takes one layer a call, so neither their number (up to 500) nor the length of their paths meets
//! the one-page limit of mount(2), which cuts silently. Kernels before 6.5 lack it and get mount(2), checked.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::meta::Overlay;

const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
/// mount(2) cuts its options at a page.
const OPTIONS_BYTES_MAX: usize = 4095;

/// Mounts `overlay` at `target`, which must be a directory. Upper and work are made if they are missing.
pub fn mount_root(overlay: &Overlay, target: &Path) -> io::Result<()> {
    std::fs::create_dir_all(&overlay.upper)?;
    std::fs::create_dir_all(&overlay.work)?;
    match mount_by_layer(overlay, target) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            mount_by_options(overlay, target)
        }
        result => result,
    }
}

fn mount_by_layer(overlay: &Overlay, target: &Path) -> io::Result<()> {
    // SAFETY: the name is a NUL-terminated constant; the call touches no other memory.
    let context = unsafe { owned(libc::syscall(libc::SYS_fsopen, c"overlay".as_ptr(), FSOPEN_CLOEXEC))? };
    for lower in &overlay.lowers {
        set_string(&context, c"lowerdir+", lower)?;
    }
    set_string(&context, c"upperdir", &overlay.upper)?;
    set_string(&context, c"workdir", &overlay.work)?;
    configure(&context, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: takes descriptors and flags only.
    let tree = unsafe { owned(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0))? };
    let target = c_path(target)?;
    // SAFETY: both paths are NUL-terminated and live across the call.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn mount_by_options(overlay: &Overlay, target: &Path) -> io::Result<()> {
    let mut options = b"lowerdir=".to_vec();
    options.extend(
        overlay.lowers.iter().map(|path| path.as_os_str().as_bytes()).collect::<Vec<_>>().join(&b':'),
    );
    for (name, path) in [(",upperdir=", &overlay.upper), (",workdir=", &overlay.work)] {
        options.extend(name.as_bytes());
        options.extend(path.as_os_str().as_bytes());
    }
    if options.len() > OPTIONS_BYTES_MAX {
        return Err(io::Error::other("too many layers for this kernel (it lacks per-layer mounts)"));
    }
    let flags = MsFlags::empty();
    Ok(mount(Some("overlay"), target, Some("overlay"), flags, Some(options.as_slice()))?)
}

fn set_string(context: &OwnedFd, key: &CStr, path: &Path) -> io::Result<()> {
    configure(context, FSCONFIG_SET_STRING, Some(key), Some(&c_path(path)?))
}

fn configure(
    context: &OwnedFd,
    command: libc::c_uint,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are NUL-terminated or null, as the command asks for, and live across the call.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, pointer(key), pointer(value), 0)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::other("a path holds a NUL byte"))
}

/// # Safety
/// `result` must be what a system call returned that makes a new descriptor.
unsafe fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the caller promises that the descriptor is new, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
