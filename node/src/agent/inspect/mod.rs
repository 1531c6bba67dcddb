//! The machine beneath this node: disks, file systems, links, routes, the kernel's log, what our own roles wrote.
//!
//! Read from the kernel whenever somebody asks, and kept nowhere. Each file here parses one kind of text and is pure;
//! this one reads the texts.

mod disks;
mod file_systems;
mod kernel_log;
mod links;
mod routes;
mod service_log;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use console::inspect::{Hardware, InspectError, Inspector, KernelLog, KernelQuery};

use crate::config::Paths;
use crate::init::role_log;

/// More of a text of the kernel is not read.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

pub struct NodeInspector {
    logs: PathBuf,
}

impl NodeInspector {
    pub fn new(paths: &Paths) -> Self {
        Self { logs: role_log::folder(paths) }
    }
}

#[async_trait::async_trait]
impl Inspector for NodeInspector {
    async fn hardware(&self) -> Result<Hardware, InspectError> {
        blocking(|| Ok(hardware())).await
    }

    async fn kernel_log(&self, query: KernelQuery) -> Result<KernelLog, InspectError> {
        blocking(move || kernel_log::read(query)).await
    }

    async fn service_log(&self, role: &str, limit: usize) -> Result<Vec<u8>, InspectError> {
        // A name of ours is a word; anything else is not looked for.
        if role.is_empty() || !role.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(InspectError::NotFound);
        }
        let (folder, role) = (self.logs.clone(), role.to_owned());
        blocking(move || service_log::tail(&folder, &role, limit)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, InspectError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| InspectError::Io(e.to_string()))?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => InspectError::NotFound,
        _ => InspectError::Io(error.to_string()),
    })
}

/// What a machine does not have is absent, not an error.
fn hardware() -> Hardware {
    let (load, processes) = parse_load(&text(Path::new("/proc/loadavg")));
    let (resolvers, search_domains) = parse_resolvers(&text(Path::new("/etc/resolv.conf")));
    let mut routes = routes::parse_ipv4(&text(Path::new("/proc/net/route")));
    routes.extend(routes::parse_ipv6(&text(Path::new("/proc/net/ipv6_route"))));
    Hardware {
        load,
        processes,
        disks: disks::read(Path::new("/sys/block")),
        file_systems: file_systems::read(&text(Path::new("/proc/self/mountinfo"))),
        links: links::read(Path::new("/sys/class/net")),
        routes,
        resolvers,
        search_domains,
    }
}

/// A file of the kernel without blanks around it; empty if it cannot be read.
fn text(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, TEXT_BYTES_MAX), &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}

/// Names in a folder of the kernel, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// `0.20 0.18 0.12 1/80 11206`: three averages; running and all threads.
fn parse_load(text: &str) -> (Vec<String>, u64) {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let all = fields.get(3).and_then(|field| field.split_once('/')?.1.parse().ok());
    (fields.iter().take(3).map(|field| (*field).to_owned()).collect(), all.unwrap_or_default())
}

fn parse_resolvers(text: &str) -> (Vec<String>, Vec<String>) {
    let values = |keys: &[&str]| -> Vec<String> {
        let of_line = |line: &str| {
            let mut words = line.split_whitespace();
            let is_it = words.next().is_some_and(|word| keys.contains(&word));
            if is_it { words.map(str::to_owned).collect() } else { Vec::new() }
        };
        text.lines().flat_map(of_line).collect()
    };
    (values(&["nameserver"]), values(&["search", "domain"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_and_resolvers() {
        let (load, processes) = parse_load("0.20 0.18 1.12 1/80 11206");
        assert_eq!((load.join(" ").as_str(), processes), ("0.20 0.18 1.12", 80));
        assert_eq!(parse_load(""), (vec![], 0));
        let text =
            "# made by\nnameserver 10.0.2.3\nnameserver  fe80::1%eth0\nsearch a.test b.test\noptions x\n";
        let (servers, domains) = parse_resolvers(text);
        assert_eq!(servers, ["10.0.2.3", "fe80::1%eth0"]);
        assert_eq!(domains, ["a.test", "b.test"]);
    }

    /// Whatever machine this is, it has a root, a loopback link with its address, and says so.
    #[test]
    fn this_machine() {
        let found = hardware();
        let root = found.file_systems.iter().find(|fs| fs.mount == "/").expect("a root");
        assert!(root.total_bytes > 0 && !root.kind.is_empty(), "{root:?}");
        let loopback = found.links.iter().find(|link| link.name == "lo").expect("a loopback link");
        assert!(loopback.addresses.iter().any(|a| a == "127.0.0.1/8"), "{loopback:?}");
        assert!(found.processes > 0 && found.load.len() == 3);
    }
}
