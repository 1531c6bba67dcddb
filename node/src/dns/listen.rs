//! Opens the port, as often as it takes: a node whose port 53 is somebody else's goes on without, and says so.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::socket::Socket;
use super::{Listening, Server, task_file, tcp, udp};
use crate::api::listen::holder;

/// No event tells that a port was given up.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);
const THREADS_MAX: usize = 4;

pub(super) async fn run(
    server: Arc<Server>,
    address: SocketAddr,
    marker: PathBuf,
    told: watch::Sender<Listening>,
    shutdown: CancellationToken,
) {
    // Left by an agent that was killed.
    let _ = std::fs::remove_file(&marker);
    let mut pause = RETRY_MIN;
    loop {
        match open(&server, address).await {
            Ok((listener, address)) => {
                tracing::info!(%address, "DNS is open");
                if let Err(error) = mark(&marker, address) {
                    tracing::warn!(%error, "tasks are not told of the node's DNS server");
                }
                told.send_replace(Listening { address: Some(address), fault: String::new() });
                tcp::serve(server, listener, shutdown).await;
                return;
            }
            Err(error) => {
                let fault = fault(address.port(), &error);
                if told.borrow().fault != fault {
                    tracing::warn!(fault, "DNS is not answered");
                    told.send_replace(Listening { address: None, fault });
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
            () = shutdown.cancelled() => return,
        }
    }
}

/// TCP first, which belongs to one process at a time: the sockets of UDP would share their port with any other that
/// is as generous.
async fn open(server: &Arc<Server>, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = match TcpListener::bind(address).await {
        Err(error) if address.ip().is_unspecified() && has_no_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await?
        }
        bound => bound?,
    };
    let address = listener.local_addr()?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_MAX));
    let sockets = (0..threads).map(|_| Socket::bind(address)).collect::<io::Result<Vec<_>>>()?;
    udp::spawn(server, sockets)?;
    Ok((listener, address))
}

fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn mark(marker: &std::path::Path, listening: SocketAddr) -> io::Result<()> {
    match task_file::address_for_tasks(listening) {
        Some(address) => crate::net::names::replace_file(marker, &format!("{address}\n")),
        None => Ok(()),
    }
}

fn fault(port: u16, error: &io::Error) -> String {
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    let holder = in_use.then(|| holder::of_port(port)).flatten();
    match holder {
        Some(holder) => format!("DNS is not answered: port {port} is held by {holder}"),
        None => format!("DNS is not answered: port {port} cannot be opened: {error}"),
    }
}
