//! One port, in each of the shapes people write it, and what must hold among all of them.

use super::super::fault::quoted;
use super::super::fields::{Field, Fields};
use super::super::{Port, Protocol};
use super::keys;
use crate::limits;

const PROTOCOLS: [(&str, Protocol); 4] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("udp,tcp", Protocol::Both),
    ("tcp,udp", Protocol::Both),
];
/// The one port of the node that is also asked by udp.
const DNS: u16 = 53;
/// A name becomes a DNS label and part of a variable's name.
const NAME_BYTES_MAX: usize = 63;

/// A list of ports, or `None` when the key is absent or is no list.
pub fn read_list(fields: &Fields, key: &str, read: impl Fn(&Field) -> Option<Port>) -> Option<Vec<Port>> {
    let items = fields.get(key)?.list_up_to(limits::PORTS_PER_APP_MAX)?;
    // A port that cannot be read still takes its place, so that health check indices keep their meaning.
    let ports: Vec<Port> = items.iter().map(|item| read(item).unwrap_or_else(|| definition(0))).collect();
    refuse_twins(&items, &ports);
    Some(ports)
}

/// An entry of the old `ports`: a number.
pub fn bare(item: &Field) -> Option<Port> {
    Some(definition(item.integer(0..=65_535)? as u16))
}

/// An entry of `portDefinitions`.
pub fn port_definition(item: &Field) -> Option<Port> {
    let fields = item.object(keys::PORT_DEFINITION)?;
    Some(Port { service_port: number(&fields, "port").unwrap_or(0), ..common(&fields) })
}

/// An entry of `portMappings`, old place or new.
pub fn port_mapping(item: &Field) -> Option<Port> {
    let fields = item.object(keys::PORT_MAPPING)?;
    let common = common(&fields);
    Some(Port {
        service_port: number(&fields, "servicePort").unwrap_or(0),
        container_port: Some(number(&fields, "containerPort").unwrap_or(0)),
        host_port: host_port(&fields, common.protocol),
        ..common
    })
}

/// An entry of `ipAddress.discovery.ports`.
pub fn discovery_port(item: &Field) -> Option<Port> {
    let fields = item.object(keys::DISCOVERY_PORT)?;
    Some(Port { container_port: Some(number(&fields, "number").unwrap_or(0)), ..common(&fields) })
}

/// A port of host networking without further wishes.
pub fn definition(port: u16) -> Port {
    Port {
        service_port: port,
        container_port: None,
        host_port: None,
        protocol: Protocol::Tcp,
        name: None,
        labels: std::collections::BTreeMap::new(),
    }
}

fn number(fields: &Fields, key: &str) -> Option<u16> {
    fields.integer(key, 0..=65_535).map(|n| n as u16)
}

fn host_port(fields: &Fields, protocol: Protocol) -> Option<u16> {
    let port = number(fields, "hostPort")?;
    let owner = limits::NODE_PORTS.iter().find(|(taken, _)| *taken == port);
    if let Some((_, owner)) = owner
        && (protocol != Protocol::Udp || port == DNS)
    {
        fields.rule(
            "hostPort",
            format!("is {port}, which each node uses itself for {owner}; expected another port"),
        );
    }
    Some(port)
}

fn common(fields: &Fields) -> Port {
    let labels = fields.get("labels").and_then(|f| f.text_map(limits::LABELS_PER_APP_MAX));
    let name = fields.get("name").filter(|f| !f.is_blank()).and_then(|f| {
        let text = f.text()?;
        if !is_name(text) {
            f.rule(format!(
                "is {}; expected lower-case letters, digits and inner hyphens, at most {NAME_BYTES_MAX}",
                quoted(text)
            ));
        }
        Some(text.to_owned())
    });
    Port {
        protocol: fields.get("protocol").and_then(|f| f.word(&PROTOCOLS)).unwrap_or(Protocol::Tcp),
        name,
        labels: labels.unwrap_or_default(),
        ..definition(0)
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Refuses two ports of one name or number. tcp and udp are separate spaces.
fn refuse_twins(items: &[Field], ports: &[Port]) {
    let share =
        |a: &Port, b: &Port| a.protocol == b.protocol || [a, b].iter().any(|p| p.protocol == Protocol::Both);
    for (i, port) in ports.iter().enumerate() {
        for earlier in &ports[..i] {
            if port.name.is_some() && port.name == earlier.name {
                let name = quoted(port.name.as_deref().unwrap_or_default());
                items[i].rule(format!("Port names must be unique: {name} is given twice"));
            }
            if !share(port, earlier) {
                continue;
            }
            for (a, b) in
                [(Some(port.service_port), Some(earlier.service_port)), (port.host_port, earlier.host_port)]
            {
                if a == b
                    && let Some(number) = a.filter(|&number| number > 0)
                {
                    items[i].rule(format!("Ports must be unique: {number} is given twice"));
                }
            }
        }
    }
}
