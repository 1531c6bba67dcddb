//! The threads that answer by UDP: take what is there, answer all of it from one zone, send.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::ids::IdSource;
use model::zone::Zone;
use tokio::runtime::Handle;

use super::Server;
use super::limiter::Verdict;
use super::respond::{self, Asker, Outcome};
use super::socket::{Batch, Peer, Socket};
use crate::api::clock::monotonic_ms;

/// After an error of the socket, which is none of the usual ones.
const PAUSE: Duration = Duration::from_millis(100);

/// One thread a socket; they end with the process.
pub fn spawn(server: &Arc<Server>, sockets: Vec<Socket>) -> io::Result<()> {
    for socket in sockets {
        let worker = Worker { server: server.clone(), socket: Arc::new(socket), runtime: Handle::current() };
        std::thread::Builder::new().name("dns".to_owned()).stack_size(512 * 1024).spawn(|| worker.run())?;
    }
    Ok(())
}

struct Worker {
    server: Arc<Server>,
    socket: Arc<Socket>,
    runtime: Handle,
}

impl Worker {
    fn run(self) {
        let (mut batch, mut ids) = (Batch::new(), IdSource::new(rand::random()));
        loop {
            match self.socket.receive(&mut batch) {
                Ok(count) => {
                    // Held for one batch only: the zone it keeps alive is the latest but for microseconds.
                    let zone = self.server.directory.load();
                    for at in 0..count {
                        let (message, peer, out) = batch.parts(at);
                        if self.answer(&zone, message, peer, &mut ids, out) {
                            batch.reply(at);
                        }
                    }
                    self.socket.send(&mut batch);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "questions by UDP are not received");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// True if `out` is to be sent.
    fn answer(
        &self,
        zone: &Zone,
        message: &[u8],
        peer: &Peer,
        ids: &mut IdSource,
        out: &mut Vec<u8>,
    ) -> bool {
        if !peer.can_be_answered() {
            return false;
        }
        let is_ours = self.server.is_ours(peer.ip(), zone.own_addresses());
        if !is_ours {
            match self.server.limiter.judge(peer.ip(), monotonic_ms()) {
                Verdict::Answer => {}
                Verdict::ComeByTcp => return respond::come_by_tcp(message, out) == Outcome::Reply,
                Verdict::Silent => return false,
            }
        }
        let asker = Asker { is_ours, over_tcp: false };
        match respond::respond(message, zone, asker, ids, out) {
            Outcome::Reply => true,
            Outcome::Silent => false,
            Outcome::Forward => {
                !self.forward(message, peer) && {
                    respond::failed(message, out);
                    true
                }
            }
        }
    }

    /// Has somebody else asked. False if too many questions are under way.
    fn forward(&self, message: &[u8], peer: &Peer) -> bool {
        let Some(slot) = self.server.forwarder.slot() else { return false };
        let (server, socket) = (self.server.clone(), self.socket.clone());
        let (message, peer) = (message.to_vec(), *peer);
        self.runtime.spawn(async move {
            let own = server.directory.load().own_addresses().to_vec();
            let answer = server.forwarder.ask(&message, false, &own).await;
            socket.send_one(&peer, &answer);
            drop(slot);
        });
        true
    }
}
