//! The node's one logger: moves the output of all tasks from their pipes into files in their sandboxes.
//!
//! One thread, epoll and splice: no byte passes through this process. A crash costs nothing, because init keeps the
//! pipes and splice takes a byte out of them only once it is in the file. [`read`] is the other side: what the agent
//! answers a reader with. A task owns its sandbox and may plant anything there; both sides only ever touch plain
//! files directly below it.

pub mod index;
mod output_file;
pub mod protocol;
mod pump;
mod read;
mod search;
mod stream;

pub use read::{files, has_ended, read, times};
pub use search::search;

use std::os::fd::{FromRawFd, OwnedFd};

use crate::Exit;
use crate::config::Paths;
use crate::oci::control::HELPER_FD;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Size in KiB at which the oldest output of one stream is given up
    #[arg(long, default_value_t = 10 * 1024, value_parser = clap::value_parser!(u64).range(64..))]
    limit_kib: u64,
}

pub fn run(args: Args) -> Exit {
    // SAFETY: F_GETFD has no memory effects; it only tells whether the descriptor is open.
    if unsafe { libc::fcntl(HELPER_FD, libc::F_GETFD) } < 0 {
        eprintln!("meseta log is started by init, which passes a socket as descriptor {HELPER_FD}");
        return Exit::BadConfig;
    }
    // SAFETY: the descriptor is open, was passed to this process for this purpose, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(HELPER_FD) };
    match pump::Pump::new(args.paths, args.limit_kib * 1024, socket).and_then(pump::Pump::run) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("meseta log: {error}");
            Exit::Failure
        }
    }
}
