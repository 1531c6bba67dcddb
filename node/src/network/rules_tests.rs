//! What tasks make of the packet filter.

use model::app::Port;
use model::testing::{self, Lab};

use super::*;

/// A node with one task of an app on the bridge with `ports`; the task, its host ports and the rules that follow.
fn rules_of(ports: Vec<Port>) -> (Vec<u16>, Rules) {
    let mut lab = Lab::new();
    lab.put(AppSpec { network: Network::Bridge, ports, ..testing::spec("/a") });
    lab.lead();
    let task = lab.tasks()[0].clone();
    let subnet: Subnet = "172.26.0.0/20".parse().expect("a subnet");
    let mut addresses = Addresses::default();
    addresses.give(&task.id, subnet).expect("free");
    // A task that is on its way in or out has no ports, but may send.
    addresses.give(&testing::task("/stranger", 1).id, subnet).expect("free");
    (task.ports, Rules::of(&lab.state, NodeId(1), &addresses, subnet))
}

fn mapping(container: u16, host: Option<u16>, protocol: Protocol) -> Port {
    Port { container_port: Some(container), protocol, ..testing::port(0, host) }
}

#[test]
fn each_mapped_port_leads_to_its_task() {
    let (ports, rules) = rules_of(vec![
        mapping(80, Some(31_240), Protocol::Tcp),
        mapping(53, Some(0), Protocol::Both),
        mapping(0, Some(0), Protocol::Udp),
        mapping(9_000, None, Protocol::Tcp),
    ]);
    let address = Ipv4Addr::new(172, 26, 0, 2);
    let expected = BTreeMap::from([
        ((Transport::Tcp, 31_240), (address, 80)),
        ((Transport::Tcp, ports[1]), (address, 53)),
        ((Transport::Udp, ports[1]), (address, 53)),
        ((Transport::Udp, ports[2]), (address, ports[2])),
    ]);
    assert_eq!(rules.mappings, expected);
    assert_eq!(rules.senders, BTreeSet::from([address, Ipv4Addr::new(172, 26, 0, 3)]));
}

#[test]
fn the_script_says_exactly_what_is_there() {
    let (_, rules) = rules_of(vec![mapping(80, Some(31_240), Protocol::Tcp)]);
    let script = rules.script();
    for line in [
        "flush map inet meseta ports",
        "add element inet meseta ports { tcp . 31240 : 172.26.0.2 . 80 }",
        "add element bridge meseta senders { \"mtac1a0002\" . 02:4d:ac:1a:00:02 . 172.26.0.2, \
         \"mtac1a0003\" . 02:4d:ac:1a:00:03 . 172.26.0.3 }",
        "add rule inet meseta guard iifname \"meseta0\" ip daddr 127.0.0.0/8 drop",
        "add rule inet meseta outbound ip saddr 172.26.0.0/20 oifname != \"meseta0\" masquerade",
    ] {
        assert!(script.lines().any(|l| l == line), "no `{line}` in\n{script}");
    }
    let flushed = script.find("flush table inet meseta").expect("it begins empty");
    assert!(script.find("add rule").is_some_and(|first| first > flushed), "{script}");
    let empty = Rules { mappings: BTreeMap::new(), senders: BTreeSet::new(), ..rules };
    assert!(!empty.script().contains("add element"), "{}", empty.script());
}

#[test]
fn apps_in_host_networking_map_nothing() {
    let mut lab = Lab::new();
    lab.put(AppSpec { ports: vec![testing::port(0, None)], ..testing::spec("/a") });
    lab.lead();
    let subnet: Subnet = "172.26.0.0/20".parse().expect("a subnet");
    let mut addresses = Addresses::default();
    addresses.give(&lab.tasks()[0].id, subnet).expect("free");
    assert!(Rules::of(&lab.state, NodeId(1), &addresses, subnet).mappings.is_empty());
}

#[test]
fn datagrams_move_where_a_mapping_is_new_gone_or_different() {
    let (_, rules) =
        rules_of(vec![mapping(53, Some(31_053), Protocol::Both), mapping(80, Some(31_080), Protocol::Tcp)]);
    let ports = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
    assert_eq!(rules.moved_udp(None), ports(&[31_053]));
    assert_eq!(rules.moved_udp(Some(&rules)), ports(&[]));
    let mut other = rules.clone();
    other.mappings.insert((Transport::Udp, 31_053), (Ipv4Addr::new(172, 26, 0, 9), 53));
    other.mappings.insert((Transport::Udp, 31_054), (Ipv4Addr::new(172, 26, 0, 9), 54));
    assert_eq!(rules.moved_udp(Some(&other)), ports(&[31_053, 31_054]));
}
