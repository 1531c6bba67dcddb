//! One listener's loop and one connection's life: handshake, requests, drain.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// From the first byte a client could send to a complete request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way at shutdown get this long.
pub const DRAIN_MS: u64 = 2_000;
/// After an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

#[derive(Clone)]
pub struct Context {
    pub router: Router,
    /// `None` on the plain port.
    pub tls: Option<TlsAcceptor>,
    pub slots: Arc<Semaphore>,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// Accepts until shutdown; each connection is a task of `context.tasks`.
pub async fn accept(listener: TcpListener, context: Context) {
    loop {
        // A slot is taken before the connection, so that what cannot be served waits in the kernel. All arms are
        // cancel-safe: a slot or connection that was not returned was not taken.
        let slot = tokio::select! {
            () = context.shutdown.cancelled() => return,
            slot = context.slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! {
            () = context.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let one = context.clone();
                context.tasks.spawn(async move {
                    converse(stream, peer, one).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, context: Context) {
    // Small answers must not wait for the client's delayed acknowledgement; failing to set it costs only time.
    let _ = stream.set_nodelay(true);
    let Some(tls) = context.tls.clone() else {
        return serve(stream, peer, context, false).await;
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, peer, context, h2).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

/// The protocol is known from ALPN, never guessed from the first bytes: a silent client meets a timeout either way.
async fn serve<S>(stream: S, peer: SocketAddr, context: Context, h2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let via_tls = console::ViaTls(context.tls.is_some());
    let service = context.router.map_request(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(via_tls);
        request
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Scripts look for `Location:` in what curl prints, and Marathon writes it so.
    builder.http1().title_case_headers(true).timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD_TIMEOUT));
    builder.http2().max_concurrent_streams(STREAMS_MAX);
    let builder = if h2 { builder.http2_only() } else { builder.http1_only() };
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::trace!(%peer, %error, "connection ended");
            }
            return;
        }
        () = context.shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // Event streams and followed logs never end by themselves: the deadline ends them.
    let _ = tokio::time::timeout(Duration::from_millis(DRAIN_MS), connection).await;
}
