//! Takes connections on the plain and the TLS port and serves the one router on both.
//!
//! Called once by the agent. Binding comes first and apart, so that a port in use is an error of the start, told
//! with its holder, and not of a task in the background.

mod connection;
pub mod holder;
mod redirect;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections of both ports at once; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 2_048;

/// Connections of each further port.
const FURTHER_CONNECTIONS_MAX: usize = 128;

/// What to listen on.
#[derive(Debug, Clone)]
pub struct Ports {
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// The port that browsers reach `https` at, where forwarding changes it.
    pub https_public: u16,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("port {port} cannot be opened{holder}")]
    Bind {
        port: u16,
        /// Empty, or `: it is held by process 12 (nginx)`.
        holder: String,
        source: std::io::Error,
    },
    #[error("the TLS certificate in {folder} cannot be {verb}: {reason}")]
    Certificate { folder: String, verb: &'static str, reason: String },
}

/// Both ports, bound, and what is needed to answer on them.
pub struct Listeners {
    http: TcpListener,
    https: TcpListener,
    tls: TlsAcceptor,
    https_public: u16,
}

impl Listeners {
    /// Binds both ports and reads the certificate below `folder`, or makes one for `addresses` at the first start.
    pub async fn bind(ports: &Ports, folder: &Path, addresses: &[IpAddr]) -> Result<Self, ListenError> {
        let tls = tls::acceptor(folder, addresses)?;
        let (http, https) = (bind(ports.http).await?, bind(ports.https).await?);
        Ok(Self { http, https, tls, https_public: ports.https_public })
    }

    /// The addresses really bound, plain first; for callers that asked for port 0.
    pub fn local_addrs(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.http.local_addr()?, self.https.local_addr()?))
    }

    /// Serves until `shutdown`, then lets requests under way end, at most [`connection::DRAIN_MS`].
    pub async fn serve(self, router: Router, shutdown: CancellationToken) {
        if let Ok((http, https)) = self.local_addrs() {
            tracing::info!(%http, %https, "console and API are open");
        }
        let plain = redirect::browsers_to_tls(router.clone(), self.https_public);
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tasks = TaskTracker::new();
        let context = |router, tls| connection::Context {
            router,
            tls,
            slots: slots.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        let http = connection::accept(self.http, context(plain, None));
        let https = connection::accept(self.https, context(router, Some(self.tls)));
        tokio::join!(http, https);
        tasks.close();
        tasks.wait().await;
    }
}

/// [`serve_plain`] at an address. A port that is taken is told and left: the node has other doors.
pub async fn serve_at(address: SocketAddr, router: Router, shutdown: CancellationToken) {
    match bind(address).await {
        Ok(listener) => serve_plain(listener, router, shutdown).await,
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "a further port stays closed");
        }
    }
}

/// Serves one further port without TLS until `shutdown`.
pub async fn serve_plain(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(FURTHER_CONNECTIONS_MAX));
    let context = connection::Context { router, tls: None, slots, tasks: tasks.clone(), shutdown };
    connection::accept(listener, context).await;
    tasks.close();
    tasks.wait().await;
}

/// Binds `[::]` for both families where the kernel has IPv6, else the same port on IPv4 alone.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if address.ip().is_unspecified() && has_no_ipv6(&error) => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()))).await
        }
        bound => bound,
    };
    bound.map_err(|source| {
        let in_use = source.kind() == std::io::ErrorKind::AddrInUse;
        let holder = in_use.then(|| holder::of_port(address.port())).flatten();
        let holder = holder.map_or_else(String::new, |holder| format!(": it is held by {holder}"));
        ListenError::Bind { port: address.port(), holder, source }
    })
}

fn has_no_ipv6(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests;
