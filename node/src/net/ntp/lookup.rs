//! Addresses of time servers that were given by name: one question to the servers of resolv.conf. The C library is not
//! asked: within a static program it cannot.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::UdpSocket;

const PORT: u16 = 53;
const WAIT: Duration = Duration::from_secs(2);
const MESSAGE_BYTES_MAX: usize = 1232;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
const ADDRESSES_MAX: usize = 4;

/// An address as such, or those of a name; empty if nobody knows it.
pub async fn addresses(server: &str, resolv_conf: &Path) -> Vec<IpAddr> {
    if let Ok(address) = server.parse() {
        return vec![address];
    }
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    for name_server in servers {
        match ask(server, name_server).await {
            Ok(found) if !found.is_empty() => return found.into_iter().map(IpAddr::V4).collect(),
            Ok(_) => {}
            Err(error) => tracing::debug!(server, %name_server, %error, "looking up a time server"),
        }
    }
    Vec::new()
}

async fn ask(name: &str, name_server: IpAddr) -> std::io::Result<Vec<Ipv4Addr>> {
    let local: IpAddr = if name_server.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(SocketAddr::new(name_server, PORT)).await?;
    let id: u16 = rand::random();
    socket.send(&question(name, id)).await?;
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let length = tokio::time::timeout(WAIT, socket.recv(&mut buffer)).await??;
    Ok(answers(&buffer[..length], id))
}

fn question(name: &str, id: u16) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    // Recursion is desired; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        out.push(label.len().min(63) as u8);
        out.extend(label.bytes().take(63));
    }
    out.push(0);
    out.extend(TYPE_A.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out
}

/// The addresses in an answer to `id`; a message that is no such answer has none.
fn answers(bytes: &[u8], id: u16) -> Vec<Ipv4Addr> {
    read(bytes, id).unwrap_or_default()
}

fn read(bytes: &[u8], id: u16) -> Option<Vec<Ipv4Addr>> {
    let number = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    if number(0)? != id || bytes.get(2)? & 0x80 == 0 {
        return None;
    }
    let (questions, count) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = skip_name(bytes, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..count {
        at = skip_name(bytes, at)?;
        let (kind, class, length) = (number(at)?, number(at + 2)?, usize::from(number(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        if (kind, class) == (TYPE_A, CLASS_IN) && found.len() < ADDRESSES_MAX {
            found.extend(<[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from));
        }
        at += 10 + length;
    }
    Some(found)
}

/// Where the name that begins at `at` ends: after its last label or its pointer.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read() {
        let mut bytes = question("time.example", 7);
        bytes[2] = 0x81;
        bytes[7] = 2;
        // An alias first, then the address, both with a pointer for a name.
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 3]);
        assert_eq!(answers(&bytes, 7), [Ipv4Addr::new(10, 0, 0, 3)]);
        assert_eq!(answers(&bytes, 8), [] as [Ipv4Addr; 0]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = answers(&bytes, 7);
            if bytes.len() > 12 {
                bytes[..12].copy_from_slice(&[0, 7, 0x81, 0, 0, 1, 0, 9, 0, 0, 0, 0]);
                prop_assert!(answers(&bytes, 7).len() <= ADDRESSES_MAX);
            }
        }
    }
}
