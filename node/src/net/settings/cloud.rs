//! What cloud-init's NoCloud and config drives hold, as far as it concerns a node: host name, addresses, name and time
//! servers, and our own section. Everything else in them is for other systems and is passed over.

use std::net::Ipv4Addr;

use super::super::config::prefix_of;
use super::config_drive::read_network_data;
use super::tree::{Fault, Node, parse};
use super::{
    Addressing, Interface, Settings, Which, device_name, dns_server, gateway, host_name, mac, read_own,
    static_address, time_server,
};

/// The texts of a seed; what was not there is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    pub meta_data: Option<String>,
    pub user_data: Option<String>,
    pub network_config: Option<String>,
    /// The config drive's own form of it.
    pub network_data: Option<String>,
    /// Our own form in a file of its own.
    pub own: Option<String>,
}

/// Our own file says the last word, then user data, network configuration, meta data.
pub fn read_seed(files: &Files) -> (Settings, Vec<String>) {
    type Reader = fn(&Node) -> (Settings, Vec<Fault>);
    let sources: [(&str, &Option<String>, Reader); 5] = [
        ("meseta.json", &files.own, read_own),
        ("user-data", &files.user_data, user_data),
        ("network-config", &files.network_config, network_config),
        ("network_data.json", &files.network_data, read_network_data),
        ("meta-data", &files.meta_data, meta_data),
    ];
    let mut whole = Settings::default();
    let mut faults = Vec::new();
    for (name, text, read) in sources {
        let Some(text) = text else { continue };
        let is_other = name == "user-data" && !text.starts_with("#cloud-config");
        let (found, wrong) = match parse(text) {
            _ if is_other => {
                (Settings::default(), vec![Fault::new(1, "expected the first line `#cloud-config`")])
            }
            Ok(node) => read(&node),
            Err(fault) => (Settings::default(), vec![fault]),
        };
        faults.extend(wrong.iter().map(|fault| format!("{name} {fault}")));
        whole.hostname = whole.hostname.or(found.hostname);
        whole.proxy = whole.proxy.or(found.proxy);
        whole.watchdog = whole.watchdog.or(found.watchdog);
        whole.join = whole.join.or(found.join);
        take_if_empty(&mut whole.interfaces, found.interfaces);
        take_if_empty(&mut whole.dns, found.dns);
        take_if_empty(&mut whole.ntp, found.ntp);
        take_if_empty(&mut whole.registry_mirrors, found.registry_mirrors);
    }
    (whole, faults)
}

fn take_if_empty<T>(mine: &mut Vec<T>, theirs: Vec<T>) {
    if mine.is_empty() {
        *mine = theirs;
    }
}

fn meta_data(node: &Node) -> (Settings, Vec<Fault>) {
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    // `hostname` is the config drive's word, `local-hostname` NoCloud's.
    if let Some(name) = node.get("local-hostname").or_else(|| node.get("hostname")) {
        keep(&mut settings.hostname, first_label(name), &mut faults);
    }
    (settings, faults)
}

fn user_data(node: &Node) -> (Settings, Vec<Fault>) {
    let (mut settings, mut faults) = node.get("meseta").map(read_own).unwrap_or_default();
    if let Some(name) = node.get("hostname").filter(|_| settings.hostname.is_none()) {
        keep(&mut settings.hostname, first_label(name), &mut faults);
    }
    let ntp = node.get("ntp").into_iter().flat_map(|ntp| [ntp.get("servers"), ntp.get("pools")]).flatten();
    for server in ntp.flat_map(Node::items) {
        match word(server, "ntp", time_server) {
            Ok(server) => settings.ntp.push(server),
            Err(fault) => faults.push(fault),
        }
    }
    checked(settings, faults, node)
}

fn first_label(node: &Node) -> Result<String, Fault> {
    let text = node.text("hostname")?;
    host_name(text.split('.').next().unwrap_or(text)).map_err(|what| node.fault(what))
}

fn keep<T>(slot: &mut Option<T>, found: Result<T, Fault>, faults: &mut Vec<Fault>) {
    match found {
        Ok(value) => *slot = Some(value),
        Err(fault) => faults.push(fault),
    }
}

fn word<T>(node: &Node, what: &str, read: fn(&str) -> Result<T, String>) -> Result<T, Fault> {
    read(node.text(what)?).map_err(|what| node.fault(what))
}

/// Too much of something is one fault, and then nothing of it counts.
fn checked(settings: Settings, mut faults: Vec<Fault>, node: &Node) -> (Settings, Vec<Fault>) {
    match settings.check() {
        Ok(()) => (settings, faults),
        Err(what) => {
            faults.push(node.fault(what));
            (Settings::default(), faults)
        }
    }
}

// === Network configuration, versions 1 and 2 ===

fn network_config(node: &Node) -> (Settings, Vec<Fault>) {
    let body = node.get("network").unwrap_or(node);
    let version = body.get("version").map(|version| version.text("version"));
    let read = match version {
        Some(Ok("1")) => version_1,
        Some(Ok("2")) => version_2,
        Some(Err(fault)) => return (Settings::default(), vec![fault]),
        Some(Ok(other)) => {
            let what = format!("version is `{other}`, expected 1 or 2");
            return (Settings::default(), vec![body.fault(what)]);
        }
        None => return (Settings::default(), vec![body.fault("version is missing, expected 1 or 2")]),
    };
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    read(body, &mut settings, &mut faults);
    // Other systems name cards after their slot; here the kernel's name stays. A lone card needs no name.
    if let [only] = settings.interfaces.as_mut_slice()
        && matches!(only.card, Which::Name(_))
    {
        only.card = Which::First;
    }
    checked(settings, faults, body)
}

fn version_2(body: &Node, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let cards = body.get("ethernets").map_or(Ok(&[][..]), |node| node.map("ethernets"));
    let cards = cards.unwrap_or_else(|fault| {
        faults.push(fault);
        &[]
    });
    for (name, card) in cards {
        match ethernet(name, card, settings, faults) {
            Ok(interface) => settings.interfaces.push(interface),
            Err(fault) => faults.push(fault),
        }
    }
    let kinds =
        ["bonds", "bridges", "vlans", "wifis"].into_iter().filter_map(|kind| Some((kind, body.get(kind)?)));
    faults.extend(kinds.map(|(kind, node)| node.fault(format!("{kind} are not made here"))));
}

fn ethernet(
    name: &str,
    node: &Node,
    settings: &mut Settings,
    faults: &mut Vec<Fault>,
) -> Result<Interface, Fault> {
    let by_match = node.get("match").and_then(|m| m.get("macaddress"));
    let card = match by_match {
        Some(address) => Which::Mac(word(address, "macaddress", mac)?),
        None => Which::Name(device_name(name).map_err(|what| node.fault(what))?),
    };
    let mut router = node.get("gateway4").map(|node| word(node, "gateway4", gateway)).transpose()?;
    for route in node.get("routes").map_or(Ok(&[][..]), |routes| routes.list("routes"))? {
        let to = route.get("to").map(|to| to.text("to")).transpose()?;
        match (to, route.get("via")) {
            (Some("default" | "0.0.0.0/0"), Some(via)) => router = Some(word(via, "via", gateway)?),
            _ => faults.push(route.fault("of routes only the default one is taken")),
        }
    }
    for server in
        node.get("nameservers").and_then(|servers| servers.get("addresses")).into_iter().flat_map(Node::items)
    {
        settings.dns.push(word(server, "nameservers", dns_server)?);
    }
    let addresses = node.get("addresses").map_or(Ok(&[][..]), |list| list.list("addresses"))?;
    let mut found = None;
    for item in addresses {
        match item.text("addresses")? {
            v6 if v6.contains(':') => faults.push(item.fault(only_ipv4(v6))),
            _ if found.is_some() => faults.push(item.fault("only one IPv4 address a card is taken")),
            v4 => found = Some(static_address(v4).map_err(|what| item.fault(what))?),
        }
    }
    let dhcp = node.get("dhcp4").map_or(Ok(false), |flag| flag.flag("dhcp4"))?;
    let addressing = match found {
        Some((address, prefix)) => Addressing::Static { address, prefix, gateway: router },
        None if dhcp => Addressing::Dhcp,
        None => Addressing::Off,
    };
    Ok(Interface { card, addressing })
}

fn only_ipv4(address: &str) -> String {
    format!("`{address}` is not taken: IPv6 addresses come from the network's routers")
}

fn version_1(body: &Node, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let entries = body.get("config").map_or(Ok(&[][..]), |node| node.list("config"));
    let entries = entries.unwrap_or_else(|fault| {
        faults.push(fault);
        &[]
    });
    for entry in entries {
        if let Err(fault) = entry_1(entry, settings, faults) {
            faults.push(fault);
        }
    }
}

fn entry_1(entry: &Node, settings: &mut Settings, faults: &mut Vec<Fault>) -> Result<(), Fault> {
    match entry.get("type").map(|kind| kind.text("type")).transpose()? {
        Some("physical") => {
            let interface = physical(entry, settings, faults)?;
            settings.interfaces.push(interface);
        }
        Some("nameserver") => {
            for server in entry.get("address").into_iter().flat_map(Node::items) {
                settings.dns.push(word(server, "nameserver", dns_server)?);
            }
        }
        Some("loopback") => {}
        Some(other) => return Err(entry.fault(format!("type `{other}` is not made here"))),
        None => return Err(entry.fault("type is missing")),
    }
    Ok(())
}

fn physical(entry: &Node, settings: &mut Settings, faults: &mut Vec<Fault>) -> Result<Interface, Fault> {
    let card = match (entry.get("mac_address"), entry.get("name")) {
        (Some(address), _) => Which::Mac(word(address, "mac_address", mac)?),
        (None, Some(name)) => Which::Name(word(name, "name", device_name)?),
        (None, None) => Which::First,
    };
    let mut addressing = None;
    for subnet in entry.get("subnets").map_or(Ok(&[][..]), |subnets| subnets.list("subnets"))? {
        for server in subnet.get("dns_nameservers").into_iter().flat_map(Node::items) {
            settings.dns.push(word(server, "dns_nameservers", dns_server)?);
        }
        let one = match subnet.get("type").map_or(Ok("dhcp"), |kind| kind.text("type"))? {
            "dhcp" | "dhcp4" => Addressing::Dhcp,
            "manual" => Addressing::Off,
            "static" => static_1(subnet)?,
            other => {
                faults.push(subnet.fault(format!("a subnet of type `{other}` is not taken")));
                continue;
            }
        };
        match addressing {
            None => addressing = Some(one),
            Some(_) => faults.push(subnet.fault("only one IPv4 subnet a card is taken")),
        }
    }
    Ok(Interface { card, addressing: addressing.unwrap_or(Addressing::Off) })
}

fn static_1(subnet: &Node) -> Result<Addressing, Fault> {
    let node = subnet.get("address").ok_or_else(|| subnet.fault("a static subnet has no address"))?;
    let text = node.text("address")?;
    if text.contains(':') {
        return Err(node.fault(only_ipv4(text)));
    }
    let with_prefix = match (text.contains('/'), subnet.get("netmask")) {
        (true, _) => text.to_owned(),
        (false, Some(mask)) => {
            let length = mask.text("netmask")?.parse::<Ipv4Addr>().ok().and_then(prefix_of);
            let length = length.ok_or_else(|| mask.fault("netmask is not one such as 255.255.255.0"))?;
            format!("{text}/{length}")
        }
        (false, None) => return Err(node.fault(format!("address is `{text}` without prefix or netmask"))),
    };
    let (address, prefix) = static_address(&with_prefix).map_err(|what| node.fault(what))?;
    let gateway = subnet.get("gateway").map(|node| word(node, "gateway", gateway)).transpose()?;
    Ok(Addressing::Static { address, prefix, gateway })
}
