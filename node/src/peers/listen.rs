//! Port 7300: members ask their questions, strangers ask to be let in.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use cluster::Cluster;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::credentials::{Credentials, Held};
use super::tls::{Caller, caller};
use super::{MESSAGE_BYTES_MAX, join, relay};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A whole connection of somebody without a certificate; an election may keep it waiting.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that answers no ping for this long is closed.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// For answers that are under way when an authority is trusted no more.
const FAREWELL: Duration = Duration::from_secs(5);
/// Four lanes of a thousand members, and strangers.
const CONNECTIONS_MAX: usize = 4_096;
/// Wait after a port that is not to be had, or an accept that failed for want of files.
const RETRY: Duration = Duration::from_secs(5);
const WINDOW: u32 = 4 * 1024 * 1024;

/// Listens from the moment this node belongs to a cluster.
pub async fn run(address: SocketAddr, inner: Inner, held: Held, shutdown: CancellationToken) {
    tokio::select! {
        () = serve(address, inner, held) => {}
        () = shutdown.cancelled() => {}
    }
}

/// What answers behind the port.
#[derive(Clone)]
pub struct Inner {
    pub cluster: Cluster,
    /// This node's front doors, for what other members hand on.
    pub doors: Router,
}

async fn serve(address: SocketAddr, inner: Inner, mut held: Held) {
    if held.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => tracing::error!(%address, %error, "other nodes cannot reach this one"),
        }
        tokio::time::sleep(RETRY).await;
    };
    tracing::info!(%address, "listening for other nodes");
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(credentials) = held.borrow().clone() else { continue };
                let door = Door { credentials, held: held.clone() };
                tokio::spawn(connection(stream, from.ip(), door, inner.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of another node was not accepted");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// What a connection is accepted by, and what would be needed now.
struct Door {
    credentials: Arc<Credentials>,
    held: Held,
}

impl Door {
    /// Comes back once an authority is trusted no more that was when the connection was accepted.
    async fn closes(mut self) {
        let trusted = &self.credentials.trusted;
        let is_over =
            |now: &Option<Arc<Credentials>>| now.as_ref().is_some_and(|now| !trusted.is_subset(&now.trusted));
        if self.held.wait_for(is_over).await.is_err() {
            // Nobody keeps credentials any more: this node is about to stop.
            std::future::pending::<()>().await;
        }
    }
}

async fn connection(stream: TcpStream, from: IpAddr, door: Door, inner: Inner, _room: OwnedSemaphorePermit) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%from, %error, "answers will be late");
    }
    let acceptor = TlsAcceptor::from(door.credentials.server.clone());
    let stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%from, %error, "a connection of another node was refused"),
        Err(_) => return tracing::info!(%from, "a handshake took too long"),
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(caller);
    let is_member = peer.is_some();
    let service = service_fn(move |request| {
        let (peer, inner) = (peer.clone(), inner.clone());
        async move { Ok::<_, Infallible>(respond(peer, from, &inner, request).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_TIMEOUT)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    // To ask to be let in takes a moment; nobody else may hold a place for long.
    let limit = if is_member { Duration::MAX } else { STRANGER_TIMEOUT };
    let served = tokio::select! {
        served = timeout(limit, served.as_mut()) => served,
        () = door.closes() => {
            served.as_mut().graceful_shutdown();
            timeout(FAREWELL, served).await
        }
    };
    let served = served.unwrap_or(Ok(()));
    if let Err(error) = served {
        tracing::debug!(%from, %error, "a connection of another node ended");
    }
}

async fn respond(
    peer: Option<Caller>,
    from: IpAddr,
    inner: &Inner,
    request: Request<Incoming>,
) -> Response<Body> {
    let cluster = &inner.cluster;
    let refuses = |peer: &Caller| cluster.state().refuses_key(peer.node, &peer.fingerprint, peer.since);
    if let Some(reason) = peer.as_ref().and_then(refuses) {
        return (StatusCode::FORBIDDEN, reason).into_response();
    }
    let (status, body) = match (request.method(), request.uri().path(), peer) {
        (_, _, Some(_)) if request.headers().contains_key(relay::VIA) => {
            return relay::answer(&inner.doors, request.map(Body::new)).await;
        }
        (&Method::POST, "/join", _) => match read(request, join::ASK_BYTES_MAX).await {
            Ok(question) => join::answer(cluster, from, &question).await,
            Err(refused) => refused,
        },
        (&Method::POST, "/ask", Some(peer)) => match read(request, MESSAGE_BYTES_MAX).await {
            Ok(question) => (StatusCode::OK, cluster.answer(peer.node, &question).await),
            Err(refused) => refused,
        },
        (_, _, None) => {
            (StatusCode::UNAUTHORIZED, Bytes::from_static(b"a certificate of this cluster is needed"))
        }
        (_, _, Some(_)) => (StatusCode::NOT_FOUND, Bytes::from_static(b"there is no such question")),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

async fn read(request: Request<Incoming>, limit: usize) -> Result<Bytes, (StatusCode, Bytes)> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err((StatusCode::PAYLOAD_TOO_LARGE, error.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rcgen::KeyPair;
    use tokio::sync::watch;

    use super::*;
    use crate::peers::{authority, tls};

    fn credentials(trusted: &[&str]) -> Arc<Credentials> {
        let (authority, key) = (authority::create().unwrap(), KeyPair::generate().unwrap());
        let own = authority::issue(&authority, model::NodeId(1), &key, model::Timestamp(1)).unwrap();
        let chain = [own, authority.certificate].map(|pem| authority::certificate(&pem).unwrap());
        let (client, server) = tls::configs(chain, None, &key).unwrap();
        let trusted = trusted.iter().map(|pem| (*pem).to_owned()).collect();
        let (client, server) = (Arc::new(client), Arc::new(server));
        Arc::new(Credentials { client, server, trusted, known: Default::default() })
    }

    #[tokio::test]
    async fn a_connection_ends_once_an_authority_counts_no_more_that_may_have_vouched_for_it() {
        let first = credentials(&["a"]);
        let (sender, held) = watch::channel(Some(first.clone()));
        let mut before = Box::pin(Door { credentials: first, held: held.clone() }.closes());
        let amid = credentials(&["a", "b"]);
        sender.send_replace(Some(amid.clone()));
        let mut meanwhile = Box::pin(Door { credentials: amid, held: held.clone() }.closes());
        assert!(before.as_mut().now_or_never().is_none(), "one more changes nothing");
        let last = credentials(&["b"]);
        sender.send_replace(Some(last.clone()));
        before.await;
        meanwhile.as_mut().await;
        let after = Door { credentials: last, held }.closes();
        assert!(after.now_or_never().is_none());
    }
}
