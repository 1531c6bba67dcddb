//! Settings on the kernel line: `ip=` in the kernel's own form, CLIENT:SERVER:GATEWAY:MASK:HOST:DEVICE:AUTOCONF:DNS:DNS,
//! and `meseta.hostname=`, `meseta.dns=`, `meseta.ntp=`, `meseta.proxy=`,
//! `meseta.registry-mirror=REGISTRY=URL` (lists separated by commas), `meseta.watchdog=`.

use std::net::Ipv4Addr;

use super::super::config::{is_assignable, prefix_of};
use super::{
    Addressing, Interface, Settings, Which, device_name, dns_server, host_name, proxy, registry_mirror,
    time_server,
};
use crate::watchdog::Watchdog;

/// The settings, and which words were not understood and why; those do not count.
pub fn read(line: &str) -> (Settings, Vec<String>) {
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    for word in line.split_whitespace() {
        let Some((key, value)) = word.split_once('=') else { continue };
        if let Err(fault) = read_word(&mut settings, key, value) {
            faults.push(format!("{word}: {fault}"));
        }
    }
    if let Err(fault) = settings.check() {
        return (Settings::default(), vec![fault]);
    }
    (settings, faults)
}

fn read_word(settings: &mut Settings, key: &str, value: &str) -> Result<(), String> {
    match key {
        "ip" => ip(settings, value)?,
        "meseta.hostname" => settings.hostname = Some(host_name(value)?),
        "meseta.dns" => settings.dns = list(value, dns_server)?,
        "meseta.ntp" => settings.ntp = list(value, time_server)?,
        "meseta.proxy" => settings.proxy = Some(proxy(value)?),
        "meseta.registry-mirror" => settings.registry_mirrors.extend(list(value, registry_mirror)?),
        "meseta.watchdog" => settings.watchdog = Some(Watchdog::parse(value)?),
        // The agent's matter: it joins before there is a cluster to tell about settings. The others are the boot loader's.
        "meseta.join" | "meseta.slot" | "meseta.ready" => {}
        key if key.starts_with("meseta.") => return Err("there is no such setting".into()),
        _ => {}
    }
    Ok(())
}

fn list<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').filter(|item| !item.is_empty()).map(read).collect()
}

fn ip(settings: &mut Settings, value: &str) -> Result<(), String> {
    if !value.contains(':') {
        let addressing = match value {
            "dhcp" | "on" | "any" => Addressing::Dhcp,
            "off" | "none" => Addressing::Off,
            _ => return Err("expected dhcp, off, or fields separated by colons".into()),
        };
        settings.interfaces.push(Interface { card: Which::First, addressing });
        return Ok(());
    }
    let fields: Vec<&str> = value.split(':').collect();
    let field = |n: usize| fields.get(n).copied().filter(|text| !text.is_empty());
    let host = field(4)
        .map(|name| host_name(name).map_err(|fault| format!("field 5 (host name): {fault}")))
        .transpose()?;
    let card = match field(5) {
        Some(name) => Which::Name(device_name(name).map_err(|fault| format!("field 6 (device): {fault}"))?),
        None => Which::First,
    };
    let addressing = match (field(0), field(6)) {
        (Some(client), _) => static_config(client, &fields)?,
        (None, None | Some("dhcp" | "on" | "any")) => Addressing::Dhcp,
        (None, Some("off" | "none")) => Addressing::Off,
        (None, Some(other)) => return Err(format!("field 7 (autoconf) is `{other}`, expected dhcp or off")),
    };
    for index in [7, 8] {
        if let Some(text) = field(index) {
            settings.dns.push(address(text, index, "name server")?.into());
        }
    }
    settings.hostname = settings.hostname.take().or(host);
    settings.interfaces.push(Interface { card, addressing });
    Ok(())
}

fn static_config(client: &str, fields: &[&str]) -> Result<Addressing, String> {
    let field = |n: usize| fields.get(n).copied().filter(|text| !text.is_empty());
    let own = address(client, 0, "address")?;
    if !is_assignable(own) {
        return Err(format!("field 1 (address) is `{client}`, which no machine can have"));
    }
    let mask = field(3).ok_or("field 4 (mask) is empty, expected one such as 255.255.255.0")?;
    let gateway = field(2).map(|text| address(text, 2, "gateway")).transpose()?;
    Ok(Addressing::Static { address: own, prefix: prefix(mask)?, gateway })
}

fn address(text: &str, index: usize, name: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("field {} ({name}) is `{text}`, expected an IPv4 address", index + 1))
}

/// A mask, or the length of a prefix.
fn prefix(text: &str) -> Result<u8, String> {
    let length = match text.parse::<u8>() {
        Ok(length) => Some(length).filter(|length| (1..=32).contains(length)),
        Err(_) => text.parse().ok().and_then(prefix_of),
    };
    length.ok_or_else(|| format!("field 4 (mask) is `{text}`, expected one such as 255.255.255.0 or 24"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_is_read() {
        let (settings, faults) = read(
            "quiet ip=10.1.0.5::10.1.0.1:255.255.0.0:rock:eth1:off:10.1.0.2:10.1.0.3 x=y \
             meseta.ntp=10.1.0.4,time.example meseta.proxy=http://p:3128 \
             meseta.registry-mirror=docker.io=http://10.1.0.9:5000 meseta.watchdog=30 meseta.slot=A meseta.ready=9",
        );
        assert_eq!(faults, [""; 0]);
        let [interface] = settings.interfaces.as_slice() else { panic!("{settings:?}") };
        assert_eq!(interface.card, Which::Name("eth1".into()));
        let gateway = Some(Ipv4Addr::new(10, 1, 0, 1));
        let address = Ipv4Addr::new(10, 1, 0, 5);
        assert_eq!(interface.addressing, Addressing::Static { address, prefix: 16, gateway });
        assert_eq!((settings.dns.len(), settings.hostname.as_deref()), (2, Some("rock")));
        assert_eq!((settings.ntp.len(), settings.proxy.as_deref()), (2, Some("http://p:3128")));
        let mirrors: Vec<String> = settings.registry_mirrors.iter().map(ToString::to_string).collect();
        assert_eq!(mirrors, ["docker.io=http://10.1.0.9:5000"]);
        assert_eq!(settings.watchdog, Some(Watchdog::Seconds(30)));
    }

    #[test]
    fn short_forms() {
        let check = |line: &str, expected: Addressing| {
            let (settings, _) = read(line);
            assert_eq!(settings.of("eth0", &[0; 6], true), Some(&expected), "{line}");
        };
        check("ip=dhcp", Addressing::Dhcp);
        check("ip=off", Addressing::Off);
        check("ip=::::rock::dhcp", Addressing::Dhcp);
        check("ip=:::::eth0:none", Addressing::Off);
        assert_eq!(read("zip=3 ipx").0, Settings::default());
    }

    #[test]
    fn faults_name_field_and_value() {
        let check = |line: &str, part: &str| {
            let faults = read(line).1.join("\n");
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
        check("meseta.ntp=a_b", "ntp is `a_b`");
        check(
            "meseta.watchdog=soon",
            "watchdog is `soon`, expected off or a number of seconds from 5 to 600",
        );
        check("meseta.colour=red", "no such setting");
    }
}
