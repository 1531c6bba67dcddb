//! The last steps: nothing runs any more, the disk is let go, the machine is switched off.

use std::path::Path;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};

use super::super::machine::PowerKind;
use crate::config::Paths;

/// Long enough to read the message on a screen, short enough for a machine that nobody watches.
const FAILURE_WAIT: Duration = Duration::from_secs(10);
const UNMOUNT_TRIES: u32 = 20;
const UNMOUNT_WAIT: Duration = Duration::from_millis(100);

/// Does not return while the kernel obeys.
pub fn leave(kind: PowerKind, paths: &Paths) {
    // Whatever still lives is nobody's task: sessions, strays. Signal -1 does not reach process 1.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    sync();
    let_go(&paths.data);
    let_go(&paths.state);
    super::say(if kind == PowerKind::Reboot { "rebooting" } else { "power off" });
    let mode = if kind == PowerKind::Reboot { RebootMode::RB_AUTOBOOT } else { RebootMode::RB_POWER_OFF };
    // It returns only if it failed.
    let Err(error) = reboot(mode);
    super::say(&format!("the machine does not go down: {error}"));
}

fn let_go(at: &Path) {
    for _ in 0..UNMOUNT_TRIES {
        match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
            // Killed processes take a moment to let go.
            Err(nix::errno::Errno::EBUSY) => std::thread::sleep(UNMOUNT_WAIT),
            Ok(()) => return,
            Err(error) => {
                super::say(&format!("{}: {error}", at.display()));
                break;
            }
        }
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    if let Err(error) = mount(None::<&str>, at, None::<&str>, flags, None::<&str>) {
        super::say(&format!("{} stays writable: {error}", at.display()));
    }
    sync();
}

/// For process 1 in place of a panic's end, which would stop the machine where it stands.
pub fn fail(reason: &str) -> ! {
    super::say(&format!("init failed: {reason}"));
    super::say(&format!("rebooting in {} s", FAILURE_WAIT.as_secs()));
    sync();
    std::thread::sleep(FAILURE_WAIT);
    loop {
        let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
        super::say(&format!("the machine does not reboot: {error}"));
        std::thread::sleep(FAILURE_WAIT);
    }
}
