//! Questions by TCP: one after the other on each connection, as many connections as there are slots.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::ids::IdSource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::respond::{Asker, Outcome, failed, respond};
use super::wire::QUERY_BYTES_MAX;

/// Further connections wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 128;
/// Between two questions, and for each to arrive or be answered.
const IDLE: Duration = Duration::from_secs(8);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub async fn serve(server: Arc<Server>, listener: TcpListener, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Cancel safety: a slot or connection that was not returned was not taken.
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let (server, shutdown) = (server.clone(), shutdown.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        ended = converse(&server, stream, peer) => {
                            if let Err(error) = ended {
                                tracing::trace!(%peer, %error, "connection ended");
                            }
                        }
                        () = shutdown.cancelled() => {}
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for DNS could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

async fn converse(server: &Server, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut message, mut framed, mut out) = (Vec::new(), Vec::new(), Vec::new());
    while within(read(&mut stream, &mut message)).await? {
        let outcome = {
            let zone = server.directory.load();
            let is_ours = server.is_ours(peer.ip().to_canonical(), zone.own_addresses());
            let asker = Asker { is_ours, over_tcp: true };
            respond(&message, &zone, asker, &mut IdSource::new(rand::random()), &mut out)
        };
        match outcome {
            Outcome::Silent => return Ok(()),
            Outcome::Reply => {}
            Outcome::Forward => match server.forwarder.slot() {
                Some(_slot) => {
                    let own = server.directory.load().own_addresses().to_vec();
                    out = server.forwarder.ask(&message, true, &own).await;
                }
                None => {
                    failed(&message, &mut out);
                }
            },
        }
        let length = u16::try_from(out.len()).map_err(io::Error::other)?;
        framed.clear();
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&out);
        within(stream.write_all(&framed)).await?;
    }
    Ok(())
}

/// One message with its length in front. False at the end of the connection.
async fn read(stream: &mut TcpStream, message: &mut Vec<u8>) -> io::Result<bool> {
    let length = match stream.read_u16().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        length => usize::from(length?),
    };
    if length > QUERY_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a question of {length} bytes; at most {QUERY_BYTES_MAX} are read"
        )));
    }
    message.resize(length, 0);
    stream.read_exact(message).await?;
    Ok(true)
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(IDLE, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
