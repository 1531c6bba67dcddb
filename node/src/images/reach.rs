//! How registries are reached from this node: mirrors that the agent was given, and mirrors and proxy of the machine's
//! settings as they stand at the moment of a pull. The proxy serves others, too.

use std::net::IpAddr;
use std::path::PathBuf;

use super::mirror::{Endpoint, Mirror, Mirrors};
use crate::net::host_status;

#[derive(Debug, Clone, Default)]
pub struct Reach {
    given: Vec<Mirror>,
    /// Where the network role says what the machine's settings are; none on a machine that is not ours.
    host_status: Option<PathBuf>,
}

/// The way to one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub endpoint: Endpoint,
    /// Asked instead, except for what is [near](is_near).
    pub proxy: Option<Endpoint>,
}

impl Reach {
    pub fn new(given: &[Mirror], host_status: PathBuf) -> Self {
        Self { given: given.to_vec(), host_status: Some(host_status) }
    }

    /// A mirror of the command line counts more than one of the settings.
    pub fn to(&self, registry: &str) -> Way {
        let host = self.host_status.as_deref().map(host_status::read).unwrap_or_default();
        let settings = host.registry_mirrors.iter().filter_map(|text| Mirror::parse(text).ok());
        let mirrors: Mirrors = settings.chain(self.given.iter().cloned()).collect();
        Way { endpoint: mirrors.endpoint(registry), proxy: Endpoint::parse(&host.proxy).ok() }
    }

    /// The proxy of the machine's settings.
    pub fn proxy(&self) -> Option<Endpoint> {
        let host = self.host_status.as_deref().map(host_status::read).unwrap_or_default();
        Endpoint::parse(&host.proxy).ok()
    }
}

/// Hosts of the node's own networks, which no proxy is asked for: private, loopback and link-local addresses, and
/// names without a dot.
pub fn is_near(host: &str) -> bool {
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => !host.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_at_each_pull_and_flags_count_more() {
        let dir = tempfile::tempdir().unwrap();
        let status = dir.path().join("host.json");
        let given = Mirror::parse("quay.io=http://flag:1").unwrap();
        let reach = Reach::new(&[given], status.clone());
        assert_eq!(reach.to("docker.io").proxy, None);
        assert_eq!(reach.to("docker.io").endpoint.to_string(), "https://registry-1.docker.io");
        let said = console::HostStatus {
            proxy: "http://10.0.0.9:3128".to_owned(),
            registry_mirrors: vec!["docker.io=http://set:2".to_owned(), "quay.io=http://set:3".to_owned()],
            ..Default::default()
        };
        std::fs::write(&status, serde_json::to_vec(&said).unwrap()).unwrap();
        let way = reach.to("docker.io");
        assert_eq!(way.endpoint.to_string(), "http://set:2");
        assert_eq!(way.proxy.unwrap().to_string(), "http://10.0.0.9:3128");
        assert_eq!(reach.to("quay.io").endpoint.to_string(), "http://flag:1");
    }

    #[test]
    fn no_proxy_is_asked_for_the_nodes_own_networks() {
        for host in ["127.0.0.1", "10.0.2.2", "192.168.1.5", "169.254.1.1", "[::1]", "[fd00::5]", "cache"] {
            assert!(is_near(host), "{host}");
        }
        for host in ["8.8.8.8", "registry-1.docker.io", "[2001:db8::1]"] {
            assert!(!is_near(host), "{host}");
        }
    }
}
