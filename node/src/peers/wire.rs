//! Questions to other members over HTTP/2 and mutual TLS: one connection a member and lane; and requests handed on to them.

use async_trait::async_trait;
use axum::http::StatusCode;
use bytes::Bytes;
use cluster::{Lane, Target, Wire, WireError};
use model::NodeId;

use super::connection::{Line, Relayed};
use super::credentials::Held;
use super::ways::Ways;

/// The way to the others. Questions fail as unreachable while this node belongs to no cluster.
#[derive(Clone)]
pub struct TlsWire {
    lanes: Ways<(NodeId, Lane), Line>,
    relays: Ways<NodeId, Relayed>,
}

impl TlsWire {
    pub fn new(held: Held) -> Self {
        Self { lanes: Ways::new(held.clone()), relays: Ways::new(held) }
    }

    /// Makes the connection of a lane, if there is none; true if there is one then.
    pub async fn prepare(&self, to: &Target, lane: Lane) -> bool {
        self.lanes.connected((to.node, lane), to).await.is_ok()
    }

    /// A connection for requests handed on to `to`.
    pub async fn relay(&self, to: &Target) -> Result<Relayed, WireError> {
        let mut connection = self.relays.connected(to.node, to).await?;
        match connection.ready().await {
            Ok(()) => Ok(connection),
            Err(error) => {
                self.relays.forget(to.node);
                Err(WireError::Unreachable(error.to_string()))
            }
        }
    }
}

#[async_trait]
impl Wire for TlsWire {
    async fn ask(&self, to: &Target, lane: Lane, question: Bytes) -> Result<Bytes, WireError> {
        let way = (to.node, lane);
        let mut line = self.lanes.connected(way, to).await?;
        if let Err(error) = line.ready().await {
            self.lanes.forget(way);
            return Err(WireError::Unreachable(error));
        }
        match line.ask("/ask", question).await {
            Ok((StatusCode::OK, answer)) => Ok(answer),
            Ok((status, body)) => {
                Err(WireError::Unreachable(format!("{status}: {}", String::from_utf8_lossy(&body))))
            }
            Err(error) => {
                self.lanes.forget(way);
                Err(WireError::Broken(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use axum::body::Body;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use model::Timestamp;
    use model::membership::Authority;
    use rcgen::KeyPair;
    use tokio::net::TcpListener;
    use tokio::sync::{Notify, watch};
    use tokio::time::timeout;
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

    /// Far above the windows of both ends, and above what one frame and one record hold.
    #[tokio::test]
    async fn a_snapshot_passes_both_ways() {
        let authority = authority::create().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target { node: NodeId(2), addresses: vec![listener.local_addr().unwrap()] };
        let acceptor = TlsAcceptor::from(credentials(&authority, 2).server);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let io = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let echo = |request: axum::http::Request<_>| async move {
                Ok::<_, Infallible>(axum::http::Response::new(request.into_body()))
            };
            server::Builder::new(TokioExecutor::new()).serve_connection(io, service_fn(echo)).await
        });
        let snapshot: Bytes = (0..20_000_000u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let wire = wire(&authority);
        let ask = |question: &Bytes| wire.ask(&target, Lane::Snapshot, question.clone());
        let small = Bytes::from_static(b"beside it");
        let (large, beside) = tokio::join!(ask(&snapshot), ask(&small));
        assert!(large.unwrap() == snapshot);
        assert_eq!(beside.as_ref(), Ok(&small));
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
