//! The network an app joins and its ports, from the old and the new ways to say it (spec/marathon.md §2.4, §2.9).

use std::collections::BTreeMap;

use super::super::fault::quoted;
use super::super::fields::{Field, Fields};
use super::super::{NamedNetwork, Network, Port};
use super::{keys, ports};
use crate::limits;

/// The kind of network without its names; what `docker.network` can say.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Host,
    Bridge,
    Container,
}

pub fn read(fields: &Fields) -> (Network, Vec<Port>) {
    let container = fields.get("container").and_then(|f| f.object(keys::CONTAINER));
    let docker = container.as_ref().and_then(|c| c.get("docker")?.object(keys::DOCKER));
    let address = fields.get("ipAddress").and_then(|f| f.object(keys::IP_ADDRESS));
    let network = read_network(fields, docker.as_ref(), address.as_ref());
    let definitions = read_definitions(fields);
    let mappings = read_mappings(container.as_ref(), docker.as_ref(), address.as_ref());
    if address.is_some() && definitions.as_ref().is_some_and(|d| !d.is_empty()) {
        fields.rule("ipAddress", "is given beside `ports` or `portDefinitions`; expected only one of them");
    }
    let ports = match network {
        Network::Host => definitions.unwrap_or_else(|| vec![named_default(ports::definition(0))]),
        Network::Bridge => mapped(mappings, definitions.map_or(0, |d| d.len()), true),
        Network::Container { .. } => mapped(mappings, definitions.map_or(0, |d| d.len()), false),
    };
    let parts = [container.as_ref(), docker.as_ref()];
    match &network {
        Network::Host => {}
        Network::Bridge => refuse_ambiguous_names(parts, &[]),
        Network::Container { networks } => refuse_ambiguous_names(parts, networks),
    }
    (network, ports)
}

fn read_network(fields: &Fields, docker: Option<&Fields>, address: Option<&Fields>) -> Network {
    let old = docker.and_then(|d| d.get("network")).and_then(|field| docker_network(&field));
    let new = fields.get("networks").and_then(|field| read_networks(&field));
    if let (Some(new), Some(old), Some(docker)) = (&new, old, docker)
        && mode_of(new) != old
    {
        docker.rule(
            "network",
            "says something else than `networks`; expected only one of the two, or the same",
        );
    }
    if let (Some(_), Some(address)) = (&new, address) {
        address.sink.rule(&address.path, "is given beside `networks`; expected only one of the two");
    }
    match (new, old) {
        (Some(network), _) => network,
        (None, Some(Mode::Host)) => Network::Host,
        (None, Some(Mode::Bridge)) => Network::Bridge,
        (None, None) if address.is_none() => Network::Host,
        (None, Some(Mode::Container) | None) => {
            Network::Container { networks: old_named_network(fields, address) }
        }
    }
}

fn mode_of(network: &Network) -> Mode {
    match network {
        Network::Host => Mode::Host,
        Network::Bridge => Mode::Bridge,
        Network::Container { .. } => Mode::Container,
    }
}

fn docker_network(field: &Field) -> Option<Mode> {
    let words = [
        ("HOST", Some(Mode::Host)),
        ("BRIDGE", Some(Mode::Bridge)),
        ("USER", Some(Mode::Container)),
        ("NONE", None),
    ];
    let mode = field.word(&words)?;
    if mode.is_none() {
        field.rule(
            "is \"NONE\"; a container without a network is not supported: expected HOST, BRIDGE or USER",
        );
    }
    mode
}

/// `docker.network` USER or `ipAddress` name their network in `ipAddress.networkName`.
fn old_named_network(fields: &Fields, address: Option<&Fields>) -> Vec<NamedNetwork> {
    let name = address.and_then(|a| a.text("networkName")).filter(|name| !name.is_empty());
    if let Some(groups) = address.and_then(|a| a.get("groups"))
        && !groups.is_blank()
    {
        groups.rule(format!("is {}; network groups are not supported yet: remove them", groups.shown()));
    }
    let labels =
        address.and_then(|a| a.get("labels")?.text_map(limits::LABELS_PER_APP_MAX)).unwrap_or_default();
    let Some(name) = name else {
        fields.rule(
            "ipAddress/networkName",
            "is missing; expected the name of a network, because the cluster has no default one",
        );
        return Vec::new();
    };
    vec![NamedNetwork { name, labels }]
}

/// The new `networks`: one host, or one bridge, or any number of named ones.
fn read_networks(field: &Field) -> Option<Network> {
    let items = field.list_up_to(limits::LIST_PER_APP_MAX)?;
    let words = [("host", Mode::Host), ("container/bridge", Mode::Bridge), ("container", Mode::Container)];
    let mut named: Vec<NamedNetwork> = Vec::new();
    let mut modes = Vec::new();
    for item in &items {
        let Some(network) = item.object(keys::NETWORK) else { continue };
        let mode = network.get("mode").map_or(Some(Mode::Container), |f| f.word(&words));
        modes.extend(mode);
        let name = network.text("name").filter(|name| !name.is_empty());
        let labels = network.get("labels").and_then(|f| f.text_map(limits::LABELS_PER_APP_MAX));
        let labels = labels.unwrap_or_default();
        match (mode, name) {
            (Some(Mode::Container), Some(name)) if named.iter().any(|n| n.name == name) => {
                network.rule("name", format!("is {} a second time; expected distinct names", quoted(&name)));
            }
            (Some(Mode::Container), Some(name)) => named.push(NamedNetwork { name, labels }),
            (Some(Mode::Container), None) => network.rule(
                "name",
                "is missing; expected the name of a network, because the cluster has no default one",
            ),
            (Some(Mode::Host), name) if name.is_some() || !labels.is_empty() => {
                item.rule("is of mode `host` with a name or labels; expected neither");
            }
            (Some(Mode::Bridge), Some(name)) => {
                network.rule(
                    "name",
                    format!("is {}; expected none with mode `container/bridge`", quoted(&name)),
                );
            }
            (Some(Mode::Bridge), None) if !labels.is_empty() => {
                network.rule(
                    "labels",
                    "are given; labels of a bridge network are not supported yet: remove them",
                );
            }
            (Some(Mode::Host | Mode::Bridge), _) | (None, _) => {}
        }
    }
    let mode = *modes.first()?;
    if modes.iter().any(|m| *m != mode) || (mode != Mode::Container && modes.len() > 1) {
        field.rule(
            "mixes networks; expected exactly one of mode `host`, or exactly one of mode `container/bridge`, or only \
             ones of mode `container`",
        );
    }
    Some(match mode {
        Mode::Host => Network::Host,
        Mode::Bridge => Network::Bridge,
        Mode::Container => Network::Container { networks: named },
    })
}

/// `portDefinitions` or the old `ports`; both only if they name the same numbers.
fn read_definitions(fields: &Fields) -> Option<Vec<Port>> {
    let old = ports::read_list(fields, "ports", ports::bare);
    let new = ports::read_list(fields, "portDefinitions", ports::port_definition);
    if let (Some(old), Some(new)) = (&old, &new) {
        let numbers = |list: &[Port]| list.iter().map(|p| p.service_port).collect::<Vec<u16>>();
        if numbers(old) != numbers(new) {
            fields.rule(
                "portDefinitions",
                format!(
                    "name {:?}, but `ports` names {:?}; expected only one of the two, or the same numbers",
                    numbers(new),
                    numbers(old)
                ),
            );
        }
    }
    new.or(old)
}

/// Port mappings from the container, from its docker part, or from `ipAddress`; several only if they are the same.
fn read_mappings(
    container: Option<&Fields>,
    docker: Option<&Fields>,
    address: Option<&Fields>,
) -> Option<Vec<Port>> {
    let read = |fields: Option<&Fields>| {
        fields.and_then(|f| ports::read_list(f, "portMappings", ports::port_mapping))
    };
    let (new, old) = (read(container), read(docker));
    if let (Some(new), Some(old), Some(docker)) = (&new, &old, docker)
        && new != old
    {
        docker.rule(
            "portMappings",
            "differ from `container.portMappings`; expected only one of the two, or the same",
        );
    }
    let discovery = address.and_then(|a| a.get("discovery")?.object(keys::DISCOVERY));
    let discovered = discovery.and_then(|d| ports::read_list(&d, "ports", ports::discovery_port));
    new.or(old).or(discovered.filter(|d| !d.is_empty()))
}

/// The mappings of an app that does not use the host's network: at least as many as it has port definitions.
fn mapped(mappings: Option<Vec<Port>>, definitions: usize, bridge: bool) -> Vec<Port> {
    let blank = Port { container_port: Some(0), ..ports::definition(0) };
    let mut mappings = mappings.unwrap_or_else(|| vec![named_default(blank.clone())]);
    if definitions > mappings.len() {
        mappings.resize(definitions, blank);
    }
    for mapping in &mut mappings {
        // Entries that could not be read have no container port yet; their fault is noted.
        mapping.container_port.get_or_insert(0);
        if bridge {
            mapping.host_port.get_or_insert(0);
        }
    }
    mappings
}

fn named_default(port: Port) -> Port {
    Port { name: Some("default".to_owned()), labels: BTreeMap::new(), ..port }
}

/// Refuses to choose among several networks, which the canonical form cannot express yet.
fn refuse_ambiguous_names(parts: [Option<&Fields>; 2], networks: &[NamedNetwork]) {
    let items = parts.into_iter().flatten().flat_map(|part| part.list("portMappings"));
    for mapping in items.filter_map(|item| item.object(keys::PORT_MAPPING)) {
        let names = mapping.get("networkNames").and_then(|f| f.texts()).unwrap_or_default();
        let is_plain = networks.len() == 1 && names.iter().all(|n| *n == networks[0].name);
        if !names.is_empty() && !is_plain {
            mapping
                .rule("networkNames", format!("is {names:?}; choosing among networks is not supported yet"));
        }
        if networks.len() > 1 && mapping.get("hostPort").is_some() {
            mapping.rule("hostPort", "is given in an app of several networks, which is not supported yet");
        }
    }
}
