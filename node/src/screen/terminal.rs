//! One console device: keys come in, frames go out. A terminal that does not take what is written to it holds up
//! nobody: the frames it missed are skipped, the newest follows.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::termios::{InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::keys::{Decoder, Key};

/// After an Escape, what belongs to it follows within this.
const ESCAPE_WAIT: Duration = Duration::from_millis(80);
const SIZE_DEFAULT: (usize, usize) = (80, 25);
/// Where there is no such list, the kernel has no console.
const ACTIVE: &str = "/sys/class/tty/console/active";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Drawn in place.
    Video,
    /// Printed anew when something changed: who reads it may have come later, or be a file.
    Serial,
}

pub struct Terminal {
    pub kind: Kind,
    device: Arc<AsyncFd<OwnedFd>>,
    frames: watch::Sender<Vec<u8>>,
}

/// The consoles that the kernel writes to.
pub fn active() -> Vec<String> {
    fs::read_to_string(ACTIVE).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

impl Terminal {
    /// Opens `/dev/NAME`; its keys go to `keys` with `number`.
    pub fn open(name: &str, number: usize, keys: mpsc::Sender<(usize, Key)>) -> io::Result<Terminal> {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(format!("/dev/{name}"))?;
        let is_video = name.strip_prefix("tty").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let fd = OwnedFd::from(file);
        take_keys(&fd)?;
        // SAFETY: the descriptor is owned by the value that is registered, and never replaced.
        let device = Arc::new(unsafe { AsyncFd::register(fd)? });
        let (frames, pending) = watch::channel(Vec::new());
        tokio::spawn(read(device.clone(), number, keys));
        tokio::spawn(write(device.clone(), pending));
        Ok(Terminal { kind: if is_video { Kind::Video } else { Kind::Serial }, device, frames })
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the descriptor is open and the kernel writes one winsize.
        let got = unsafe { libc::ioctl(self.device.get_ref().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
        match (got, usize::from(size.ws_col), usize::from(size.ws_row)) {
            (0, columns, rows) if columns > 0 && rows > 0 => (columns, rows),
            _ => SIZE_DEFAULT,
        }
    }

    pub fn show(&self, frame: Vec<u8>) {
        self.frames.send_replace(frame);
    }
}

/// Keys at once and unseen. What others print on the same line keeps its line ends, so output stays as it is.
fn take_keys(fd: &OwnedFd) -> io::Result<()> {
    let mut settings = tcgetattr(fd)?;
    settings.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN);
    settings.input_flags &= !(InputFlags::ICRNL | InputFlags::IXON);
    tcsetattr(fd, SetArg::TCSANOW, &settings)?;
    Ok(())
}

/// Until nobody wants keys any more, or the device is gone.
async fn read(device: Arc<AsyncFd<OwnedFd>>, number: usize, keys: mpsc::Sender<(usize, Key)>) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 256];
    loop {
        let received = async {
            loop {
                let mut guard = device.readable().await?;
                let read = guard.try_io(|fd| Ok(nix::unistd::read(fd.get_ref(), &mut buffer)?));
                if let Ok(length) = read {
                    return length;
                }
            }
        };
        let decoded = if decoder.is_waiting() {
            match tokio::time::timeout(ESCAPE_WAIT, received).await {
                Ok(length) => length.map(Some),
                Err(_) => Ok(None),
            }
        } else {
            received.await.map(Some)
        };
        let pressed = match decoded {
            Ok(Some(0)) | Err(_) => return,
            Ok(Some(length)) => decoder.feed(&buffer[..length]),
            Ok(None) => decoder.flush().into_iter().collect(),
        };
        for key in pressed {
            if keys.send((number, key)).await.is_err() {
                return;
            }
        }
    }
}

async fn write(device: Arc<AsyncFd<OwnedFd>>, mut frames: watch::Receiver<Vec<u8>>) {
    while frames.changed().await.is_ok() {
        let frame = frames.borrow_and_update().clone();
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let Ok(mut guard) = device.writable().await else { return };
            match guard.try_io(|fd| Ok(nix::unistd::write(fd.get_ref(), rest)?)) {
                Ok(Ok(length)) => rest = &rest[length..],
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a console does not take what is written");
                    return;
                }
                Err(_would_block) => {}
            }
        }
    }
}
