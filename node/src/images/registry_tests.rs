//! The client against registries that do not exist: each connection is answered with what the test wrote.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::images::Endpoint;

/// Answers one request a connection, in this order; what was asked can be looked at.
struct Canned {
    host: String,
    asked: mpsc::Receiver<String>,
    /// Connections that were answered with silence.
    _open: Arc<std::sync::Mutex<Vec<TcpStream>>>,
}

fn canned(answers: Vec<String>) -> Canned {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (sender, asked) = mpsc::channel();
    let open = Arc::new(std::sync::Mutex::new(Vec::new()));
    let of_thread = open.clone();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let mut buffer = [0; 1024];
            while !bytes.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    n => bytes.extend_from_slice(&buffer[..n]),
                }
            }
            if sender.send(String::from_utf8(bytes).unwrap()).is_err() {
                return;
            }
            // The client may have had enough before the end.
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                of_thread.lock().unwrap().push(stream);
            }
        }
    });
    Canned { host, asked, _open: open }
}

impl Canned {
    fn repository(&self) -> Repository {
        Repository { patience: Duration::from_millis(300), ..Repository::new(self.way(), "team/app") }
    }

    fn way(&self) -> Way {
        Way { endpoint: Endpoint { tls: false, host: self.host.clone() }, proxy: None }
    }

    /// The way to a registry far away, through this one as proxy.
    fn as_proxy(&self, registry: &str) -> Repository {
        let proxy = Some(self.way().endpoint);
        Repository::new(Way { endpoint: Endpoint::parse(registry).unwrap(), proxy }, "team/app")
    }

    /// The next request: its first line, and its authorization.
    fn request(&self) -> (String, Option<String>) {
        let text = self.asked.recv().unwrap();
        let authorization =
            text.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned);
        (text.lines().next().unwrap_or_default().to_owned(), authorization)
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn tag() -> Version {
    Version::Tag("v1".to_owned())
}

#[tokio::test]
async fn a_token_is_fetched_once_and_given_to_the_registry_alone() {
    let elsewhere = canned(vec![answer("200 OK", "", "content")]);
    let tokens = canned(vec![answer("200 OK", "", r#"{"access_token": "abc.def"}"#)]);
    let challenge = format!(
        "WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"a b\",scope=\"repository:team/app:pull\"\r\n",
        tokens.host
    );
    let redirect = format!("Location: http://{}/blob?signed=1\r\n", elsewhere.host);
    let registry = canned(vec![
        answer("401 Unauthorized", &challenge, ""),
        answer("200 OK", "", "{}"),
        answer("307 Temporary Redirect", &redirect, ""),
    ]);
    let repository = registry.repository();
    let found = repository.manifest(&tag()).await.unwrap();
    assert_eq!((found.digest, &found.bytes[..]), (Digest::of(b"{}"), &b"{}"[..]));
    let bearer = Some("Bearer abc.def".to_owned());
    assert_eq!(registry.request(), ("GET /v2/team/app/manifests/v1 HTTP/1.1".to_owned(), None));
    let scope = "GET /token?scope=repository:team/app:pull&service=a%20b HTTP/1.1";
    assert_eq!(tokens.request(), (scope.to_owned(), None));
    assert_eq!(registry.request(), ("GET /v2/team/app/manifests/v1 HTTP/1.1".to_owned(), bearer.clone()));

    let blob = Digest::of(b"content");
    let (begin, mut transfer) = repository.open_blob(&blob, 0).await.unwrap();
    assert_eq!((begin, transfer.next().await.unwrap().as_deref()), (0, Some(&b"content"[..])));
    assert_eq!(registry.request(), (format!("GET /v2/team/app/blobs/{blob} HTTP/1.1"), bearer));
    assert_eq!(elsewhere.request(), ("GET /blob?signed=1 HTTP/1.1".to_owned(), None));
}

#[tokio::test]
async fn every_answer_that_is_none_has_its_reason() {
    let other = format!("Docker-Content-Digest: {}\r\n", Digest::of(b"other"));
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 1_u64 << 40, " ".repeat(5 << 20));
    let loops = answer("302 Found", "Location: /v2/again\r\n", "");
    let denied = r#"{"errors": [{"code": "DENIED", "message": "only for friends\u0007"}]}"#;
    for (answers, says, is_transient) in [
        (vec![answer("404 Not Found", "", "")], "no such image", false),
        (vec![answer("403 Forbidden", "", denied)], "wants a login: 403 Forbidden: only for friends", false),
        (
            vec![answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "")],
            "a login: Basic",
            false,
        ),
        (vec![answer("429 Too Many Requests", "", "")], "429", true),
        (vec![answer("503 Service Unavailable", "", "")], "out of order (503", true),
        (vec![answer("400 Bad Request", "", "")], "refuses the request (400", false),
        (vec![answer("200 OK", &other, "{}")], "was announced", false),
        (vec![large], "more than 4194304 bytes", false),
        (vec![loops; REDIRECTS_MAX + 1], "more than 5 redirects", false),
        (vec![answer("302 Found", "Location: file:///etc/passwd\r\n", "")], "makes no sense", false),
        (vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned()], "connection broke", true),
        (vec!["SSH-2.0-x\r\n\r\n".to_owned()], "connection broke", true),
        (vec![String::new()], "does not answer", true),
    ] {
        let registry = canned(answers);
        let Err(error) = registry.repository().manifest(&tag()).await else { panic!("{says}: an image") };
        assert!(error.to_string().contains(says), "`{error}` does not say `{says}`");
        assert_eq!(error.is_transient(), is_transient, "{error}");
        assert!(!error.to_string().contains('\u{7}'));
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_address() {
    let proxy = canned(vec![answer("200 OK", "", "{}"), answer("502 Bad Gateway", "", "")]);
    let repository = proxy.as_proxy("http://registry.example:5000");
    assert_eq!(repository.manifest(&tag()).await.unwrap().digest, Digest::of(b"{}"));
    let line = "GET http://registry.example:5000/v2/team/app/manifests/v1 HTTP/1.1";
    assert_eq!(proxy.request(), (line.to_owned(), None));
    let Err(error) = repository.manifest(&tag()).await else { panic!("an image") };
    assert!(error.to_string().contains("502") && error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_proxy_that_opens_no_way_says_so() {
    let proxy = canned(vec![answer("403 Forbidden", "", "")]);
    let Err(error) = proxy.as_proxy("https://registry.example").manifest(&tag()).await else { panic!() };
    let says = "not through the proxy: it opens no way to registry.example:443 (403 Forbidden)";
    assert_eq!(error.to_string(), says);
    assert_eq!(proxy.request().0, "CONNECT registry.example:443 HTTP/1.1");
    // Nobody listens there any more.
    let Err(error) = proxy.as_proxy("https://registry.example").manifest(&tag()).await else { panic!() };
    assert!(error.to_string().starts_with("not through the proxy: ") && error.is_transient(), "{error}");
}

/// Answers one connection by TLS with a certificate of its own, after the line with which a proxy opens its tunnel if
/// it is one.
async fn stranger(is_proxy: bool) -> String {
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if is_proxy {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"CONNECT registry.example:443 HTTP/1.1\r\n"));
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        }
        let _ = acceptor.accept(stream).await;
    });
    host
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_no_matter_of_time() {
    for is_proxy in [false, true] {
        let host = stranger(is_proxy).await;
        let way = match is_proxy {
            false => Way { endpoint: Endpoint { tls: true, host }, proxy: None },
            true => Way {
                endpoint: Endpoint { tls: true, host: "registry.example".to_owned() },
                proxy: Some(Endpoint { tls: false, host }),
            },
        };
        let repository = Repository::new(way, "team/app");
        let Err(error) = repository.manifest(&tag()).await else { panic!("it was trusted") };
        assert!(matches!(error, RegistryError::Tls(_)) && !error.is_transient(), "{error}");
    }
}
