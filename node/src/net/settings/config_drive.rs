//! `network_data.json` of a config drive, as OpenStack writes it: links by their hardware address, networks on them.

use std::net::Ipv4Addr;

use super::super::config::prefix_of;
use super::tree::{Fault, Node};
use super::{Addressing, Interface, Settings, Which, dns_server, gateway, mac, static_address};

/// Everything that is right counts; what is not is a fault with its line.
pub fn read_network_data(node: &Node) -> (Settings, Vec<Fault>) {
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    let push_servers = |of: &Node, settings: &mut Settings| -> Result<(), Fault> {
        for service in of.get("services").into_iter().flat_map(Node::items) {
            if let (Some("dns"), Some(address)) = (word(service, "type")?, service.get("address")) {
                let server = dns_server(address.text("address")?).map_err(|what| address.fault(what))?;
                settings.dns.push(server);
            }
        }
        Ok(())
    };
    if let Err(fault) = push_servers(node, &mut settings) {
        faults.push(fault);
    }
    let links = node.get("links").map(Node::items).unwrap_or_default();
    for network in node.get("networks").map(Node::items).unwrap_or_default() {
        match interface(network, links) {
            Ok(interface) => settings.interfaces.push(interface),
            Err(fault) => faults.push(fault),
        }
        if let Err(fault) = push_servers(network, &mut settings) {
            faults.push(fault);
        }
    }
    if let Err(what) = settings.check() {
        faults.push(node.fault(what));
        settings = Settings::default();
    }
    (settings, faults)
}

fn word<'a>(node: &'a Node, key: &str) -> Result<Option<&'a str>, Fault> {
    node.get(key).map(|value| value.text(key)).transpose()
}

fn interface(network: &Node, links: &[Node]) -> Result<Interface, Fault> {
    let id = word(network, "link")?;
    let link = links.iter().find(|link| id.is_some() && word(link, "id").ok().flatten() == id);
    let hardware = match link {
        Some(link) => word(link, "ethernet_mac_address")?,
        None => None,
    };
    let card = match hardware {
        Some(address) => Which::Mac(mac(address).map_err(|what| network.fault(what))?),
        None => Which::First,
    };
    let addressing = match word(network, "type")? {
        Some("ipv4_dhcp") => Addressing::Dhcp,
        Some("ipv4") => fixed(network)?,
        other => {
            let what = format!("a network of type `{}` is not taken", other.unwrap_or_default());
            return Err(network.fault(what));
        }
    };
    Ok(Interface { card, addressing })
}

fn fixed(network: &Node) -> Result<Addressing, Fault> {
    let node = network.get("ip_address").ok_or_else(|| network.fault("ip_address is missing"))?;
    let text = node.text("ip_address")?;
    let mask = word(network, "netmask")?.unwrap_or("255.255.255.0");
    let length = mask.parse::<Ipv4Addr>().ok().and_then(prefix_of);
    let length = length
        .ok_or_else(|| network.fault(format!("netmask is `{mask}`, expected one such as 255.255.255.0")))?;
    let whole = if text.contains('/') { text.to_owned() } else { format!("{text}/{length}") };
    let (address, prefix) = static_address(&whole).map_err(|what| node.fault(what))?;
    let mut router = word(network, "gateway")?;
    for route in network.get("routes").into_iter().flat_map(Node::items) {
        if word(route, "network")? == Some("0.0.0.0") {
            router = word(route, "gateway")?;
        }
    }
    let gateway = router.map(gateway).transpose().map_err(|what| network.fault(what))?;
    Ok(Addressing::Static { address, prefix, gateway })
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse;
    use super::*;

    #[test]
    fn links_and_networks_come_together() {
        let text = r#"{ "links": [{ "id": "tap1", "type": "phy", "ethernet_mac_address": "52:54:00:00:00:01" }],
            "networks": [
              { "id": "n0", "type": "ipv4", "link": "tap1", "ip_address": "10.0.0.5", "netmask": "255.255.0.0",
                "routes": [{ "network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1" }] },
              { "id": "n1", "type": "ipv6", "link": "tap1" }],
            "services": [{ "type": "dns", "address": "10.0.0.2" }] }"#;
        let (settings, faults) = read_network_data(&parse(text).unwrap());
        let (address, gateway) = (Ipv4Addr::new(10, 0, 0, 5), Some(Ipv4Addr::new(10, 0, 0, 1)));
        let addressing = Addressing::Static { address, prefix: 16, gateway };
        assert_eq!(
            settings.interfaces,
            [Interface { card: Which::Mac([0x52, 0x54, 0, 0, 0, 1]), addressing }]
        );
        assert_eq!(settings.dns.len(), 1);
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, ["line 5: a network of type `ipv6` is not taken"]);
    }
}
