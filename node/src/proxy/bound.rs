//! Ports: which a configuration listens on, and which somebody else already has.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use model::balancer::Bind;

use crate::api::listen::holder;

/// Ports of the `bind` lines of a configuration of ours.
pub fn ports_in(configuration: &str) -> BTreeSet<u16> {
    let binds = configuration.lines().filter_map(|line| line.strip_prefix("    bind ")?.split(' ').next());
    binds.filter_map(|bind| bind.rsplit_once(':')?.1.parse().ok()).collect()
}

/// Who listens on `port`, found by trying it; `None` if it is free, or what the trouble is does not concern strangers.
pub fn stranger_on(bind: Bind, port: u16) -> Option<String> {
    let address = match bind {
        Bind::All => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Bind::AllV4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Bind::Only(address) => address,
    };
    match TcpListener::bind(SocketAddr::new(address, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Some(holder::of_port(port).unwrap_or_else(|| "another program".to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_every_kind_of_bind_line() {
        let text =
            "frontend a\n    bind [::]:80 v4v6\n    bind *:10000\n    bind 10.0.0.1:443 ssl crt x\nbind :1\n";
        assert_eq!(ports_in(text), BTreeSet::from([80, 443, 10_000]));
    }

    #[test]
    fn a_port_in_use_has_a_holder() {
        let local = Bind::Only(Ipv4Addr::LOCALHOST.into());
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = stranger.local_addr().expect("bound").port();
        assert!(stranger_on(local, port).is_some_and(|who| who.contains("process")));
        drop(stranger);
        assert_eq!(stranger_on(local, port), None);
    }
}
