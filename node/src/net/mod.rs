//! The role that brings a node on the network: links up, addresses as the settings, DHCP or nobody says, host name,
//! names for neighbours, resolv.conf, the clock. Runs on the image only, as a child of init; never part of the way of
//! a request.
//!
//! [`settings`] says what is wanted and by whom, [`sources`] finds it, [`links`] does it, [`control`] takes changes.

mod clock;
mod config;
pub mod control;
mod dhcp;
mod guestinfo;
pub mod host_status;
mod links;
mod mdns;
pub mod names;
mod netlink;
mod ntp;
mod report;
mod seed;
pub mod settings;
mod sources;

use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use console::ClockStatus;
use nix::sys::socket::{MsgFlags, recv};
use tokio::sync::{mpsc, watch};

use crate::Exit;
use crate::config::Paths;
use control::View;
use seed::Seed;
use sources::Sources;

const ORDERS_MAX: usize = 16;
const EVENT_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Only this interface, of a machine that is not ours: its clock, host name, disks and kernel line are left alone
    #[arg(long, value_name = "INTERFACE")]
    only: Option<String>,
}

pub fn run(args: Args) -> Exit {
    // The agent's subscriber does more; here lines go to init's console.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return Exit::TryAgain;
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!(%error, "the network role ends");
            Exit::TryAgain
        }
    }
}

async fn serve(args: Args) -> io::Result<()> {
    let run = &args.paths.run;
    let is_ours = args.only.is_none();
    let sources = if is_ours {
        let words = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        Sources::all(&args.paths.state, &words)
    } else {
        Sources::saved_only(&args.paths.state)
    };
    let (seed_sender, seeds) = mpsc::channel(1);
    if is_ours && !sources.has_seed() {
        tokio::spawn(await_seed(run.join("seed"), seed_sender));
    }
    let (view, viewed) = watch::channel(View::default());
    let (order_sender, orders) = mpsc::channel(ORDERS_MAX);
    control::listen(&args.paths.net_socket(), viewed, order_sender)?;
    let (time_servers, servers) = watch::channel(Vec::new());
    let (status, time) = watch::channel(ClockStatus::default());
    let resolv_conf = run.join("resolv.conf");
    let keeper = ntp::keeper::Keeper { servers, status, resolv_conf: resolv_conf.clone(), may_set: is_ours };
    tokio::spawn(keeper.run());
    let links = links::Links {
        sources,
        resolv_conf,
        status: args.paths.host_status(),
        join_token: args.paths.join_token(),
        clock: clock::SavedClock::new(&args.paths.state),
        report: report::Report::new(args.paths.init_socket()),
        only_card: args.only,
        view,
        orders,
        seeds,
        time_servers,
        time,
    };
    links.run().await
}

/// Looks for a seed disk now and whenever a block device appears, until there is one.
async fn await_seed(mount_point: PathBuf, found: mpsc::Sender<Seed>) {
    let events = match seed::events() {
        Ok(events) => events,
        Err(error) => {
            tracing::warn!(%error, "a seed disk that comes later is not seen");
            return;
        }
    };
    loop {
        let at = mount_point.clone();
        // Reading a disk blocks.
        if let Ok(Some(seed)) = tokio::task::spawn_blocking(move || seed::find(&at)).await {
            tracing::info!(place = seed.place, "settings");
            let _ = found.send(seed).await;
            return;
        }
        let mut buffer = [0; EVENT_BYTES_MAX];
        let mut comes = false;
        while !comes {
            let Ok(mut guard) = events.readable().await else { return };
            let heard = guard.try_io(|fd| Ok(recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?));
            comes = match heard {
                Ok(Ok(length)) => seed::may_bring_seed(&buffer[..length]),
                // Some were lost.
                Ok(Err(_)) => true,
                Err(_would_block) => false,
            };
        }
    }
}
