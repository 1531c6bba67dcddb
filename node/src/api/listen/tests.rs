//! Both ports for real, on loopback.

use super::*;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start(folder: &Path) -> (SocketAddr, SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let ports = Ports { http: any, https: any, https_public: 8443 };
    let listeners = Listeners::bind(&ports, folder, &[]).await.expect("bound");
    let (http, https) = listeners.local_addrs().expect("bound");
    let whoami = |ConnectInfo(peer): ConnectInfo<SocketAddr>, via: axum::Extension<console::ViaTls>| async move {
        format!("{} tls={}", peer.ip(), via.0.0)
    };
    let shutdown = CancellationToken::new();
    let router = Router::new().route("/whoami", get(whoami));
    let served = tokio::spawn(listeners.serve(router, shutdown.clone()));
    (http, https, shutdown, served)
}

const REQUEST: &[u8] = b"GET /whoami HTTP/1.1\r\nhost: 10.0.0.1\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn plain_and_tls_tell_the_router_who_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (http, https, shutdown, served) = start(folder.path()).await;

    let mut plain = TcpStream::connect(http).await.expect("connected");
    plain.write_all(REQUEST).await.expect("sent");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.ends_with("127.0.0.1 tls=false"), "{answer}");

    let mut tls = connect_tls(https, folder.path()).await;
    tls.write_all(REQUEST).await.expect("sent");
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.ends_with("127.0.0.1 tls=true"), "{answer}");

    shutdown.cancel();
    served.await.expect("ended");
    assert!(TcpStream::connect(http).await.is_err(), "closed");
}

#[tokio::test]
async fn a_port_in_use_names_its_holder() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports { http: address, https: address, https_public: 8443 };
    let error = Listeners::bind(&ports, folder.path(), &[]).await.err().expect("refused").to_string();
    assert!(error.contains(&format!("port {}", address.port())), "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

async fn connect_tls(address: SocketAddr, folder: &Path) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let certificate =
        rustls::pki_types::CertificateDer::from_pem_file(folder.join("cert.pem")).expect("made");
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").expect("a name");
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("handshake")
}
