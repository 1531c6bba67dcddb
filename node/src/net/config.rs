//! What an interface is to have: the one form that DHCP, the kernel line and link-local addressing all end in.

use std::fmt;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::settings::Origin;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub address: Ipv4Addr,
    /// Length of the network prefix in bits, 0 to 32.
    pub prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    /// Time servers that the network offers.
    pub ntp: Vec<Ipv4Addr>,
    pub host: Option<String>,
    pub domain: Option<String>,
    pub source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Dhcp(Ipv4Addr),
    LinkLocal,
    Settings(Origin),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Source::Dhcp(server) => write!(f, "DHCP from {server}"),
            Source::LinkLocal => f.write_str("link-local, no DHCP answer yet"),
            Source::Settings(origin) => write!(f, "{origin}"),
        }
    }
}

/// The address of RFC 3927 that this card always takes, without the reserved first and last 256. It is not probed for
/// a second owner: two cards of one network with the same choice need one of 65,024 chances.
pub fn link_local(mac: &[u8; 6]) -> Config {
    let hash = mac.iter().fold(5381u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(*byte));
    let number = 256 + hash % (65536 - 512);
    let [_, _, high, low] = number.to_be_bytes();
    Config {
        address: Ipv4Addr::new(169, 254, high, low),
        prefix: 16,
        gateway: None,
        dns: Vec::new(),
        ntp: Vec::new(),
        host: None,
        domain: None,
        source: Source::LinkLocal,
    }
}

/// Length of a mask's prefix; `None` if its ones are not all in front.
pub fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then_some(ones as u8)
}

/// An address that a machine can have.
pub fn is_assignable(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    !(first == 0 || first >= 224 || address.is_loopback())
}

/// resolv.conf of all interfaces together; servers that somebody set take the place of those that networks offer.
pub fn resolv_conf<'a>(set: &[IpAddr], configs: impl Iterator<Item = &'a Config> + Clone) -> String {
    const SERVERS_MAX: usize = 3;
    let mut text = String::from("# written by meseta net\n");
    if let Some(domain) = configs.clone().find_map(|config| config.domain.as_ref()) {
        let _ = writeln!(text, "search {domain}");
    }
    let offered = configs.flat_map(|config| config.dns.iter().map(|server| IpAddr::V4(*server)));
    let offered: Vec<IpAddr> = if set.is_empty() { offered.collect() } else { Vec::new() };
    let mut servers: Vec<IpAddr> = Vec::new();
    for server in set.iter().chain(&offered) {
        if servers.len() < SERVERS_MAX && !servers.contains(server) {
            servers.push(*server);
        }
    }
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_their_ones_in_front() {
        let check =
            |mask: [u8; 4], expected| assert_eq!(prefix_of(Ipv4Addr::from(mask)), expected, "{mask:?}");
        check([255, 255, 255, 0], Some(24));
        check([0, 0, 0, 0], Some(0));
        check([255, 255, 255, 255], Some(32));
        check([255, 0, 255, 0], None);
        check([0, 255, 255, 255], None);
    }

    #[test]
    fn link_local_stays_off_the_reserved_ends() {
        for n in 0..=255 {
            for m in [0, 1, 127, 255] {
                let third = link_local(&[0x52, 0x54, 0, 0, n, m]).address.octets()[2];
                assert!((1..=254).contains(&third));
            }
        }
    }

    #[test]
    fn resolv_conf_names_each_server_once() {
        let mut one = link_local(&[1; 6]);
        one.dns = vec![Ipv4Addr::new(10, 0, 2, 3), Ipv4Addr::new(10, 0, 2, 3)];
        one.domain = Some("example.com".into());
        let text = resolv_conf(&[], [&one, &one].into_iter());
        assert_eq!(text, "# written by meseta net\nsearch example.com\nnameserver 10.0.2.3\n");
        let set = ["fd00::1".parse().unwrap()];
        let text = resolv_conf(&set, [&one].into_iter());
        assert_eq!(text, "# written by meseta net\nsearch example.com\nnameserver fd00::1\n");
    }
}
