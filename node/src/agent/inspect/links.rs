//! Network links as `/sys/class/net` shows them, with their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use console::inspect::{Counters, Link};

use super::{names, text};

/// IFF_UP of linux/if.h.
const UP: u64 = 1;
/// Ends of containers' links come and go by the hundred.
const LINKS_MAX: usize = 200;

pub fn read(folder: &Path) -> Vec<Link> {
    let addresses = addresses();
    let mut links: Vec<Link> =
        names(folder).into_iter().take(LINKS_MAX).map(|name| link(&folder.join(&name), name)).collect();
    for link in &mut links {
        let own = addresses.iter().filter(|(name, _)| *name == link.name);
        link.addresses = own.map(|(_, address)| address.clone()).collect();
    }
    links
}

fn link(folder: &Path, name: String) -> Link {
    let number = |file: &str| text(&folder.join(file)).parse::<u64>().ok();
    let flags = text(&folder.join("flags"));
    let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or_default();
    let counters = |way: &str| Counters {
        bytes: number(&format!("statistics/{way}_bytes")).unwrap_or_default(),
        packets: number(&format!("statistics/{way}_packets")).unwrap_or_default(),
        errors: number(&format!("statistics/{way}_errors")).unwrap_or_default(),
        dropped: number(&format!("statistics/{way}_dropped")).unwrap_or_default(),
    };
    Link {
        mac: text(&folder.join("address")),
        up: flags & UP != 0,
        // Cannot be read of a link that is down.
        carrier: number("carrier") == Some(1),
        // -1 where nobody knows.
        speed_mbit: number("speed").filter(|speed| *speed > 0 && *speed < u64::from(u32::MAX)),
        mtu: number("mtu").unwrap_or_default(),
        addresses: Vec::new(),
        received: counters("rx"),
        sent: counters("tx"),
        name,
    }
}

/// Name of the link and address with prefix, IPv4 first.
fn addresses() -> Vec<(String, String)> {
    let Ok(found) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let one = |entry: nix::ifaddrs::InterfaceAddress| {
        let (address, mask) = (entry.address?, entry.netmask?);
        let ip = |s: &nix::sys::socket::SockaddrStorage| match (s.as_sockaddr_in(), s.as_sockaddr_in6()) {
            (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
            (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
            _ => None,
        };
        let address = ip(&address)?;
        let text = match ip(&mask)? {
            IpAddr::V4(mask) => format!("{address}/{}", prefix(mask)),
            IpAddr::V6(mask) => format!("{address}/{}", prefix_v6(mask)),
        };
        Some((address.is_ipv6(), entry.interface_name, text))
    };
    let mut found: Vec<_> = found.filter_map(one).collect();
    found.sort();
    found.into_iter().map(|(_, name, text)| (name, text)).collect()
}

pub fn prefix(mask: Ipv4Addr) -> u32 {
    mask.to_bits().leading_ones()
}

fn prefix_v6(mask: Ipv6Addr) -> u32 {
    mask.to_bits().leading_ones()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_and_a_link_that_is_down() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (file, content) in [
            ("net0/address", "52:54:00:12:34:56\n"),
            ("net0/flags", "0x1003\n"),
            ("net0/carrier", "1\n"),
            ("net0/speed", "1000\n"),
            ("net0/mtu", "1500\n"),
            ("net0/statistics/rx_bytes", "12\n"),
            ("net0/statistics/rx_dropped", "3\n"),
            ("net0/statistics/tx_packets", "4\n"),
            ("net1/flags", "0x1002\n"),
            ("net1/speed", "-1\n"),
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, content).expect("a file");
        }
        let expected = [
            Link {
                name: "net0".into(),
                mac: "52:54:00:12:34:56".into(),
                up: true,
                carrier: true,
                speed_mbit: Some(1000),
                mtu: 1500,
                addresses: vec![],
                received: Counters { bytes: 12, dropped: 3, ..Counters::default() },
                sent: Counters { packets: 4, ..Counters::default() },
            },
            Link { name: "net1".into(), ..Link::default() },
        ];
        assert_eq!(read(folder.path()), expected);
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix(Ipv4Addr::new(255, 255, 252, 0)), 22);
        assert_eq!(prefix(Ipv4Addr::UNSPECIFIED), 0);
        assert_eq!(prefix_v6("ffff:ffff::".parse().expect("a mask")), 32);
    }
}
