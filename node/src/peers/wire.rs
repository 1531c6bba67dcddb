//! Questions to other members over HTTP/2 and mutual TLS: one connection a member and lane, opened when it is needed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use cluster::{Lane, Target, Wire, WireError};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::{NodeId, Timestamp};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::credentials::Held;
use super::tls::caller;
use super::{MESSAGE_BYTES_MAX, name};

/// To connect and shake hands, by one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that answers no ping for this long is closed: a cut link says nothing by itself.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// So that a batch of entries is not held up by the window of a slow reader's default.
const WINDOW: u32 = 4 * 1024 * 1024;

/// The way to the others. Questions fail as unreachable while this node belongs to no cluster.
#[derive(Clone)]
pub struct TlsWire {
    held: Held,
    ways: Arc<Mutex<Ways>>,
}

#[derive(Default)]
struct Ways {
    /// What this node shows on those that are open.
    shown: Option<Arc<ClientConfig>>,
    open: BTreeMap<Way, Connection>,
    /// Handshakes under way.
    connecting: BTreeMap<Way, watch::Receiver<Made>>,
}

/// What came of a handshake, once it is over.
type Made = Option<Result<Connection, WireError>>;

/// To whom, and by which of its connections; without a lane, by that of the requests handed on.
type Way = (NodeId, Option<Lane>);

pub type Connection = SendRequest<Body>;

impl TlsWire {
    pub fn new(held: Held) -> Self {
        Self { held, ways: Arc::default() }
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None that shows a key which this node has given up: it is dead, or soon will be.
    fn kept(&self, way: Way) -> Option<Connection> {
        let shown = self.held.borrow().as_ref().map(|held| held.client.clone());
        let mut ways = self.ways();
        let is_same = match (&ways.shown, &shown) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !is_same {
            *ways = Ways { shown, ..Ways::default() };
        }
        ways.open.get(&way).filter(|connection| !connection.is_closed()).cloned()
    }

    fn forget(&self, way: Way) {
        self.ways().open.remove(&way);
    }

    /// Makes the connection of a lane, if there is none; true if there is one then.
    pub async fn prepare(&self, to: &Target, lane: Lane) -> bool {
        self.connected(to, Some(lane)).await.is_ok()
    }

    /// A connection for requests handed on to `to`.
    pub async fn relay(&self, to: &Target) -> Result<Connection, WireError> {
        let mut connection = self.connected(to, None).await?;
        match connection.ready().await {
            Ok(()) => Ok(connection),
            Err(error) => {
                self.forget((to.node, None));
                Err(WireError::Unreachable(error.to_string()))
            }
        }
    }

    /// The connection of this way, made if there is none. Whoever asks may give up before it is made: a heartbeat waits
    /// for a few milliseconds, and on a slow machine a handshake takes longer. So it goes on by itself, and the next
    /// question finds it.
    async fn connected(&self, to: &Target, lane: Option<Lane>) -> Result<Connection, WireError> {
        let way = (to.node, lane);
        if let Some(connection) = self.kept(way) {
            return Ok(connection);
        }
        let (mut made, begin) = self.attempt(way);
        if let Some(tell) = begin {
            let (wire, to) = (self.clone(), to.clone());
            tokio::spawn(async move {
                let (shown, made) = wire.connect(&to).await;
                let mut ways = wire.ways();
                let is_same =
                    matches!((&ways.shown, &shown), (Some(now), Some(then)) if Arc::ptr_eq(now, then));
                if is_same {
                    ways.connecting.remove(&way);
                }
                if let (true, Ok(connection)) = (is_same, &made) {
                    ways.open.insert(way, connection.clone());
                }
                tell.send_replace(Some(made));
            });
        }
        let made = made.wait_for(Option::is_some).await.ok().and_then(|made| made.clone());
        made.unwrap_or_else(|| Err(WireError::Unreachable("the attempt was given up".to_owned())))
    }

    /// The handshake under way, or a new one, which the caller has to begin.
    fn attempt(&self, way: Way) -> (watch::Receiver<Made>, Option<watch::Sender<Made>>) {
        match self.ways().connecting.entry(way) {
            Entry::Occupied(under_way) => (under_way.get().clone(), None),
            Entry::Vacant(free) => {
                let (tell, made) = watch::channel(None);
                free.insert(made.clone());
                (made, Some(tell))
            }
        }
    }

    /// By the first of its addresses that answers; and what was shown there.
    async fn connect(&self, to: &Target) -> (Option<Arc<ClientConfig>>, Result<Connection, WireError>) {
        let Some(credentials) = self.held.borrow().clone() else {
            let reason = "this node belongs to no cluster yet".to_owned();
            return (None, Err(WireError::Unreachable(reason)));
        };
        let known = credentials.known.get(&to.node).copied().unwrap_or_default();
        let mut failed = "none of its addresses is known".to_owned();
        for address in &to.addresses {
            match connect(*address, &name(to.node), credentials.client.clone(), known).await {
                Ok(connection) => return (Some(credentials.client.clone()), Ok(connection)),
                Err(reason) => failed = format!("{address}: {reason}"),
            }
        }
        (Some(credentials.client.clone()), Err(WireError::Unreachable(failed)))
    }
}

#[async_trait]
impl Wire for TlsWire {
    async fn ask(&self, to: &Target, lane: Lane, question: Bytes) -> Result<Bytes, WireError> {
        let mut connection = self.connected(to, Some(lane)).await?;
        if let Err(error) = connection.ready().await {
            self.forget((to.node, Some(lane)));
            return Err(WireError::Unreachable(error.to_string()));
        }
        match post(&mut connection, "/ask", question).await {
            Ok((StatusCode::OK, answer)) => Ok(answer),
            Ok((status, body)) => {
                Err(WireError::Unreachable(format!("{status}: {}", String::from_utf8_lossy(&body))))
            }
            Err(error) => {
                self.forget((to.node, Some(lane)));
                Err(WireError::Broken(error))
            }
        }
    }
}

/// A connection to whoever answers to `server` at `address`, with a key that is not older than `known`.
pub async fn connect(
    address: SocketAddr,
    server: &str,
    config: Arc<ClientConfig>,
    known: Timestamp,
) -> Result<Connection, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let server = ServerName::try_from(server.to_owned()).map_err(|error| text(&error))?;
    let shake = async {
        let stream = TcpStream::connect(address).await.map_err(|error| text(&error))?;
        stream.set_nodelay(true).map_err(|error| text(&error))?;
        let stream =
            TlsConnector::from(config).connect(server, stream).await.map_err(|error| text(&error))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(caller);
        if shown.is_none_or(|shown| shown.since < known) {
            return Err("it shows a key that was replaced by a newer one".to_owned());
        }
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_TIMEOUT)
            .keep_alive_timeout(PING_TIMEOUT)
            // One that is kept ready must not turn out to be dead when it is needed.
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| text(&error))
    };
    let (connection, driver) = timeout(CONNECT_TIMEOUT, shake)
        .await
        .map_err(|_| format!("no answer within {CONNECT_TIMEOUT:?}"))??;
    // It ends with the last handle, or with the connection, whose end the next question meets.
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%address, %error, "connection to a member ended");
        }
    });
    Ok(connection)
}

/// Status and body of the answer.
pub async fn post(
    connection: &mut Connection,
    path: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), String> {
    let request = Request::post(format!("https://meseta{path}")).body(Body::from(body));
    let request = request.map_err(|error| error.to_string())?;
    let answer = connection.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MESSAGE_BYTES_MAX).collect().await;
    Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use model::membership::Authority;
    use rcgen::KeyPair;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::peers::authority;
    use crate::peers::credentials::Credentials;
    use crate::peers::tls;

    fn credentials(authority: &Authority, node: u64) -> Credentials {
        credentials_since(authority, node, 0, BTreeMap::new())
    }

    /// Certified by the first, trusting the second as well.
    fn credentials_amid(authority: &Authority, also: &Authority, node: u64) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let own = authority::issue(authority, NodeId(node), &key, Timestamp(0)).unwrap();
        let chain = [&own, &authority.certificate].map(|pem| authority::certificate(pem).unwrap());
        let also_trusted = Some(authority::certificate(&also.certificate).unwrap());
        let (client, server) = tls::configs(chain, also_trusted, &key).unwrap();
        let trusted = [authority, also].map(|trusted| trusted.certificate.clone()).into();
        Credentials { client: Arc::new(client), server: Arc::new(server), trusted, known: BTreeMap::new() }
    }

    fn credentials_since(
        authority: &Authority,
        node: u64,
        since: u64,
        known: BTreeMap<NodeId, Timestamp>,
    ) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let own = authority::issue(authority, NodeId(node), &key, Timestamp(since)).unwrap();
        let chain =
            [authority::certificate(&own).unwrap(), authority::certificate(&authority.certificate).unwrap()];
        let (client, server) = tls::configs(chain, None, &key).unwrap();
        let trusted = [authority.certificate.clone()].into();
        Credentials { client: Arc::new(client), server: Arc::new(server), trusted, known }
    }

    /// Node 2, which shakes hands only when it is told to, and says who asked.
    struct Slow {
        address: SocketAddr,
        go: Arc<Notify>,
        connections: Arc<AtomicUsize>,
    }

    async fn slow(acceptor: TlsAcceptor) -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (go, connections) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (told, counted) = (go.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                told.notified().await;
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let caller = stream.get_ref().1.peer_certificates().and_then(tls::caller);
                let service = service_fn(move |_| {
                    let text =
                        caller.as_ref().map_or("a stranger".to_owned(), |caller| caller.node.to_string());
                    async move { Ok::<_, Infallible>(axum::http::Response::new(Body::from(text))) }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(server::Builder::new(TokioExecutor::new()).serve_connection(io, service));
            }
        });
        Slow { address, go, connections }
    }

    fn wire(authority: &Authority) -> TlsWire {
        let (sender, held) = watch::channel(Some(Arc::new(credentials(authority, 1))));
        std::mem::forget(sender);
        TlsWire::new(held)
    }

    #[tokio::test]
    async fn who_gives_up_does_not_end_the_handshake_and_all_wait_for_the_same() {
        let authority = authority::create().unwrap();
        let acceptor = TlsAcceptor::from(credentials(&authority, 2).server);
        let node = slow(acceptor).await;
        let wire = wire(&authority);
        let target = Target { node: NodeId(2), addresses: vec![node.address] };
        let ask = || wire.ask(&target, Lane::Pulse, Bytes::from_static(b"?"));
        for _ in 0..5 {
            assert!(timeout(Duration::from_millis(5), ask()).await.is_err(), "it gave up");
        }
        node.go.notify_one();
        let (first, second) = tokio::join!(ask(), ask());
        assert_eq!(first.as_deref(), Ok(NodeId(1).to_string().as_bytes()));
        assert_eq!(second, first);
        assert_eq!(node.connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_key_that_was_replaced_is_refused_and_connections_that_show_one_s_own_are_left() {
        let authority = authority::create().unwrap();
        let node = slow(TlsAcceptor::from(credentials_since(&authority, 2, 7, BTreeMap::new()).server)).await;
        node.go.notify_one();
        let target = Target { node: NodeId(2), addresses: vec![node.address] };
        let with = |own_since, known: u64| {
            let known = BTreeMap::from([(NodeId(2), Timestamp(known))]);
            Some(Arc::new(credentials_since(&authority, 1, own_since, known)))
        };
        let (sender, held) = watch::channel(with(1, 7));
        let wire = TlsWire::new(held);
        assert!(wire.ask(&target, Lane::Log, Bytes::new()).await.is_ok());
        assert!(wire.ask(&target, Lane::Log, Bytes::new()).await.is_ok());
        assert_eq!(node.connections.load(Ordering::SeqCst), 1, "it is kept");
        sender.send_replace(with(2, 7));
        node.go.notify_one();
        assert!(wire.ask(&target, Lane::Log, Bytes::new()).await.is_ok());
        assert_eq!(node.connections.load(Ordering::SeqCst), 2, "by the new key");
        sender.send_replace(with(3, 8));
        node.go.notify_one();
        let answer = wire.ask(&target, Lane::Log, Bytes::new()).await;
        assert!(
            matches!(&answer, Err(WireError::Unreachable(why)) if why.contains("replaced by a newer")),
            "{answer:?}"
        );
    }

    /// In both directions; and neither once the other's authority counts no more.
    #[tokio::test]
    async fn while_one_authority_takes_the_place_of_another_those_of_both_know_each_other() {
        let (first, second) = (authority::create().unwrap(), authority::create().unwrap());
        let target = |node: &Slow| Target { node: NodeId(2), addresses: vec![node.address] };
        for (own, other) in [(&first, &second), (&second, &first)] {
            let node = slow(TlsAcceptor::from(credentials_amid(other, own, 2).server)).await;
            let amid = credentials_amid(own, other, 1);
            for (asks, is_heard) in [(amid, true), (credentials(own, 1), false)] {
                let (_sender, held) = watch::channel(Some(Arc::new(asks)));
                node.go.notify_one();
                let answer = TlsWire::new(held).ask(&target(&node), Lane::Log, Bytes::new()).await;
                assert_eq!(answer.is_ok(), is_heard, "{answer:?}");
            }
            let node = slow(TlsAcceptor::from(credentials(other, 2).server)).await;
            node.go.notify_one();
            let (_sender, held) = watch::channel(Some(Arc::new(credentials_amid(own, other, 1))));
            let answer = TlsWire::new(held).ask(&target(&node), Lane::Log, Bytes::new()).await;
            assert!(answer.is_err(), "it trusts the other one alone");
        }
    }

    #[tokio::test]
    async fn another_node_at_the_address_or_another_cluster_is_refused() {
        let authority = authority::create().unwrap();
        let node = slow(TlsAcceptor::from(credentials(&authority, 3).server)).await;
        node.go.notify_one();
        let target = Target { node: NodeId(2), addresses: vec![node.address] };
        let answer = wire(&authority).ask(&target, Lane::Log, Bytes::new()).await;
        assert!(matches!(answer, Err(WireError::Unreachable(_))), "{answer:?}");

        let node = slow(TlsAcceptor::from(credentials(&authority, 2).server)).await;
        node.go.notify_one();
        let target = Target { node: NodeId(2), addresses: vec![node.address] };
        let foreign = authority::create().unwrap();
        let answer = wire(&foreign).ask(&target, Lane::Log, Bytes::new()).await;
        assert!(matches!(answer, Err(WireError::Unreachable(_))), "{answer:?}");
    }
}
