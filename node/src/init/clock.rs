//! The clock of every deadline: CLOCK_BOOTTIME, which no one sets and which goes on while the machine is suspended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::machine::Millis;

/// Milliseconds since the kernel started.
pub fn now() -> Millis {
    // The call cannot fail: the clock exists since Linux 2.6.39 and the answer lies on our stack.
    let now =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    now.as_millis() as Millis
}

/// Milliseconds since 1970, for people who look for a time in a log; jumps when the clock is set.
pub fn wall_ms() -> u64 {
    let now =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default();
    now.as_millis() as u64
}

/// Wakes the event loop at one point of boot time.
pub struct Alarm {
    timer: TimerFd,
    set_to: Option<Millis>,
}

impl Alarm {
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Self { timer, set_to: None })
    }

    pub fn set(&mut self, at: Option<Millis>) -> io::Result<()> {
        if self.set_to == at {
            return Ok(());
        }
        match at {
            // Zero would disarm the timer.
            Some(at) => self.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(Duration::from_millis(at.max(1)))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            )?,
            None => self.timer.unset()?,
        }
        self.set_to = at;
        Ok(())
    }

    /// Takes the expiry, so that it is not reported again.
    pub fn take(&mut self) -> io::Result<()> {
        self.set_to = None;
        match self.timer.wait() {
            Ok(()) | Err(nix::errno::Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
