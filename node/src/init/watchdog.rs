//! The machine's watchdog: hardware that resets it unless it hears of us in time, so that neither a hung kernel nor a
//! hung init stands for ever. When to ping is the machine's matter ([`super::machine`]); only a turn of the loop does it.
//!
//! Where there is none, the kernel's own takes its place (softdog). It sees a hung init, but not a hung kernel.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::boot::ModuleLoader;
use super::machine::Millis;
use crate::watchdog::Watchdog as Setting;

/// The phase that tells of it.
pub const PHASE: &str = "watchdog";
const DEVICES: [&str; 2] = ["/dev/watchdog0", "/dev/watchdog"];
const SOFTWARE_MODULE: &str = "softdog";
/// What the kernel's own calls itself.
const SOFTWARE: &str = "Software Watchdog";
/// So many pings fit into one timeout: one that is late does no harm.
const PINGS: Millis = 4;
/// For what rightly holds the loop up: taking up a large disk, writing everything back on the way down. The first that
/// the driver takes.
const PATIENT_SECONDS: [u32; 3] = [600, 300, 120];
const PING: &[u8] = b".";
/// Closed after this, the watchdog stops; closed without, it bites.
const FAREWELL: &[u8] = b"V";

/// `struct watchdog_info`.
#[repr(C)]
struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

const OPTION_STOP: libc::c_int = 1;
/// In the boot status: the watchdog caused the last reset.
const STATUS_RESET: libc::c_int = 0x20;

nix::ioctl_read!(support, b'W', 0, Info);
nix::ioctl_read!(boot_status, b'W', 2, libc::c_int);
nix::ioctl_read!(set_options, b'W', 4, libc::c_int);
nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
nix::ioctl_read!(timeout, b'W', 7, libc::c_int);

/// By default there is none, as on a machine that is not ours.
#[derive(Debug, Default)]
pub struct Watchdog {
    /// The first of them that is there is used.
    devices: Vec<PathBuf>,
    /// It is a machine of ours, whose kernel has one of its own.
    is_ours: bool,
    /// The kernel's own is taken if there is no other.
    or_software: bool,
    wanted: Option<Setting>,
    device: Option<Device>,
}

#[derive(Debug)]
struct Device {
    path: PathBuf,
    file: File,
    identity: String,
    /// What it really has, which may not be what was wanted.
    seconds: u32,
}

impl Watchdog {
    /// That of this machine.
    pub fn of_the_machine() -> Self {
        Self { devices: DEVICES.map(PathBuf::from).into(), is_ours: true, ..Self::default() }
    }

    /// This one only.
    pub fn at(path: &Path) -> Self {
        Self { devices: vec![path.to_owned()], ..Self::default() }
    }

    /// Takes it up, changes its timeout or lets go of it: what to say of it, or why it failed. `None` if all is as wanted.
    pub fn want(&mut self, setting: Setting) -> Option<Result<String, String>> {
        if self.devices.is_empty() || self.wanted.replace(setting) == Some(setting) {
            return None;
        }
        Some(match setting {
            Setting::Off => self.let_go().map(|()| "off, as the settings say".to_owned()),
            Setting::Seconds(seconds) => self.take_up(seconds),
        })
    }

    /// From now on the kernel's own will do where there is no other. Loading it takes a tenth of a second on a slow machine,
    /// for which the console does not wait. `None` if that changes nothing.
    pub fn or_the_kernels(&mut self) -> Option<Result<String, String>> {
        let is_news = !std::mem::replace(&mut self.or_software, self.is_ours) && self.or_software;
        match self.wanted {
            Some(Setting::Seconds(seconds)) if is_news && self.device.is_none() => {
                Some(self.take_up(seconds))
            }
            _ => None,
        }
    }

    /// How often it must be pinged; `None` without a watchdog. Milliseconds.
    pub fn ping_every(&self) -> Option<Millis> {
        self.device.as_ref().map(|device| Millis::from(device.seconds) * 1000 / PINGS)
    }

    /// Says that the loop turns. After an error the watchdog is gone.
    pub fn ping(&mut self) -> Result<(), String> {
        let Some(device) = &mut self.device else { return Ok(()) };
        let Err(error) = device.file.write_all(PING) else { return Ok(()) };
        let fault = format!("{} takes no pings any more: {error}", device.path.display());
        self.device = None;
        Err(fault)
    }

    /// The loop will be held up for a while.
    pub fn be_patient(&self) {
        if let Some(device) = &self.device {
            PATIENT_SECONDS
                .into_iter()
                .take_while(|seconds| *seconds > device.seconds)
                .any(|seconds| device.set(seconds).is_ok());
        }
    }

    /// The loop turns again.
    pub fn be_strict(&self) {
        if let Some(device) = &self.device {
            // It has taken this once.
            let _ = device.set(device.seconds);
        }
    }

    /// Nobody will ping it any more, and nothing is to be reset for that. An error if its driver does not let go.
    pub fn let_go(&mut self) -> Result<(), String> {
        let Some(mut device) = self.device.take() else { return Ok(()) };
        match device.stop() {
            Ok(()) => Ok(()),
            Err(error) => {
                let fault =
                    format!("{} cannot be stopped and is still pinged: {error}", device.path.display());
                self.device = Some(device);
                Err(fault)
            }
        }
    }

    fn take_up(&mut self, seconds: u32) -> Result<String, String> {
        let mut device = match self.device.take() {
            Some(device) => device,
            None => match self.open()? {
                Some(device) => device,
                None if self.or_software => {
                    return Ok("no hardware watchdog, nor one of the kernel".to_owned());
                }
                None => return Ok("no hardware watchdog".to_owned()),
            },
        };
        let refusal = device.change(seconds);
        let note = format!("{}{refusal}", device.note());
        self.device = Some(device);
        Ok(note)
    }

    fn open(&self) -> Result<Option<Device>, String> {
        let find = || self.devices.iter().find(|path| path.exists());
        // No device asks for that module. Without it there is just no watchdog.
        let load = || ModuleLoader::open().ok()?.load(SOFTWARE_MODULE).ok();
        let found = find().or_else(|| self.or_software.then(load).and_then(|_| find()));
        let Some(path) = found else { return Ok(None) };
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(Device { path: path.clone(), identity: identity(&file), file, seconds: 0 }))
    }
}

impl Device {
    /// Asks for a timeout and keeps what the driver made of it; says so if that is something else.
    fn change(&mut self, seconds: u32) -> String {
        let refused = self.set(seconds).err();
        let mut now = 0;
        // SAFETY: the kernel writes one int, to our stack.
        let read = unsafe { timeout(self.file.as_raw_fd(), &mut now) };
        let taken = read.ok().and_then(|_| u32::try_from(now).ok()).filter(|seconds| *seconds > 0);
        self.seconds = taken.unwrap_or(seconds);
        match (refused, taken) {
            (_, Some(taken)) if taken == seconds => String::new(),
            (None, Some(_)) => format!(" (nearest to {seconds} s)"),
            (Some(error), Some(_)) => format!(" (refused {seconds} s: {error})"),
            (_, None) => " (its timeout is not known)".to_owned(),
        }
    }

    /// Counts as a ping.
    fn set(&self, seconds: u32) -> nix::Result<()> {
        let mut seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
        // SAFETY: the kernel reads and writes one int, on our stack.
        unsafe { set_timeout(self.file.as_raw_fd(), &mut seconds) }.map(drop)
    }

    fn stop(&mut self) -> io::Result<()> {
        let mut options = OPTION_STOP;
        // SAFETY: the kernel reads one int, from our stack.
        let stopped = unsafe { set_options(self.file.as_raw_fd(), &mut options) };
        // Configured never to stop: closing it would reset the machine. Any other error: what does not know this call
        // knows the word.
        if stopped == Err(nix::errno::Errno::EBUSY) {
            return Err(nix::errno::Errno::EBUSY.into());
        }
        self.file.write_all(FAREWELL)
    }

    fn note(&self) -> String {
        let mut status = 0;
        // SAFETY: the kernel writes one int, to our stack.
        let read = unsafe { boot_status(self.file.as_raw_fd(), &mut status) };
        let bit = if read.is_ok() && status & STATUS_RESET != 0 {
            "; IT RESET THE MACHINE BEFORE THIS BOOT"
        } else {
            ""
        };
        match self.identity.as_str() {
            SOFTWARE => {
                format!("no hardware watchdog; the kernel resets after {} s if init hangs{bit}", self.seconds)
            }
            identity => format!("{identity}, {} s{bit}", self.seconds),
        }
    }
}

/// As its driver calls it.
fn identity(file: &File) -> String {
    let mut info = Info { options: 0, firmware_version: 0, identity: [0; 32] };
    // SAFETY: the kernel writes one `struct watchdog_info`, to our stack.
    let read = unsafe { support(file.as_raw_fd(), &mut info) };
    let text = CStr::from_bytes_until_nul(&info.identity).map(CStr::to_string_lossy);
    match (read, text) {
        (Ok(_), Ok(text)) if !text.is_empty() => text.into_owned(),
        _ => "a watchdog without a name".to_owned(),
    }
}
