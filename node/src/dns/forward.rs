//! Asks other servers: the message goes on as it came, by the transport it came by, under an id of our own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Header, MessageType, ResponseCode};
use hickory_proto::serialize::binary::BinDecodable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::respond;
use super::upstreams::Upstreams;
use super::wire::HEADER_BYTES;
use super::wire::query;

/// Questions under way at once; each has a socket of its own.
const UNDER_WAY_MAX: usize = 256;
/// For each server: clients wait about five seconds, and there may be three.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// No answer that a client asks for by EDNS is larger in practice.
const UDP_ANSWER_BYTES_MAX: usize = 4_096;

pub struct Forwarder {
    upstreams: Upstreams,
    slots: Arc<Semaphore>,
    /// Which server answered last: it is asked first.
    good: AtomicUsize,
}

impl Forwarder {
    pub fn new(upstreams: Upstreams) -> Self {
        Self { upstreams, slots: Arc::new(Semaphore::new(UNDER_WAY_MAX)), good: AtomicUsize::new(0) }
    }

    pub fn upstreams(&self, own: &[IpAddr]) -> Vec<SocketAddr> {
        self.upstreams.list(own)
    }

    /// To be held while asking; `None` if too many questions are under way.
    pub fn slot(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().try_acquire_owned().ok()
    }

    /// The answer of the first server that has one; else the last that said why not; else that all failed.
    pub async fn ask(&self, message: &[u8], over_tcp: bool, own: &[IpAddr]) -> Vec<u8> {
        let servers = self.upstreams.list(own);
        let first = self.good.load(Ordering::Relaxed);
        let mut refusal = None;
        for turn in 0..servers.len() {
            let at = (first + turn) % servers.len();
            let asked = async {
                if over_tcp { by_tcp(servers[at], message).await } else { by_udp(servers[at], message).await }
            };
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) if is_of_use(&answer) => {
                    self.good.store(at, Ordering::Relaxed);
                    return answer;
                }
                Ok(Ok(answer)) => refusal = Some(answer),
                Ok(Err(error)) => tracing::debug!(server = %servers[at], %error, "no answer"),
                Err(_) => tracing::debug!(server = %servers[at], "no answer in time"),
            }
        }
        refusal.unwrap_or_else(|| {
            let mut out = Vec::new();
            respond::failed(message, &mut out);
            out
        })
    }
}

/// Another server might do better.
fn is_of_use(answer: &[u8]) -> bool {
    let code = Header::from_bytes(answer).map_or(ResponseCode::ServFail, |header| header.response_code);
    !matches!(code, ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp)
}

async fn by_udp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A port of its own for each question, and a random id: two things an attacker has to guess.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let (id, question) = under_new_id(message);
    socket.send(&question).await?;
    let mut answer = vec![0; UDP_ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut answer).await?;
        if is_answer(&answer[..length], id, message) {
            answer.truncate(length);
            return Ok(with_id_of(message, answer));
        }
    }
}

async fn by_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let (id, question) = under_new_id(message);
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed: Vec<u8> = length.to_be_bytes().into_iter().chain(question).collect();
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if !is_answer(&answer, id, message) {
        return Err(io::Error::other("an answer to something else"));
    }
    Ok(with_id_of(message, answer))
}

fn under_new_id(message: &[u8]) -> (u16, Vec<u8>) {
    let (id, mut question): (u16, _) = (rand::random(), message.to_vec());
    question[..2].copy_from_slice(&id.to_be_bytes());
    (id, question)
}

fn with_id_of(message: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    answer[..2].copy_from_slice(&message[..2]);
    answer
}

/// Same id, marked as an answer, and to the same question, letter by letter.
fn is_answer(answer: &[u8], id: u16, message: &[u8]) -> bool {
    let question = query::read(message).map(|query| query.question).unwrap_or_default();
    Header::from_bytes(answer).is_ok_and(|head| head.id == id && head.message_type == MessageType::Response)
        && answer.get(HEADER_BYTES..HEADER_BYTES + question.len()) == Some(question)
}

#[cfg(test)]
mod tests {
    use super::super::wire::query::tests::packet;
    use super::*;

    #[test]
    fn only_the_answer_to_this_question_is_taken() {
        let message = packet("example.com", 1, None);
        let (id, mut answer) = under_new_id(&message);
        assert!(!is_answer(&answer, id, &message), "a question");
        answer[2] |= 0x80;
        assert!(is_answer(&answer, id, &message));
        assert!(!is_answer(&answer, id.wrapping_add(1), &message));
        assert!(!is_answer(&answer[..11], id, &message));
        let mut other = answer.clone();
        other[13] ^= 1;
        assert!(!is_answer(&other, id, &message));
        assert_eq!(with_id_of(&message, answer)[..2], message[..2]);
    }

    #[test]
    fn refusals_send_us_on() {
        for (code, expected) in [(0, true), (3, true), (2, false), (5, false), (4, false)] {
            assert_eq!(is_of_use(&[0, 0, 0x81, code, 0, 0, 0, 0, 0, 0, 0, 0]), expected, "{code}");
        }
        assert!(!is_of_use(&[]));
    }
}
