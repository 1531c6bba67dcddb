//! resolv.conf of tasks in host networking: they share the node's loopback, where this server answers. Whether it does
//! is told to whoever writes bundles by a file, which is there as long as the port is open.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::upstreams;

/// Names without a dot are looked for among the apps first.
const SEARCH: &str = "marathon.mesos";
const PORT: u16 = 53;

/// Holds the address at which tasks find the server.
pub fn marker(run: &Path) -> PathBuf {
    run.join("dns")
}

/// What to write into the marker, if tasks can reach that address: resolv.conf names no ports.
pub fn address_for_tasks(listening: SocketAddr) -> Option<IpAddr> {
    let ip = listening.ip();
    let reached = if ip.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
    (listening.port() == PORT).then_some(reached)
}

/// The text for a task that starts now. Without a server of ours it gets the node's own resolvers. With one, it gets no
/// other: some C libraries ask all at once and take whoever is first to say that there is no such name.
pub fn resolv_conf(run: &Path) -> String {
    let of_node =
        upstreams::files(run).iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let Ok(address) = fs::read_to_string(marker(run)) else { return of_node };
    let words = |key: &str| {
        let lines = of_node.lines().filter_map(move |line| line.trim().strip_prefix(key)).map(str::trim);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut search = vec![SEARCH.to_owned()];
    search.extend(words("search ").into_iter().chain(words("domain ")));
    let mut text = format!("nameserver {}\nsearch {}\n", address.trim(), search.join(" "));
    for options in words("options ") {
        text.push_str(&format!("options {options}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_ask_the_node_while_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let of_node = "search example.com\nnameserver 192.0.2.1\noptions ndots:2\n";
        fs::write(dir.path().join("resolv.conf"), of_node).unwrap();
        assert_eq!(resolv_conf(dir.path()), of_node);
        fs::write(marker(dir.path()), "127.0.0.1\n").unwrap();
        let expected = "nameserver 127.0.0.1\nsearch marathon.mesos example.com\noptions ndots:2\n";
        assert_eq!(resolv_conf(dir.path()), expected);
    }

    #[test]
    fn only_the_usual_port_is_of_use() {
        for (listening, expected) in [
            ("[::]:53", Some("127.0.0.1")),
            ("0.0.0.0:53", Some("127.0.0.1")),
            ("10.0.0.1:53", Some("10.0.0.1")),
            ("[::]:5353", None),
        ] {
            let address = address_for_tasks(listening.parse().unwrap());
            assert_eq!(address, expected.map(|ip| ip.parse().unwrap()), "{listening}");
        }
    }
}
