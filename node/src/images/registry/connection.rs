//! One HTTP exchange: resolve, connect, TLS if wanted, one request, one answer.
//!
//! Names are resolved without the C library, which cannot do it in a static program. A connection serves one request:
//! a pull makes few, and what a stranger's registry does to one connection does not touch the next. A proxy is asked for
//! the whole address over plain HTTP, and for a tunnel (CONNECT) under TLS.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http_body_util::{Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, RANGE, USER_AGENT};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::mirror::Endpoint;
use super::super::reach::is_near;
use super::RegistryError;

const CONNECT: Duration = Duration::from_secs(10);
const ADDRESSES_MAX: usize = 8;
const AGENT: &str = concat!("meseta/", env!("CARGO_PKG_VERSION"));

static TLS: LazyLock<Result<TlsConnector, rustls::Error>> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
});

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    pub method: &'static str,
    pub url: &'a Uri,
    pub proxy: Option<&'a Endpoint>,
    pub accept: Option<&'static str>,
    pub authorization: Option<&'a str>,
    /// Only what comes from this byte on.
    pub from: u64,
    /// How long an answer may take to begin.
    pub patience: Duration,
    /// Further ones, their names in small letters.
    pub headers: &'a [(&'static str, &'a str)],
    /// Nothing is sent if it is empty.
    pub body: Bytes,
}

/// Sends the request and returns the answer as far as its headers.
pub async fn exchange(ask: &Ask<'_>) -> Result<Response<Incoming>, RegistryError> {
    let nonsense = |problem: &str| RegistryError::Nonsense(format!("the address {}: {problem}", ask.url));
    let host = ask.url.host().ok_or_else(|| nonsense("has no host"))?;
    let tls = match ask.url.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(nonsense("is neither http nor https")),
    };
    let port = ask.url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let path = ask.url.path_and_query().map_or("/", |path| path.as_str());
    let proxy = ask.proxy.filter(|_| !is_near(host));
    match (proxy, tls) {
        (None, false) => send(ask, path, connect(host, port).await?).await,
        (None, true) => send(ask, path, secure(host, connect(host, port).await?).await?).await,
        (Some(proxy), false) => send(ask, &ask.url.to_string(), reach(proxy).await?).await,
        (Some(proxy), true) => {
            let tunnel = open_tunnel(proxy, &format!("{host}:{port}")).await?;
            send(ask, path, secure(host, tunnel).await?).await
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

async fn secure<S: Stream>(host: &str, stream: S) -> Result<TlsStream<S>, RegistryError> {
    let connector = TLS.as_ref().map_err(|error| RegistryError::Tls(error.to_string()))?;
    let name = ServerName::try_from(bare(host).to_owned());
    let name = name.map_err(|error| RegistryError::Tls(error.to_string()))?;
    let shaken = timeout(CONNECT, connector.connect(name, stream)).await;
    shaken.map_err(|_| RegistryError::Silent(CONNECT))?.map_err(tls_error)
}

/// A connection to the proxy itself.
async fn reach(proxy: &Endpoint) -> Result<Box<dyn Stream>, RegistryError> {
    let uri: Uri = proxy.to_string().parse().map_err(|_| RegistryError::Proxy("its URL is none".into()))?;
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if proxy.tls { 443 } else { 80 });
    let of_proxy = |error: RegistryError| RegistryError::Proxy(error.to_string());
    let stream = connect(host, port).await.map_err(of_proxy)?;
    match proxy.tls {
        true => Ok(Box::new(secure(host, stream).await.map_err(of_proxy)?)),
        false => Ok(Box::new(stream)),
    }
}

/// A way through the proxy to `authority`, on which TLS can begin.
async fn open_tunnel(proxy: &Endpoint, authority: &str) -> Result<TokioIo<Upgraded>, RegistryError> {
    let broken = |error: hyper::Error| RegistryError::Proxy(chain(&error));
    let stream = TokioIo::new(reach(proxy).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    drive(connection.with_upgrades());
    let request = Request::connect(authority)
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(|error| RegistryError::Nonsense(format!("the address {authority}: {error}")))?;
    let answer = timeout(CONNECT, sender.send_request(request)).await;
    let answer = answer.map_err(|_| RegistryError::Proxy(silence()))?.map_err(broken)?;
    if !answer.status().is_success() {
        return Err(RegistryError::Proxy(format!("it opens no way to {authority} ({})", answer.status())));
    }
    let upgraded = timeout(CONNECT, hyper::upgrade::on(answer)).await;
    upgraded.map_err(|_| RegistryError::Proxy(silence()))?.map(TokioIo::new).map_err(broken)
}

fn silence() -> String {
    format!("it does not answer for {} s", CONNECT.as_secs())
}

/// An IPv6 address without the brackets it has in a URL.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A connection ends with the answer's body, or when nobody reads that any more.
fn drive<E: std::fmt::Display>(connection: impl Future<Output = Result<(), E>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a registry's connection ended");
        }
    });
}

/// A certificate that does not fit is no matter of time; a connection that broke is.
fn tls_error(error: std::io::Error) -> RegistryError {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    match is_tls {
        true => RegistryError::Tls(error.to_string()),
        false => RegistryError::Broken(error.to_string()),
    }
}

/// `target` is what stands in the first line: the path, or for a proxy the whole address.
async fn send<S: Stream>(
    ask: &Ask<'_>,
    target: &str,
    stream: S,
) -> Result<Response<Incoming>, RegistryError> {
    let broken = |error: hyper::Error| RegistryError::Broken(chain(&error));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    drive(connection);
    let authority = ask.url.authority().map_or("", |authority| authority.as_str());
    let mut request =
        Request::builder().method(ask.method).uri(target).header(HOST, authority).header(USER_AGENT, AGENT);
    if let Some(accept) = ask.accept {
        request = request.header(ACCEPT, accept);
    }
    if let Some(authorization) = ask.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if ask.from > 0 {
        request = request.header(RANGE, format!("bytes={}-", ask.from));
    }
    for (name, value) in ask.headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(ask.body.clone()))
        .map_err(|error| RegistryError::Nonsense(format!("the address {}: {error}", ask.url)))?;
    let answer = timeout(ask.patience, sender.send_request(request)).await;
    answer.map_err(|_| RegistryError::Silent(ask.patience))?.map_err(broken)
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, RegistryError> {
    let host = bare(host);
    let mut problem = "its name leads to no address".to_owned();
    for ip in resolve(host).await?.into_iter().take(ADDRESSES_MAX) {
        let address = SocketAddr::new(ip, port);
        problem = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => format!("{error} ({ip})"),
            Err(_) => format!("no answer in {} s ({ip})", CONNECT.as_secs()),
        };
    }
    Err(RegistryError::Connect { address: format!("{host}:{port}"), problem })
}

async fn resolve(host: &str) -> Result<Vec<IpAddr>, RegistryError> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    // Read anew each time: DHCP may have brought other servers.
    let resolver = hickory_resolver::Resolver::builder_tokio()
        .and_then(hickory_resolver::ResolverBuilder::build)
        .map_err(|error| RegistryError::NoResolver(error.to_string()))?;
    match resolver.lookup_ip(host).await {
        Ok(found) => Ok(found.iter().collect()),
        Err(error) if error.is_nx_domain() || error.is_no_records_found() => {
            Err(RegistryError::Name(format!("there is no {host}")))
        }
        Err(error) => Err(RegistryError::NoResolver(error.to_string())),
    }
}

/// The error with everything beneath it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |e| e.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
