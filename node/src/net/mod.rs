//! The role that brings a node on the network: links up, addresses by DHCP, the kernel line or link-local, host name,
//! resolv.conf, the saved clock. Runs on the image only, as a child of init; never part of the way of a request.

mod clock;
mod config;
mod dhcp;
mod kernel_line;
mod links;
pub mod names;
mod netlink;
mod report;

use crate::Exit;
use crate::config::Paths;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
}

pub fn run(args: Args) -> Exit {
    // The agent's subscriber does more; here lines go to init's console.
    let _ =
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).try_init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return Exit::TryAgain;
        }
    };
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let links = links::Links {
        orders: kernel_line::Orders::parse(&line),
        resolv_conf: args.paths.run.join("resolv.conf"),
        clock: clock::SavedClock::new(&args.paths.state),
        report: report::Report::new(args.paths.init_socket()),
    };
    match runtime.block_on(links.run()) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!(%error, "the network role ends");
            Exit::TryAgain
        }
    }
}
