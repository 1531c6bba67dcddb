//! One connection to a member over HTTP/2 and mutual TLS: for questions (`Line`), or for requests handed on.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::{Bytes, BytesMut};
use h2::{Ping, PingPong, client};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::Timestamp;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::MESSAGE_BYTES_MAX;
use super::tls::caller;

/// To connect and shake hands, by one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that answers no ping for this long is closed: a cut link says nothing by itself.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// So that a batch of entries is not held up by the window of a slow reader's default.
const WINDOW: u32 = 4 * 1024 * 1024;

/// What is made of a line that is encrypted already. It is driven by a task of its own and ends with its last clone.
pub trait Connection: Clone + Send + Sync + 'static {
    fn over(
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Self, String>> + Send;

    fn is_closed(&self) -> bool;
}

/// A connection to whoever answers to `server` at `address`, with a key that is not older than `known`.
pub async fn connect<C: Connection>(
    address: SocketAddr,
    server: &str,
    config: Arc<ClientConfig>,
    known: Timestamp,
) -> Result<C, String> {
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
        C::over(stream, address).await
    };
    timeout(CONNECT_TIMEOUT, shake).await.map_err(|_| format!("no answer within {CONNECT_TIMEOUT:?}"))?
}

fn text(error: &dyn std::fmt::Display) -> String {
    error.to_string()
}

/// Questions, many at once.
///
/// By h2 itself: hyper, which sits on it, sends the head of a request before it looks at the body, and a question would be
/// two records, two packets and two wake-ups at its other end.
#[derive(Clone)]
pub struct Line {
    requests: client::SendRequest<Bytes>,
    over: CancellationToken,
}

impl Connection for Line {
    async fn over(stream: TlsStream<TcpStream>, address: SocketAddr) -> Result<Self, String> {
        let (requests, mut driver) = client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| text(&error))?;
        let over = CancellationToken::new();
        let ends = over.clone().drop_guard();
        tokio::spawn(async move {
            let _ends = ends;
            let pings = driver.ping_pong();
            tokio::select! {
                ended = driver => if let Err(error) = ended {
                    tracing::debug!(%address, %error, "connection to a member ended");
                },
                reason = stays_silent(pings) => {
                    tracing::debug!(%address, reason, "connection to a member is given up");
                }
            }
        });
        Ok(Self { requests, over })
    }

    fn is_closed(&self) -> bool {
        self.over.is_cancelled()
    }
}

impl Line {
    /// Resolves when one more question may be asked; an error means that nothing was asked yet.
    pub async fn ready(&mut self) -> Result<(), String> {
        poll_fn(|context| self.requests.poll_ready(context)).await.map_err(|error| text(&error))
    }

    /// Status and text of the answer. An error means that it is not known what became of the question.
    pub async fn ask(&mut self, path: &str, question: Bytes) -> Result<(StatusCode, Bytes), String> {
        let request =
            Request::post(format!("https://meseta{path}")).body(()).map_err(|error| text(&error))?;
        let (answer, mut body) = self.requests.send_request(request, false).map_err(|error| text(&error))?;
        body.send_data(question, true).map_err(|error| text(&error))?;
        let answer = answer.await.map_err(|error| text(&error))?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut read = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.map_err(|error| text(&error))?;
            if read.len() + chunk.len() > MESSAGE_BYTES_MAX {
                return Err(format!("the answer is longer than {MESSAGE_BYTES_MAX} bytes"));
            }
            body.flow_control().release_capacity(chunk.len()).map_err(|error| text(&error))?;
            read.extend_from_slice(&chunk);
        }
        Ok((status, read.freeze()))
    }
}

/// Why the other end is taken for gone; does not return while it answers. One that is kept ready must not turn out to be
/// dead when it is needed.
async fn stays_silent(pings: Option<PingPong>) -> String {
    let Some(mut pings) = pings else { std::future::pending().await };
    loop {
        sleep(PING_TIMEOUT).await;
        match timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("no answer within {PING_TIMEOUT:?}"),
        }
    }
}

/// Requests handed on, whose bodies are streams.
pub type Relayed = http2::SendRequest<Body>;

impl Connection for Relayed {
    async fn over(stream: TlsStream<TcpStream>, address: SocketAddr) -> Result<Self, String> {
        let (requests, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_TIMEOUT)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| text(&error))?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%address, %error, "connection to a member ended");
            }
        });
        Ok(requests)
    }

    fn is_closed(&self) -> bool {
        http2::SendRequest::is_closed(self)
    }
}
