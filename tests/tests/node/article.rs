//! The article's two nginx apps, unchanged and from end to end: pulled, bridged, checked, balanced and named.

use serde_json::Value;
use tests::dig::dig;
use tests::network::Network;
use tests::node::{Node, Options};
use tests::registry::Registry;

use crate::balancer::wait_answer;
use crate::images::seed;

#[test]
fn the_articles_nginx_is_found_at_its_ports_by_its_host_and_by_its_names() {
    let network = Network::new();
    let registry = Registry::start_at(network.outside());
    registry.push_seed();
    let node =
        Node::start_in(network, Options { agent_args: registry.as_docker_hub(), ..Options::default() });
    let own = node.network().address.to_string();
    for name in ["nginx-internal.json", "nginx-external.json"] {
        node.post_app(&seed(name));
    }
    for (id, port) in [("nginx-internal", 10_001), ("nginx-external", 10_000)] {
        node.wait_running(id, 1);
        let healthy = || {
            let app = node.app(id)?;
            if app["tasksHealthy"] == 1 { Ok(app) } else { Err(format!("{app:#}")) }
        };
        let app: Value = node.wait_for(&format!("{id} is healthy"), healthy);
        let task = &app["tasks"][0];
        assert_eq!(task["host"], own.as_str(), "{task:#}");

        let page = wait_answer(&node, port, &[], 200);
        assert!(page.text().contains("Welcome to nginx!"), "{page}");
        assert!(page.header("Server").starts_with("nginx/"), "{:?}", page.headers);

        // By its name it is itself, inside; its node's name goes with its host port.
        let inside = task["ipAddresses"][0]["ipAddress"].as_str().unwrap();
        let services = [("marathon.mesos", inside, 80), ("marathon.slave.mesos", &own, port_of(task))];
        for (zone, address, port) in services {
            let dug = dig(node.dns(), &[&format!("{id}.{zone}"), "A"]);
            assert_eq!(dug.answer, [format!("A {address}")], "{}", dug.text);
            let dug = dig(node.dns(), &[&format!("_{id}._tcp.{zone}"), "SRV"]);
            let [service] = &dug.answer[..] else { panic!("{}", dug.text) };
            assert!(service.starts_with(&format!("SRV 0 1 {port} {id}-")), "{}", dug.text);
            assert_eq!(dug.additional, [format!("A {address}")], "{}", dug.text);
        }
    }
    let page = wait_answer(&node, 80, &[("Host", "nginx.external.com")], 200);
    assert!(page.text().contains("Welcome to nginx!"), "{page}");
    wait_answer(&node, 80, &[("Host", "nginx.internal.com")], 503);
}

fn port_of(task: &Value) -> u64 {
    task["ports"][0].as_u64().unwrap()
}
