//! `ip=` on the kernel line, in the kernel's own form: CLIENT:SERVER:GATEWAY:MASK:HOST:DEVICE:AUTOCONF:DNS:DNS.

use std::net::Ipv4Addr;

use super::config::{Config, Source, is_assignable, prefix_of};
use super::names::is_host_name;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    pub interfaces: Vec<Order>,
    /// Which `ip=` was not understood, and why; such an interface uses DHCP.
    pub faults: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// `None`: the first interface.
    pub device: Option<String>,
    pub host: Option<String>,
    pub addressing: Addressing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    Dhcp,
    Static(Config),
    Off,
}

impl Orders {
    pub fn parse(line: &str) -> Orders {
        let mut orders = Orders::default();
        for value in line.split_whitespace().filter_map(|word| word.strip_prefix("ip=")) {
            match parse(value) {
                Ok(order) => orders.interfaces.push(order),
                Err(fault) => orders.faults.push(format!("ip={value}: {fault}")),
            }
        }
        orders
    }

    /// What holds for an interface; `first` says whether it is the first of the machine.
    pub fn of(&self, device: &str, first: bool) -> Option<&Order> {
        let named = self.interfaces.iter().find(|order| order.device.as_deref() == Some(device));
        named.or_else(|| self.interfaces.iter().find(|order| order.device.is_none() && first))
    }
}

fn parse(value: &str) -> Result<Order, String> {
    if !value.contains(':') {
        let addressing = match value {
            "dhcp" | "on" | "any" => Addressing::Dhcp,
            "off" | "none" => Addressing::Off,
            _ => return Err("expected dhcp, off, or fields separated by colons".into()),
        };
        return Ok(Order { device: None, host: None, addressing });
    }
    let fields: Vec<&str> = value.split(':').collect();
    let field = |n: usize| fields.get(n).copied().filter(|text| !text.is_empty());
    let host = field(4).map(str::to_owned);
    if let Some(name) = host.as_deref().filter(|name| !is_host_name(name)) {
        return Err(format!("field 5 (host name) is `{name}`, expected letters, digits and dashes"));
    }
    let device = field(5).map(str::to_owned);
    let addressing = match (field(0), field(6)) {
        (Some(client), _) => Addressing::Static(static_config(client, &fields, host.clone())?),
        (None, None | Some("dhcp" | "on" | "any")) => Addressing::Dhcp,
        (None, Some("off" | "none")) => Addressing::Off,
        (None, Some(other)) => return Err(format!("field 7 (autoconf) is `{other}`, expected dhcp or off")),
    };
    Ok(Order { device, host, addressing })
}

fn static_config(client: &str, fields: &[&str], host: Option<String>) -> Result<Config, String> {
    let field = |n: usize| fields.get(n).copied().filter(|text| !text.is_empty());
    let optional = |n: usize, name: &str| field(n).map(|text| address(text, n, name)).transpose();
    let address_ = address(client, 0, "address")?;
    if !is_assignable(address_) {
        return Err(format!("field 1 (address) is `{client}`, which no machine can have"));
    }
    let mask = field(3).ok_or("field 4 (mask) is empty, expected one such as 255.255.255.0")?;
    let dns = [optional(7, "name server")?, optional(8, "name server")?];
    Ok(Config {
        address: address_,
        prefix: prefix(mask)?,
        gateway: optional(2, "gateway")?,
        dns: dns.into_iter().flatten().collect(),
        host,
        domain: None,
        source: Source::KernelLine,
    })
}

fn address(text: &str, index: usize, name: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("field {} ({name}) is `{text}`, expected an IPv4 address", index + 1))
}

/// A mask, or the length of a prefix.
fn prefix(text: &str) -> Result<u8, String> {
    let length = match text.parse::<u8>() {
        Ok(length) => Some(length).filter(|length| *length <= 32),
        Err(_) => text.parse().ok().and_then(prefix_of),
    };
    length.ok_or_else(|| format!("field 4 (mask) is `{text}`, expected one such as 255.255.255.0 or 24"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_is_read() {
        let orders =
            Orders::parse("quiet ip=10.1.0.5::10.1.0.1:255.255.0.0:rock:eth1:off:10.1.0.2:10.1.0.3 x=y");
        assert!(orders.faults.is_empty());
        let order = orders.of("eth1", false).unwrap();
        let Addressing::Static(config) = &order.addressing else { panic!("{order:?}") };
        assert_eq!((config.address, config.prefix), (Ipv4Addr::new(10, 1, 0, 5), 16));
        assert_eq!(config.gateway, Some(Ipv4Addr::new(10, 1, 0, 1)));
        assert_eq!((config.dns.len(), order.host.as_deref()), (2, Some("rock")));
        assert_eq!(orders.of("eth0", true), None);
    }

    #[test]
    fn short_forms() {
        let check = |line: &str, expected: Addressing| {
            assert_eq!(
                Orders::parse(line).of("eth0", true).map(|order| &order.addressing),
                Some(&expected),
                "{line}"
            );
        };
        check("ip=dhcp", Addressing::Dhcp);
        check("ip=off", Addressing::Off);
        check("ip=::::rock::dhcp", Addressing::Dhcp);
        check("ip=:::::eth0:none", Addressing::Off);
        assert_eq!(Orders::parse("zip=3 ipx").of("eth0", true), None);
    }

    #[test]
    fn faults_name_field_and_value() {
        let check = |line: &str, part: &str| {
            let faults = Orders::parse(line).faults.join("\n");
            assert!(faults.contains(part), "{line}: {faults}");
        };
        check("ip=sometimes", "expected dhcp");
        check("ip=10.0.0.300::::", "field 1 (address) is `10.0.0.300`");
        check("ip=224.0.0.1:::24", "no machine can have");
        check("ip=10.0.0.3::::", "field 4 (mask) is empty");
        check("ip=10.0.0.3:::33", "field 4 (mask) is `33`");
        check("ip=10.0.0.3:::255.0.255.0", "field 4 (mask)");
        check("ip=10.0.0.3::gw:24", "field 3 (gateway) is `gw`");
        check("ip=10.0.0.3:::24:a_b", "field 5 (host name)");
        check("ip=::::::bootp", "field 7 (autoconf)");
    }
}
