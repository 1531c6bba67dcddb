//! Host ports: which ones an app demands, and which ones a task is given.

use crate::TaskId;
use crate::app::{AppSpec, Network};
use crate::ids::IdSource;
use crate::node::Node;

use super::NodeUsage;

/// What an app asks for in the place of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Any free port of the node's range.
    Any,
    /// This one and no other, be it in the range or not.
    Exactly(u16),
    /// The port is not mapped to the host; stands as 0 in a task's ports.
    Unmapped,
}

/// The demands of `spec`, in the order of its ports.
pub fn demands(spec: &AppSpec) -> impl Iterator<Item = Demand> + '_ {
    spec.ports.iter().map(|port| match (&spec.network, port.host_port) {
        (Network::Host, _) if spec.require_ports && port.service_port != 0 => {
            Demand::Exactly(port.service_port)
        }
        (Network::Host, _) | (_, Some(0)) => Demand::Any,
        (_, Some(exact)) => Demand::Exactly(exact),
        (_, None) => Demand::Unmapped,
    })
}

/// Why a node cannot give the host ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPort {
    /// A demanded port is taken; by another port of the same app if there is no holder.
    Taken { port: u16, holder: Option<TaskId> },
    /// The node's range is used up.
    Exhausted,
}

/// Ports for one task on `node`: demanded ones as they are, the others drawn at random, so that a port that was just
/// given back is not at once given to a stranger.
pub fn choose(
    spec: &AppSpec,
    node: &Node,
    usage: &NodeUsage,
    ids: &mut IdSource,
) -> Result<Vec<u16>, NoPort> {
    let mut given = demanded(spec, usage)?;
    for (at, demand) in demands(spec).enumerate() {
        if demand == Demand::Any {
            given[at] = draw(node, usage, &given, ids).ok_or(NoPort::Exhausted)?;
        }
    }
    Ok(given)
}

/// `Err` if [`choose`] would fail on `node`; draws nothing.
pub fn available(spec: &AppSpec, node: &Node, usage: &NodeUsage) -> Result<(), NoPort> {
    let given = demanded(spec, usage)?;
    let range = node.host_ports.0..=node.host_ports.1;
    let wanted = demands(spec).filter(|demand| *demand == Demand::Any).count();
    let in_range =
        given.iter().filter(|port| range.contains(port)).count() + usage.ports.range(range.clone()).count();
    if range.len() >= in_range + wanted { Ok(()) } else { Err(NoPort::Exhausted) }
}

/// The demanded ports in their places, 0 in all others.
fn demanded(spec: &AppSpec, usage: &NodeUsage) -> Result<Vec<u16>, NoPort> {
    let mut given = vec![0; spec.ports.len()];
    for (at, demand) in demands(spec).enumerate() {
        let Demand::Exactly(port) = demand else { continue };
        let holder = usage.ports.get(&port).cloned();
        if holder.is_some() || given.contains(&port) {
            return Err(NoPort::Taken { port, holder });
        }
        given[at] = port;
    }
    Ok(given)
}

/// A free port of the node's range, probing upwards from a random place.
fn draw(node: &Node, usage: &NodeUsage, given: &[u16], ids: &mut IdSource) -> Option<u16> {
    let (first, last) = (u32::from(node.host_ports.0), u32::from(node.host_ports.1));
    let span = last.checked_sub(first)? + 1;
    let start = u32::try_from(ids.draw_below(u64::from(span))).ok()?;
    let port_at = |step: u32| u16::try_from(first + (start + step) % span).ok();
    let is_free = |port: &u16| *port != 0 && !usage.ports.contains_key(port) && !given.contains(port);
    (0..span).filter_map(port_at).find(is_free)
}

/// True if `given` meets the demands of `spec` and is free on `node`.
pub fn fit(spec: &AppSpec, given: &[u16], node: &Node, usage: &NodeUsage) -> bool {
    let range = node.host_ports.0..=node.host_ports.1;
    let meets = |(demand, port): (Demand, &u16)| match demand {
        Demand::Any => range.contains(port),
        Demand::Exactly(exact) => *port == exact,
        Demand::Unmapped => *port == 0,
    };
    let mapped = || given.iter().filter(|port| **port != 0);
    let distinct = mapped().enumerate().all(|(at, port)| !mapped().skip(at + 1).any(|other| other == port));
    given.len() == spec.ports.len()
        && demands(spec).zip(given).all(meets)
        && distinct
        && mapped().all(|port| !usage.ports.contains_key(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn demands_follow_the_network() {
        let mut spec = testing::spec("/a");
        spec.ports =
            vec![testing::port(9_000, None), testing::port(10_000, Some(0)), testing::port(1, Some(80))];
        let of = |spec: &AppSpec| demands(spec).collect::<Vec<_>>();
        assert_eq!(of(&spec), [Demand::Any, Demand::Any, Demand::Any]);
        spec.require_ports = true;
        assert_eq!(of(&spec), [Demand::Exactly(9_000), Demand::Exactly(10_000), Demand::Exactly(1)]);
        spec.network = Network::Bridge;
        assert_eq!(of(&spec), [Demand::Unmapped, Demand::Any, Demand::Exactly(80)]);
    }

    #[test]
    fn a_range_is_given_out_to_the_last_port() {
        let (mut spec, mut node) = (testing::spec("/a"), testing::node(1));
        spec.ports = vec![testing::port(10_000, None); 3];
        node.host_ports = (31_000, 31_003);
        let mut usage = NodeUsage::default();
        usage.ports.insert(31_002, testing::task("/b", 1).id);
        for seed in 0..20 {
            let mut given = choose(&spec, &node, &usage, &mut IdSource::new(seed)).expect("three are free");
            assert!(fit(&spec, &given, &node, &usage), "{given:?}");
            given.sort_unstable();
            assert_eq!(given, [31_000, 31_001, 31_003]);
        }
        usage.ports.insert(31_000, testing::task("/b", 1).id);
        assert_eq!(choose(&spec, &node, &usage, &mut IdSource::new(1)), Err(NoPort::Exhausted));
    }

    #[test]
    fn a_demanded_port_is_given_or_its_holder_named() {
        let (mut spec, node) = (testing::spec("/a"), testing::node(1));
        spec.network = Network::Bridge;
        spec.ports = vec![testing::port(10_000, Some(0)), testing::port(9_000, Some(31_240))];
        let mut usage = NodeUsage::default();
        let given = choose(&spec, &node, &usage, &mut IdSource::new(1)).expect("free");
        assert_eq!(given[1], 31_240);
        assert!(fit(&spec, &given, &node, &usage));
        assert!(!fit(&spec, &[31_000, 31_241], &node, &usage));
        assert!(!fit(&spec, &[31_240, 31_240], &node, &usage));
        assert!(!fit(&spec, &[31_240], &node, &usage));
        let holder = testing::task("/b", 1).id;
        usage.ports.insert(31_240, holder.clone());
        let taken = NoPort::Taken { port: 31_240, holder: Some(holder) };
        assert_eq!(choose(&spec, &node, &usage, &mut IdSource::new(1)), Err(taken));
        assert!(!fit(&spec, &given, &node, &usage));
    }
}
