//! Reading the `HAPROXY_*` labels of one port (spec/marathon-lb.md §1.3): every value is checked, none is passed on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Mode;
use super::quote::shown;

const VHOSTS_MAX: usize = 64;
const VHOST_BYTES_MAX: usize = 253;
/// So many and so long that a rule stays far below the longest line HAProxy reads.
const PATHS_MAX: usize = 8;
const PATH_BYTES_MAX: usize = 128;
const SOURCES_MAX: usize = 32;

const ALGORITHMS: [&str; 7] = ["roundrobin", "leastconn", "static-rr", "source", "uri", "first", "random"];

/// Endings of `HAPROXY_{n}_…` that are understood.
const KNOWN: [&str; 13] = [
    "GROUP",
    "ENABLED",
    "VHOST",
    "PATH",
    "BACKEND_WEIGHT",
    "MODE",
    "BALANCE",
    "PORT",
    "STICKY",
    "REDIRECT_TO_HTTPS",
    "USE_HSTS",
    "BACKEND_NETWORK_ALLOWED_ACL",
    "AUTH",
];

/// What the labels ask for one port. Nothing in it can be anything but what its field says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub vhosts: Vec<String>,
    pub paths: Vec<String>,
    pub paths_ignore_case: bool,
    pub weight: i32,
    pub mode: Option<Mode>,
    pub balance: Option<&'static str>,
    pub port: Option<u16>,
    pub sticky: bool,
    pub redirect_to_https: bool,
    pub hsts: bool,
    pub allowed: Vec<String>,
}

type Labels = BTreeMap<String, String>;

/// Whether the port is to be balanced at all: it has a group and is not switched off.
pub fn is_offered(labels: &Labels, index: usize) -> bool {
    let own = labels.get(&key(index, "GROUP")).filter(|groups| !groups.trim().is_empty());
    let groups = own.or_else(|| labels.get("HAPROXY_GROUP")).map_or("", String::as_str);
    let has_group = groups.split(',').any(|group| !group.trim().is_empty());
    has_group && labels.get(&key(index, "ENABLED")).is_none_or(|value| is_true(value))
}

/// What the labels ask for port `index`, or every fault in them.
pub fn read(labels: &Labels, index: usize) -> Result<Wish, Vec<String>> {
    let mut reader = Reader { labels, index, faults: Vec::new() };
    let wish = reader.wish();
    if reader.faults.is_empty() { Ok(wish) } else { Err(reader.faults) }
}

/// Labels that look like ours and have no effect: told, so that nobody relies on them.
pub fn without_effect(labels: &Labels, ports: usize) -> Vec<String> {
    let about = |name: &str| match name.split_once('_') {
        _ if name == "GROUP" => None,
        Some((number, ending)) if number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty() => {
            match number.parse::<usize>() {
                Ok(n) if n >= ports => Some(format!("has no effect: the app has no port number {number}")),
                _ if !KNOWN.contains(&ending) => Some("is not supported yet and has no effect".to_owned()),
                _ => None,
            }
        }
        _ => Some("is not supported yet and has no effect".to_owned()),
    };
    let ours = labels.keys().filter_map(|key| Some((key, key.strip_prefix("HAPROXY_")?)));
    ours.filter_map(|(key, name)| Some(format!("label {} {}", shown(key), about(name)?))).collect()
}

struct Reader<'a> {
    labels: &'a Labels,
    index: usize,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn wish(&mut self) -> Wish {
        if self.get("AUTH").is_some() {
            // Without it the app would be open to everybody: better not to be reached at all.
            let name = key(self.index, "AUTH");
            self.faults.push(format!("label `{name}` is not supported yet"));
        }
        let (paths, paths_ignore_case) = self.paths();
        let mut wish = Wish {
            vhosts: self.vhosts(),
            weight: self.parsed("BACKEND_WEIGHT", "a whole number").unwrap_or(0),
            mode: self.word("MODE", &[("http", Mode::Http), ("tcp", Mode::Tcp)]),
            balance: self.word("BALANCE", &ALGORITHMS.map(|name| (name, name))),
            port: self.port(),
            sticky: self.flag("STICKY"),
            redirect_to_https: self.flag("REDIRECT_TO_HTTPS"),
            hsts: self.flag("USE_HSTS"),
            allowed: self.sources(),
            paths,
            paths_ignore_case,
        };
        if !wish.paths.is_empty() && wish.weight == 0 {
            wish.weight = 1;
        }
        if wish.mode == Some(Mode::Tcp) && !wish.vhosts.is_empty() {
            self.fault("MODE", "a mode other than tcp, because virtual hosts are HTTP's");
        }
        wish
    }

    /// A label that is there and not blank.
    fn get(&self, ending: &str) -> Option<&str> {
        let value = self.labels.get(&key(self.index, ending))?.trim();
        Some(value).filter(|value| !value.is_empty())
    }

    fn fault(&mut self, ending: &str, expected: &str) {
        let name = key(self.index, ending);
        let value = shown(self.labels.get(&name).map_or("", String::as_str));
        self.faults.push(format!("label `{name}` is {value}; expected {expected}"));
    }

    fn flag(&self, ending: &str) -> bool {
        self.get(ending).is_some_and(is_true)
    }

    fn parsed<T: std::str::FromStr>(&mut self, ending: &str, expected: &str) -> Option<T> {
        let parsed = self.get(ending)?.parse().ok();
        if parsed.is_none() {
            self.fault(ending, expected);
        }
        parsed
    }

    fn port(&mut self) -> Option<u16> {
        const EXPECTED: &str = "a port from 1 to 65535";
        let port = self.parsed("PORT", EXPECTED)?;
        if port == 0 {
            self.fault("PORT", EXPECTED);
        }
        Some(port)
    }

    fn word<T: Copy>(&mut self, ending: &str, words: &[(&str, T)]) -> Option<T> {
        let value = self.get(ending)?.to_ascii_lowercase();
        let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(ending, &format!("one of {}", all.join(", ")));
        }
        found
    }

    fn vhosts(&mut self) -> Vec<String> {
        let value = self.get("VHOST").unwrap_or("").to_ascii_lowercase();
        let mut hosts: Vec<String> = Vec::new();
        for host in value.split(',').map(str::trim).filter(|host| !host.is_empty()) {
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
        if hosts.len() > VHOSTS_MAX || !hosts.iter().all(|host| is_host(host)) {
            self.fault(
                "VHOST",
                &format!("at most {VHOSTS_MAX} host names like www.example.com, separated by commas"),
            );
        }
        hosts
    }

    fn paths(&mut self) -> (Vec<String>, bool) {
        let mut words = self.get("PATH").unwrap_or("").split_whitespace().map(str::to_owned).peekable();
        let ignore_case = words.next_if(|word| word == "-i").is_some();
        let paths: Vec<String> = words.collect();
        if paths.len() > PATHS_MAX || !paths.iter().all(|path| is_path(path)) {
            self.fault("PATH", &format!("at most {PATHS_MAX} paths like /api, separated by blanks"));
        }
        if !paths.is_empty() && self.get("VHOST").is_none() {
            self.fault("PATH", "none without a virtual host");
        }
        (paths, ignore_case)
    }

    fn sources(&mut self) -> Vec<String> {
        let value = self.get("BACKEND_NETWORK_ALLOWED_ACL").unwrap_or("");
        let sources: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        if sources.len() > SOURCES_MAX || !sources.iter().all(|source| is_network(source)) {
            self.fault(
                "BACKEND_NETWORK_ALLOWED_ACL",
                &format!("at most {SOURCES_MAX} addresses or networks like 10.0.0.0/8, separated by blanks"),
            );
        }
        sources
    }
}

fn key(index: usize, ending: &str) -> String {
    format!("HAPROXY_{index}_{ending}")
}

fn is_true(value: &str) -> bool {
    ["true", "t", "yes", "y"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

fn is_host(text: &str) -> bool {
    text.len() <= VHOST_BYTES_MAX
        && text.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        })
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= PATH_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~%+@:=-".contains(&b))
}

fn is_network(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse().is_ok_and(|n: u8| n <= longest))
}
