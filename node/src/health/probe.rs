//! One look at a task: whether it answers in time, and if not, why in words.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use model::TaskId;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Target, tls};
use crate::config::Paths;

/// Beyond the time a command has inside its task: for the helper that ends it.
const COMMAND_SLACK: Duration = Duration::from_secs(5);

/// `Err` says why the check did not pass.
pub async fn look(paths: &Paths, task: &TaskId, target: &Target, timeout: Duration) -> Result<(), String> {
    let limit = match target {
        Target::Command { .. } => timeout + COMMAND_SLACK,
        _ => timeout,
    };
    let result = match target {
        Target::Http { at, tls, path } => tokio::time::timeout(limit, http(*at, *tls, path)).await,
        Target::Tcp { at } => tokio::time::timeout(limit, connect(*at)).await.map(|result| result.map(drop)),
        Target::Command { line } => tokio::time::timeout(limit, command(paths, task, line, timeout)).await,
    };
    result.unwrap_or_else(|_| Err(format!("no answer within {} ms", timeout.as_millis())))
}

async fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(at).await.map_err(|error| format!("{at}: {error}"))
}

async fn http(at: SocketAddr, tls: bool, path: &str) -> Result<(), String> {
    let stream = connect(at).await?;
    let status = if tls {
        let connector = tls::connector().map_err(|error| error.to_string())?;
        let stream = connector.connect(ServerName::from(at.ip()), stream).await;
        ask(stream.map_err(|error| format!("{at}: TLS: {error}"))?, at, path).await?
    } else {
        ask(stream, at, path).await?
    };
    if (200..400).contains(&status) { Ok(()) } else { Err(format!("HTTP status {status}")) }
}

/// The status of the answer; its body is not read.
async fn ask<S>(stream: S, at: SocketAddr, path: &str) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let fault = |error: hyper::Error| format!("{at}: {error}");
    let request = Request::get(path)
        .version(Version::HTTP_11)
        .header("Host", at.to_string())
        .header("User-Agent", "meseta-health-check")
        .header("Accept", "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the path `{path}` cannot be asked for: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(fault)?;
    // It must be driven for the request to go out; it ends with the sender.
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    driver.abort();
    Ok(answer.map_err(fault)?.status().as_u16())
}

/// Runs `line` inside the task by the helper, which also ends it when its time is over.
async fn command(paths: &Paths, task: &TaskId, line: &str, timeout: Duration) -> Result<(), String> {
    let mut helper = Command::new("/proc/self/exe");
    helper.arg0("meseta").args(["oci", "exec", "--timeout-ms", &timeout.as_millis().to_string()]);
    helper.args(paths.to_args()).arg(task.as_str()).args(["--", "/bin/sh", "-c", line]);
    helper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let status = helper.status().await.map_err(|error| format!("the helper does not start: {error}"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(crate::oci::EXIT_TIMED_OUT) => Err(format!("no end within {} ms", timeout.as_millis())),
        Some(code) => Err(format!("the command ended with code {code}")),
        None => Err(format!("the helper ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// Looks at a server that answers each connection with `answer`, or never if it is empty.
    async fn look_at(answer: &'static str, target: impl Fn(SocketAddr) -> Target) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(answer.as_bytes()).await;
                kept.push(stream);
            }
        });
        let paths = clap_paths();
        let task = TaskId::parse("a.instance-1._app.1").expect("a task id");
        let result = look(&paths, &task, &target(at), Duration::from_millis(300)).await;
        server.abort();
        result
    }

    fn clap_paths() -> Paths {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            paths: Paths,
        }
        <Only as clap::Parser>::parse_from(["test"]).paths
    }

    fn http(at: SocketAddr) -> Target {
        Target::Http { at, tls: false, path: "/".to_owned() }
    }

    #[tokio::test]
    async fn statuses_below_400_pass() {
        for (answer, expect) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", Ok(())),
            ("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", Ok(())),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Err("HTTP status 404".to_owned())),
            ("HTTP/1.1 503 No\r\n\r\n", Err("HTTP status 503".to_owned())),
        ] {
            assert_eq!(look_at(answer, http).await, expect, "{answer}");
        }
        assert_eq!(look_at("", http).await, Err("no answer within 300 ms".to_owned()));
        assert!(look_at("rubbish\r\n\r\n", http).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_is_enough_for_tcp() {
        assert_eq!(look_at("", |at| Target::Tcp { at }).await, Ok(()));
        // Nothing listens on the discard port of the loopback.
        let refused = look_at("", |_| Target::Tcp { at: ([127, 0, 0, 1], 9).into() }).await;
        assert!(refused.as_ref().is_err_and(|cause| cause.starts_with("127.0.0.1:9: ")), "{refused:?}");
    }
}
