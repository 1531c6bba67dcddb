//! Questions to other members over HTTP/2 and mutual TLS: one connection a member and lane, opened when it is needed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use cluster::{Lane, Target, Wire, WireError};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::NodeId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::credentials::Held;
use super::{MESSAGE_BYTES_MAX, name};

/// To connect and shake hands, by one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that answers no ping for this long is closed: a cut link says nothing by itself.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// So that a batch of entries is not held up by the window of a slow reader's default.
const WINDOW: u32 = 4 * 1024 * 1024;

/// The way to the others. Questions fail as unreachable while this node belongs to no cluster.
pub struct TlsWire {
    held: Held,
    open: Mutex<BTreeMap<Way, Connection>>,
}

/// To whom, and by which of its connections; without a lane, by that of the requests handed on.
type Way = (NodeId, Option<Lane>);

pub type Connection = SendRequest<Body>;

impl TlsWire {
    pub fn new(held: Held) -> Self {
        Self { held, open: Mutex::default() }
    }

    fn kept(&self, key: Way) -> Option<Connection> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&key).filter(|connection| !connection.is_closed()).cloned()
    }

    fn keep(&self, key: Way, connection: Option<Connection>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match connection {
            Some(connection) => open.insert(key, connection),
            None => open.remove(&key),
        };
    }

    /// A connection for requests handed on to `to`.
    pub async fn relay(&self, to: &Target) -> Result<Connection, WireError> {
        let mut connection = self.connected(to, None).await?;
        match connection.ready().await {
            Ok(()) => Ok(connection),
            Err(error) => {
                self.keep((to.node, None), None);
                Err(WireError::Unreachable(error.to_string()))
            }
        }
    }

    async fn connected(&self, to: &Target, lane: Option<Lane>) -> Result<Connection, WireError> {
        if let Some(connection) = self.kept((to.node, lane)) {
            return Ok(connection);
        }
        let credentials = self.held.borrow().clone();
        let credentials = credentials
            .ok_or_else(|| WireError::Unreachable("this node belongs to no cluster yet".to_owned()))?;
        let mut failed = "none of its addresses is known".to_owned();
        for address in &to.addresses {
            match connect(*address, &name(to.node), credentials.client.clone()).await {
                Ok(connection) => {
                    self.keep((to.node, lane), Some(connection.clone()));
                    return Ok(connection);
                }
                Err(reason) => failed = format!("{address}: {reason}"),
            }
        }
        Err(WireError::Unreachable(failed))
    }
}

#[async_trait]
impl Wire for TlsWire {
    async fn ask(&self, to: &Target, lane: Lane, question: Bytes) -> Result<Bytes, WireError> {
        let mut connection = self.connected(to, Some(lane)).await?;
        if let Err(error) = connection.ready().await {
            self.keep((to.node, Some(lane)), None);
            return Err(WireError::Unreachable(error.to_string()));
        }
        match post(&mut connection, "/ask", question).await {
            Ok((StatusCode::OK, answer)) => Ok(answer),
            Ok((status, body)) => {
                Err(WireError::Unreachable(format!("{status}: {}", String::from_utf8_lossy(&body))))
            }
            Err(error) => {
                self.keep((to.node, Some(lane)), None);
                Err(WireError::Broken(error))
            }
        }
    }
}

/// A connection to whoever answers to `server` at `address`.
pub async fn connect(
    address: SocketAddr,
    server: &str,
    config: Arc<ClientConfig>,
) -> Result<Connection, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let server = ServerName::try_from(server.to_owned()).map_err(|error| text(&error))?;
    let shake = async {
        let stream = TcpStream::connect(address).await.map_err(|error| text(&error))?;
        stream.set_nodelay(true).map_err(|error| text(&error))?;
        let stream =
            TlsConnector::from(config).connect(server, stream).await.map_err(|error| text(&error))?;
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_TIMEOUT)
            .keep_alive_timeout(PING_TIMEOUT)
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
