//! The role `balancer`: waits for a first configuration and becomes HAProxy.
//!
//! One thread and no runtime. From then on init's child is HAProxy's master, which loads new configurations when the
//! agent asks it to; should it end, init starts this role anew with the configuration that was good last.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::files::Files;
use crate::Exit;
use crate::config::Paths;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
}

/// Whether this machine can run the role at all.
pub fn is_possible(paths: &Paths) -> bool {
    paths.haproxy.exists()
}

pub fn run(args: Args) -> Exit {
    let files = Files::new(&args.paths);
    let error = match wait_for_configuration(&files) {
        // Comes back only if the program could not be started.
        Ok(()) => Command::new(files.program()).args(arguments(&files)).exec(),
        Err(error) => error,
    };
    eprintln!("meseta balancer: {}: {error}", files.program().display());
    Exit::TryAgain
}

fn arguments(files: &Files) -> Vec<OsString> {
    let mut control = files.control().into_os_string();
    control.push(",mode,600");
    vec!["-W".into(), "-S".into(), control, "-f".into(), files.configuration().into_os_string()]
}

/// Watches first and looks then, so that it misses nothing.
fn wait_for_configuration(files: &Files) -> io::Result<()> {
    files.make_folder()?;
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(files.folder(), AddWatchFlags::IN_MOVED_TO)?;
    while !files.configuration().exists() {
        inotify.read_events()?;
    }
    Ok(())
}
