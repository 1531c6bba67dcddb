//! What somebody wants of this node, above all its network: the one form that a person's entry, a seed disk, the kernel line and the
//! firmware all end in, and [`layer`], which says whose word counts.

mod cloud;
mod config_drive;
pub mod kernel_line;
mod own;
pub mod tree;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::config::is_assignable;
use super::dhcp::Mac;
use super::names::is_host_name;
use crate::images::{Endpoint, Mirror};
use crate::peers::token::Token;
use crate::watchdog::Watchdog;
pub use cloud::{Files, read_seed};
pub use own::{emit, read_own};

const SERVERS_MAX: usize = 8;
const INTERFACES_MAX: usize = 32;
const MIRRORS_MAX: usize = 32;
const DEVICE_BYTES_MAX: usize = 15;
const PROXY_BYTES_MAX: usize = 256;

/// What is `None` or empty is left to the next source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub hostname: Option<String>,
    pub interfaces: Vec<Interface>,
    pub dns: Vec<IpAddr>,
    /// Names or addresses of time servers.
    pub ntp: Vec<String>,
    /// URL of the HTTP proxy through which the node reaches registries.
    pub proxy: Option<String>,
    /// Where the images of a registry are asked for instead.
    pub registry_mirrors: Vec<Mirror>,
    /// How long the node may hang before its machine is reset.
    pub watchdog: Option<Watchdog>,
    /// Lets an unclaimed node into a cluster.
    pub join: Option<Box<Token>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub card: Which,
    pub addressing: Addressing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The first card of the machine.
    First,
    Name(String),
    Mac(Mac),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    Dhcp,
    Static { address: Ipv4Addr, prefix: u8, gateway: Option<Ipv4Addr> },
    Off,
}

/// Whose word it is, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Person,
    SeedDisk,
    KernelLine,
    Firmware,
    /// VMware's guestinfo.
    Hypervisor,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Person => "saved on this node",
            Self::SeedDisk => "seed disk",
            Self::KernelLine => "kernel line",
            Self::Firmware => "firmware (fw_cfg)",
            Self::Hypervisor => "hypervisor (guestinfo)",
            Self::Default => "defaults (DHCP)",
        })
    }
}

/// What one source held. Faults do not keep the rest of it from counting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub origin: Origin,
    pub settings: Settings,
    /// Each names its file or word, and the line.
    pub faults: Vec<String>,
}

/// What counts in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub settings: Settings,
    /// Who said how the interfaces get their addresses; else who said anything at all.
    pub origin: Origin,
    pub faults: Vec<String>,
}

/// The strongest source that says anything of a matter has the say in it.
pub fn layer(found: &[Found]) -> Effective {
    let mut sources: Vec<&Found> = found.iter().collect();
    sources.sort_by_key(|source| source.origin);
    let mut settings = Settings::default();
    for source in &sources {
        let more = source.settings.clone();
        settings.hostname = settings.hostname.or(more.hostname);
        settings.proxy = settings.proxy.or(more.proxy);
        settings.watchdog = settings.watchdog.or(more.watchdog);
        settings.join = settings.join.or(more.join);
        if settings.dns.is_empty() {
            settings.dns = more.dns;
        }
        if settings.ntp.is_empty() {
            settings.ntp = more.ntp;
        }
        if settings.interfaces.is_empty() {
            settings.interfaces = more.interfaces;
        }
        if settings.registry_mirrors.is_empty() {
            settings.registry_mirrors = more.registry_mirrors;
        }
    }
    let with_interfaces = sources.iter().find(|source| !source.settings.interfaces.is_empty());
    let with_anything = sources.iter().find(|source| source.settings != Settings::default());
    let origin = with_interfaces.or(with_anything).map_or(Origin::Default, |source| source.origin);
    let faults = sources.iter().flat_map(|source| source.faults.clone()).collect();
    Effective { settings, origin, faults }
}

impl Settings {
    /// What holds for a card; `first` says whether it is the first of the machine.
    pub fn of(&self, device: &str, mac: &Mac, first: bool) -> Option<&Addressing> {
        let named = self.interfaces.iter().find(|interface| match &interface.card {
            Which::Name(name) => name == device,
            Which::Mac(of) => of == mac,
            Which::First => false,
        });
        let first = || self.interfaces.iter().find(|interface| interface.card == Which::First && first);
        named.or_else(first).map(|interface| &interface.addressing)
    }

    /// All of it is possible; the error names field, value and expectation.
    pub fn check(&self) -> Result<(), String> {
        if let Some(name) = &self.hostname {
            host_name(name)?;
        }
        if self.interfaces.len() > INTERFACES_MAX {
            return Err(format!("interfaces: {} of them, at most {INTERFACES_MAX}", self.interfaces.len()));
        }
        for interface in &self.interfaces {
            if let Which::Name(name) = &interface.card {
                device_name(name)?;
            }
            if let Addressing::Static { address, prefix, gateway: router } = &interface.addressing {
                static_address(&format!("{address}/{prefix}"))?;
                router.map_or(Ok(()), |router| gateway(&router.to_string()).map(drop))?;
            }
        }
        if self.dns.len() > SERVERS_MAX {
            return Err(format!("dns: {} servers, at most {SERVERS_MAX}", self.dns.len()));
        }
        if self.ntp.len() > SERVERS_MAX {
            return Err(format!("ntp: {} servers, at most {SERVERS_MAX}", self.ntp.len()));
        }
        if self.registry_mirrors.len() > MIRRORS_MAX {
            let count = self.registry_mirrors.len();
            return Err(format!("registry_mirrors: {count} of them, at most {MIRRORS_MAX}"));
        }
        self.ntp.iter().try_for_each(|server| time_server(server).map(drop))?;
        self.watchdog.map_or(Ok(()), |watchdog| Watchdog::parse(&watchdog.to_string()).map(drop))?;
        self.proxy.as_deref().map_or(Ok(()), |url| proxy(url).map(drop))
    }
}

// === Values, each from one word ===

pub fn host_name(text: &str) -> Result<String, String> {
    match is_host_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("hostname is `{text}`, expected letters, digits and dashes")),
    }
}

pub fn device_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= DEVICE_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'));
    if is_name { Ok(text.to_owned()) } else { Err(format!("`{text}` is not the name of an interface")) }
}

pub fn mac(text: &str) -> Result<Mac, String> {
    let fault = || format!("mac is `{text}`, expected six pairs of digits such as 52:54:00:12:34:56");
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .filter(|pair| pair.len() == 2)
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    if text.len() != 17 {
        return Err(fault());
    }
    Mac::try_from(&bytes[..]).map_err(|_| fault())
}

/// `10.0.0.5/24`
pub fn static_address(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let fault = || format!("address is `{text}`, expected one with its prefix such as 10.0.0.5/24");
    let (address, prefix) = text.split_once('/').ok_or_else(fault)?;
    let (address, prefix) = (address.parse().map_err(|_| fault())?, prefix.parse().map_err(|_| fault())?);
    if !is_assignable(address) {
        return Err(format!("address is `{text}`, which no machine can have"));
    }
    if (1..=32).contains(&prefix) { Ok((address, prefix)) } else { Err(fault()) }
}

pub fn gateway(text: &str) -> Result<Ipv4Addr, String> {
    let address = text.parse().ok().filter(|address| is_assignable(*address));
    address.ok_or_else(|| format!("gateway is `{text}`, expected an IPv4 address"))
}

pub fn dns_server(text: &str) -> Result<IpAddr, String> {
    let address = text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified());
    address.ok_or_else(|| format!("dns is `{text}`, expected an IP address"))
}

pub fn time_server(text: &str) -> Result<String, String> {
    match text.parse::<IpAddr>().is_ok() || is_host_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("ntp is `{text}`, expected a host name or an IP address")),
    }
}

pub fn proxy(text: &str) -> Result<String, String> {
    let problem = match Endpoint::parse(text) {
        Ok(_) if text.len() <= PROXY_BYTES_MAX => return Ok(text.to_owned()),
        Ok(_) => "is too long",
        Err(problem) => problem,
    };
    Err(format!("proxy is `{text}`, which {problem}; expected a URL such as http://10.0.0.9:3128"))
}

pub fn join_token(text: &str) -> Result<Token, String> {
    // The fault never quotes it: whoever has it comes in.
    Token::parse(text).map_err(|fault| format!("join: {fault}"))
}

pub fn registry_mirror(text: &str) -> Result<Mirror, String> {
    Mirror::parse(text).map_err(|fault| format!("registry_mirrors is {fault}"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
