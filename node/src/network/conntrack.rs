//! Makes the kernel forget where datagrams to some ports went. A mapping counts for new connections only, and for udp
//! the kernel takes whatever comes from the same place as the same connection: a client that never stops sending would
//! stay for ever with a task that is gone, or with the nobody that was there before.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// `NFNL_SUBSYS_CTNETLINK` in the upper byte, the message in the lower.
const GET: u16 = 0x0101;
const DELETE: u16 = 0x0102;
const HEADER_BYTES: usize = 16;
/// Family, version and resource number, which every message of netfilter begins with.
const FAMILY_BYTES: usize = 4;
const ATTRIBUTE_BYTES: usize = 4;
/// Attributes of linux/netfilter/nfnetlink_conntrack.h.
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_TARGET_PORT: u16 = 3;
/// The kernel never sends more in one go.
const BUFFER_BYTES: usize = 64 * 1024;

/// Forgets every udp connection to one of `ports` of this node. Blocks for as long as the kernel lists its table.
pub fn forget_udp(ports: &BTreeSet<u16>) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
    bind(kernel.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    for original in list(&kernel, ports)? {
        tell(&kernel, DELETE, libc::NLM_F_REQUEST | libc::NLM_F_ACK, &original)?;
        let mut buffer = [0; 1024];
        let length = recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        match fault(&buffer[..length]) {
            // It ended by itself meanwhile.
            Some(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Some(error) => return Err(error),
            None => {}
        }
    }
    Ok(())
}

/// The first direction of each connection, as an attribute that names it to the kernel.
fn list(kernel: &OwnedFd, ports: &BTreeSet<u16>) -> io::Result<Vec<Vec<u8>>> {
    tell(kernel, GET, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, &[])?;
    let mut found = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for message in messages(&buffer[..length]) {
            match i32::from(kind(message)) {
                libc::NLMSG_DONE => return Ok(found),
                libc::NLMSG_ERROR => return fault(message).map_or(Ok(Vec::new()), Err),
                _ => found.extend(original_to(message, ports)),
            }
        }
    }
}

fn tell(kernel: &OwnedFd, kind: u16, flags: i32, attributes: &[u8]) -> io::Result<()> {
    let length = HEADER_BYTES + FAMILY_BYTES + attributes.len();
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags as u16).to_ne_bytes());
    // Sequence number and sender, which the kernel fills in or does not care for.
    message.extend([0; 8]);
    message.extend([libc::AF_INET as u8, 0, 0, 0]);
    message.extend(attributes);
    send(kernel.as_raw_fd(), &message, MsgFlags::empty())?;
    Ok(())
}

/// The messages of one packet, each with its header.
fn messages(mut packet: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(packet.get(..4)?.try_into().ok()?) as usize;
        let message = packet.get(..length).filter(|message| message.len() >= HEADER_BYTES)?;
        packet = packet.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn kind(message: &[u8]) -> u16 {
    u16::from_ne_bytes([message[4], message[5]])
}

/// The error that an answer tells of; `None` for an acknowledgement.
fn fault(message: &[u8]) -> Option<io::Error> {
    let code = message.get(HEADER_BYTES..HEADER_BYTES + 4)?;
    let code = i32::from_ne_bytes(code.try_into().ok()?);
    (code != 0).then(|| io::Error::from_raw_os_error(-code))
}

/// Type and value of each attribute; the type without its flags.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(ATTRIBUTE_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The whole attribute with the first direction of a connection, if it is one of udp to one of `ports`.
fn original_to(message: &[u8], ports: &BTreeSet<u16>) -> Option<Vec<u8>> {
    let body = message.get(HEADER_BYTES + FAMILY_BYTES..)?;
    let (_, original) = attributes(body).find(|(kind, _)| *kind == TUPLE_ORIGINAL)?;
    let (_, protocol) = attributes(original).find(|(kind, _)| *kind == TUPLE_PROTOCOL)?;
    let (_, number) = attributes(protocol).find(|(kind, _)| *kind == PROTOCOL_NUMBER)?;
    let (_, port) = attributes(protocol).find(|(kind, _)| *kind == PROTOCOL_TARGET_PORT)?;
    let port = u16::from_be_bytes(port.try_into().ok()?);
    if *number != [libc::IPPROTO_UDP as u8] || !ports.contains(&port) {
        return None;
    }
    Some(nested(TUPLE_ORIGINAL, original))
}

/// An attribute that holds others.
fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    const NESTED: u16 = 1 << 15;
    let length = u16::try_from(ATTRIBUTE_BYTES + value.len()).unwrap_or(u16::MAX);
    let mut attribute = Vec::with_capacity(ATTRIBUTE_BYTES + value.len());
    attribute.extend(length.to_ne_bytes());
    attribute.extend((kind | NESTED).to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut attribute = nested(kind, value);
        attribute[3] &= 0x7f;
        attribute
    }

    /// A message of the kernel about a connection of `protocol` to `port`.
    fn connection(protocol: u8, port: u16) -> Vec<u8> {
        let protocol = [
            plain(PROTOCOL_NUMBER, &[protocol]),
            plain(2, &[0x12, 0x34]),
            plain(PROTOCOL_TARGET_PORT, &port.to_be_bytes()),
        ];
        let original =
            [nested(1, &plain(1, &[10, 0, 0, 1])), nested(TUPLE_PROTOCOL, &protocol.concat())].concat();
        let body = [vec![libc::AF_INET as u8, 0, 0, 0], nested(TUPLE_ORIGINAL, &original), plain(3, &[0; 4])]
            .concat();
        let length = (HEADER_BYTES + body.len()) as u32;
        [&length.to_ne_bytes()[..], &[0; 12], &body].concat()
    }

    #[test]
    fn connections_to_the_ports_are_found_and_named() {
        let ports = BTreeSet::from([31_000]);
        let packet = [connection(17, 31_000), connection(17, 31_001), connection(6, 31_000)].concat();
        let found: Vec<Vec<u8>> =
            messages(&packet).filter_map(|message| original_to(message, &ports)).collect();
        assert_eq!(messages(&packet).count(), 3);
        assert_eq!(found.len(), 1);
        // The name is the kernel's own attribute, byte for byte.
        let whole = connection(17, 31_000);
        let at = HEADER_BYTES + FAMILY_BYTES;
        assert_eq!(found[0], whole[at..at + found[0].len()]);
    }

    #[test]
    fn what_is_cut_short_is_no_message() {
        let whole = connection(17, 31_000);
        let ports = BTreeSet::from([31_000]);
        for length in 0..whole.len() {
            assert_eq!(messages(&whole[..length]).count(), 0);
            // Never more than what is there.
            assert!(original_to(&whole[..length], &ports).is_none_or(|name| name.len() <= length));
        }
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        assert!(fault(&[0; 20]).is_none());
    }
}
