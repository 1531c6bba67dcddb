//! Containers: what the agent writes for one ([`bundle`]) and the one-shot role that makes it run.
//!
//! `meseta oci` is started by init, single-threaded, because libcontainer may not be called in a threaded process. It
//! creates and starts one container and exits; the task is then a child of init and no process of ours stays with it.

pub mod bundle;
mod caps;
pub mod control;
mod create;
mod devices;
mod error;
mod exec;
mod executor;
pub mod meta;
mod overlay;
mod seccomp;
mod spec;
mod user;
mod workdir;

use std::path::PathBuf;

pub use error::OciError;
pub use exec::EXIT_TIMED_OUT;

use crate::Exit;
use crate::config::Paths;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Creates and starts the container of a bundle; only init calls it, with its control socket as descriptor 3
    Create { bundle: PathBuf },
    /// Runs a command inside a running container, waits for it, and ends with its exit code
    Exec {
        #[command(flatten)]
        paths: Paths,
        /// Ends the command, and with it this one with code 124, if it takes longer
        #[arg(long, value_name = "MS")]
        timeout_ms: Option<u64>,
        #[arg(value_parser = model::TaskId::parse)]
        task: model::TaskId,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Writes the bundle of the launch that is described as JSON on standard input, and prints its path
    Bundle {
        #[command(flatten)]
        paths: Paths,
    },
}

pub fn run(args: Args) -> Exit {
    match args.verb {
        Verb::Create { bundle } => create::run(&bundle),
        Verb::Exec { paths, timeout_ms, task, command } => exec::run(&paths, &task, command, timeout_ms),
        Verb::Bundle { paths } => bundle::run(&paths),
    }
}
