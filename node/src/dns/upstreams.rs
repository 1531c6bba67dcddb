//! Whom to ask for names that are not ours: given by hand, or what resolv.conf says at that moment.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

const PORT: u16 = 53;
/// As many as resolvers elsewhere heed.
const SERVERS_MAX: usize = 3;

pub struct Upstreams {
    given: Vec<SocketAddr>,
    /// The first that is there counts: what `meseta net` wrote, else the machine's.
    files: [PathBuf; 2],
    own_port: u16,
}

/// `192.0.2.1`, `192.0.2.1:5353` or `[2001:db8::1]:53`.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT));
    address.or_else(|_| text.parse()).map_err(|_| format!("`{text}` is not an address with or without port"))
}

impl Upstreams {
    pub fn new(given: Vec<SocketAddr>, run: &Path, own_port: u16) -> Self {
        Self { given, files: files(run), own_port }
    }

    /// Read anew each time: a lease may bring other servers, and a question to one of them costs a thousand times
    /// more than reading the file. Without ourselves, or a question would go round for ever.
    pub fn list(&self, own: &[IpAddr]) -> Vec<SocketAddr> {
        let is_own = |server: &SocketAddr| {
            server.port() == self.own_port && (server.ip().is_loopback() || own.contains(&server.ip()))
        };
        let all = if self.given.is_empty() { nameservers(&self.files) } else { self.given.clone() };
        all.into_iter().filter(|server| !is_own(server)).take(SERVERS_MAX).collect()
    }
}

/// Where the node's resolvers are written, best first.
pub fn files(run: &Path) -> [PathBuf; 2] {
    [run.join("resolv.conf"), PathBuf::from("/etc/resolv.conf")]
}

fn nameservers(files: &[PathBuf]) -> Vec<SocketAddr> {
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|rest| Some(SocketAddr::new(rest.trim().parse().ok()?, PORT))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_node_counts_and_we_are_not_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = "# by hand\nsearch a b\nnameserver 127.0.0.1\nnameserver 192.0.2.7\n nameserver\t10.0.0.1 \n\
            nameserver x\nnameserver 2001:db8::1\nnameserver 192.0.2.8\nnameserver 192.0.2.9\n";
        fs::write(dir.path().join("resolv.conf"), text).unwrap();
        let own = ["10.0.0.1".parse().unwrap()];
        let list = |port| {
            let upstreams = Upstreams::new(Vec::new(), dir.path(), port).list(&own);
            upstreams.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(list(53), ["192.0.2.7:53", "[2001:db8::1]:53", "192.0.2.8:53"]);
        assert_eq!(list(5353), ["127.0.0.1:53", "192.0.2.7:53", "10.0.0.1:53"]);
        let given = Upstreams::new(vec![parse("127.0.0.1:54").unwrap()], dir.path(), 53);
        assert_eq!(given.list(&own), [parse("127.0.0.1:54").unwrap()]);
        assert!(parse("nobody").is_err() && parse("::1").is_ok() && parse("[::1]:54").is_ok());
    }
}
