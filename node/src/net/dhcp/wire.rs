//! DHCP messages as bytes. Written here because a decoder of untrusted packets must not panic on any bytes, and the
//! one at hand does on some route options; we need ten options of all there are.

use std::net::Ipv4Addr;

/// RFC 2131 §2: what every client must accept; nothing we read is longer.
pub const MESSAGE_BYTES_MAX: usize = 1500;
/// Servers and relays of old drop shorter requests.
const MESSAGE_BYTES_MIN: usize = 300;
const FIXED_BYTES: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Of name servers and of time servers.
const SERVERS_MAX: usize = 3;
/// Answers go to the broadcast address: before it has an address, a UDP socket hears no others.
const FLAG_BROADCAST: u16 = 0x8000;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: u8 = 1;

mod option {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const NTP: u8 = 42;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_SECONDS: u8 = 51;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEW_SECONDS: u8 = 58;
    pub const REBIND_SECONDS: u8 = 59;
    pub const CLIENT: u8 = 61;
    pub const END: u8 = 255;
}

pub type Mac = [u8; 6];

/// What a client says. `current` is the address it holds, `requested` the one it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub xid: u32,
    pub discover: bool,
    pub seconds: u16,
    pub current: Option<Ipv4Addr>,
    pub requested: Option<Ipv4Addr>,
    pub server: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Offer,
    Ack,
    Nak,
}

/// What a server says, of what concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub kind: Kind,
    pub xid: u32,
    pub address: Ipv4Addr,
    pub server: Option<Ipv4Addr>,
    pub mask: Option<Ipv4Addr>,
    pub router: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub ntp: Vec<Ipv4Addr>,
    pub host: Option<String>,
    pub domain: Option<String>,
    pub lease_s: Option<u32>,
    pub renew_s: Option<u32>,
    pub rebind_s: Option<u32>,
}

pub fn encode(message: &Outgoing, mac: &Mac) -> Vec<u8> {
    let mut out = vec![REQUEST, ETHERNET, mac.len() as u8, 0];
    out.extend(message.xid.to_be_bytes());
    out.extend(message.seconds.to_be_bytes());
    out.extend(if message.current.is_some() { 0 } else { FLAG_BROADCAST }.to_be_bytes());
    out.extend(message.current.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    out.resize(28, 0);
    out.extend(mac);
    out.resize(FIXED_BYTES, 0);
    out.extend(COOKIE);
    let mut put = |code: u8, data: &[u8]| {
        out.extend([code, data.len() as u8]);
        out.extend(data);
    };
    put(option::MESSAGE_TYPE, &[if message.discover { 1 } else { 3 }]);
    put(option::CLIENT, &[&[ETHERNET], &mac[..]].concat());
    put(option::MAX_SIZE, &(MESSAGE_BYTES_MAX as u16).to_be_bytes());
    if let Some(address) = message.requested {
        put(option::REQUESTED_ADDRESS, &address.octets());
    }
    if let Some(server) = message.server {
        put(option::SERVER, &server.octets());
    }
    let wanted = [
        option::MASK,
        option::ROUTER,
        option::DNS,
        option::HOST_NAME,
        option::DOMAIN,
        option::NTP,
        option::LEASE_SECONDS,
        option::RENEW_SECONDS,
        option::REBIND_SECONDS,
    ];
    put(option::PARAMETERS, &wanted);
    out.push(option::END);
    out.resize(out.len().max(MESSAGE_BYTES_MIN), 0);
    out
}

/// `None` for anything that is not a whole answer to this card.
pub fn decode(bytes: &[u8], mac: &Mac) -> Option<Reply> {
    let fixed = bytes.get(..FIXED_BYTES)?;
    let head = (fixed[0], fixed[1], usize::from(fixed[2]));
    if head != (REPLY, ETHERNET, mac.len()) || fixed[28..34] != mac[..] {
        return None;
    }
    let options = bytes.get(FIXED_BYTES..)?.strip_prefix(&COOKIE)?;
    let find = |code| find_option(options, code);
    let kind = match find(option::MESSAGE_TYPE)? {
        [2] => Kind::Offer,
        [5] => Kind::Ack,
        [6] => Kind::Nak,
        _ => return None,
    };
    Some(Reply {
        kind,
        xid: u32::from_be_bytes(fixed[4..8].try_into().ok()?),
        address: address(&fixed[16..20])?,
        server: find(option::SERVER).and_then(address),
        mask: find(option::MASK).and_then(address),
        router: find(option::ROUTER).and_then(address),
        dns: find(option::DNS).map(addresses).unwrap_or_default(),
        ntp: find(option::NTP).map(addresses).unwrap_or_default(),
        host: find(option::HOST_NAME).and_then(name),
        domain: find(option::DOMAIN).and_then(name),
        lease_s: find(option::LEASE_SECONDS).and_then(number),
        renew_s: find(option::RENEW_SECONDS).and_then(number),
        rebind_s: find(option::REBIND_SECONDS).and_then(number),
    })
}

/// The first option of this code; an option cut off at the end is none.
fn find_option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let (&code, rest) = options.split_first()?;
        match code {
            option::PAD => options = rest,
            option::END => return None,
            _ => {
                let (&length, rest) = rest.split_first()?;
                let data = rest.get(..usize::from(length))?;
                if code == wanted {
                    return Some(data);
                }
                options = &rest[data.len()..];
            }
        }
    }
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = data.get(..4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

fn addresses(data: &[u8]) -> Vec<Ipv4Addr> {
    data.chunks_exact(4).filter_map(address).take(SERVERS_MAX).collect()
}

fn number(data: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(data.try_into().ok()?))
}

/// Names end up in files and on screens: letters, digits, dashes and dots, or none at all.
fn name(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?.trim_end_matches(['\0', '.']);
    super::super::names::is_host_name(text).then(|| text.to_owned())
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    pub const MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    /// A server's bytes, as one would send them.
    fn reply(kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![REPLY, ETHERNET, 6, 0, 0, 0, 0, 7];
        out.resize(16, 0);
        out.extend([10, 0, 2, 15]);
        out.resize(28, 0);
        out.extend(MAC);
        out.resize(FIXED_BYTES, 0);
        out.extend(COOKIE);
        out.extend([option::PAD, option::MESSAGE_TYPE, 1, kind]);
        for (code, data) in options {
            out.extend([*code, data.len() as u8]);
            out.extend(*data);
        }
        out.push(option::END);
        out
    }

    #[test]
    fn a_servers_answer_is_read() {
        let bytes = reply(
            5,
            &[
                (option::MASK, &[255, 255, 255, 0]),
                (option::ROUTER, &[10, 0, 2, 2, 10, 0, 2, 9]),
                (option::DNS, &[10, 0, 2, 3, 1, 1]),
                (option::NTP, &[10, 0, 2, 4]),
                (option::HOST_NAME, b"rock-1\0"),
                (option::LEASE_SECONDS, &[0, 0, 14, 16]),
                (option::SERVER, &[10, 0, 2, 2]),
            ],
        );
        let got = decode(&bytes, &MAC).unwrap();
        assert_eq!((got.kind, got.xid, got.address), (Kind::Ack, 7, Ipv4Addr::new(10, 0, 2, 15)));
        assert_eq!(got.router, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!((got.dns, got.ntp), (vec![Ipv4Addr::new(10, 0, 2, 3)], vec![Ipv4Addr::new(10, 0, 2, 4)]));
        assert_eq!((got.host.as_deref(), got.lease_s), (Some("rock-1"), Some(3600)));
        assert!(decode(&bytes, &[0; 6]).is_none(), "an answer to another card");
    }

    #[test]
    fn what_could_not_be_a_name_is_not_taken() {
        for bad in [&b"a b"[..], b"../etc", b"x\ny", b"", b"\xff\xfe", &[b'a'; 80]] {
            let bytes = reply(5, &[(option::HOST_NAME, bad)]);
            assert_eq!(decode(&bytes, &MAC).unwrap().host, None, "{bad:?}");
        }
    }

    #[test]
    fn a_request_has_the_fields_servers_look_at() {
        let server = Some(Ipv4Addr::new(10, 0, 2, 2));
        let requested = Some(Ipv4Addr::new(10, 0, 2, 15));
        let message = Outgoing { xid: 9, discover: false, seconds: 3, current: None, requested, server };
        let bytes = encode(&message, &MAC);
        assert!(bytes.len() >= MESSAGE_BYTES_MIN);
        assert_eq!(bytes[..12], [1, 1, 6, 0, 0, 0, 0, 9, 0, 3, 0x80, 0]);
        let options = &bytes[FIXED_BYTES + 4..];
        assert_eq!(find_option(options, option::MESSAGE_TYPE), Some(&[3][..]));
        assert_eq!(find_option(options, option::REQUESTED_ADDRESS), Some(&[10, 0, 2, 15][..]));
        assert_eq!(find_option(options, option::SERVER), Some(&[10, 0, 2, 2][..]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes, &MAC);
        }

        /// Random bytes seldom look like a reply: these do, up to their options.
        #[test]
        fn no_options_panic(options in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..700) {
            let mut bytes = reply(2, &[]);
            bytes.pop();
            bytes.extend(options);
            bytes.truncate(cut);
            if let Some(got) = decode(&bytes, &MAC) {
                prop_assert!(got.dns.len() <= SERVERS_MAX && got.ntp.len() <= SERVERS_MAX);
                prop_assert!(got.host.is_none_or(|name| name.len() <= 253));
            }
        }
    }
}
