//! The node's DNS server, asked by `dig`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests::dig::{Dug, dig, dig_by};
use tests::node::{Node, Options};

fn app(id: &str, instances: u32) -> Value {
    json!({
        "id": id, "cmd": "sleep 1000", "instances": instances, "cpus": 0.01, "mem": 16,
        "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "http"}],
    })
}

/// Asks until the answer satisfies `enough`: the zone follows the state, which the test reads by another way.
#[track_caller]
fn wait_for_answer(node: &Node, args: &[&str], enough: impl Fn(&Dug) -> bool) -> Dug {
    node.wait_for(&format!("the answer to {args:?}"), || {
        let dug = dig(node.dns(), args);
        if enough(&dug) { Ok(dug) } else { Err(dug.text) }
    })
}

fn host_and_ports(node: &Node, id: &str) -> (String, Vec<u64>) {
    let app = node.app(id).unwrap();
    let tasks = app["tasks"].as_array().unwrap();
    let ports = tasks.iter().map(|t| t["ports"][0].as_u64().unwrap()).collect();
    (tasks[0]["host"].as_str().unwrap().to_owned(), ports)
}

#[test]
fn a_task_is_found_by_its_names_until_it_ends() {
    let node = Node::start();
    let is_absent = |dug: &Dug| dug.status == "NXDOMAIN" && dug.authority.len() == 1;
    assert!(is_absent(&dig(node.dns(), &["web-shop.marathon.mesos", "A"])));

    node.post_app(&app("/shop/web", 1));
    node.wait_running("shop/web", 1);
    let (host, ports) = host_and_ports(&node, "shop/web");
    let family = if host.contains(':') { "AAAA" } else { "A" };
    let dug = wait_for_answer(&node, &["Web-Shop.marathon.MESOS", family], |dug| !dug.answer.is_empty());
    assert_eq!(
        (&*dug.status, &dug.answer[..]),
        ("NOERROR", &[format!("{family} {host}")][..]),
        "{}",
        dug.text
    );
    assert!(dug.has_flag("aa") && dug.has_flag("ra") && !dug.has_flag("tc"), "{}", dug.text);
    let as_asked = dug.text.matches("Web-Shop.marathon.MESOS.").count();
    assert!(as_asked >= 2, "in the question and in the answer:\n{}", dug.text);
    for name in ["web.shop.marathon.mesos", "web-shop.marathon.slave.mesos", "leader.mesos", "master0.mesos"]
    {
        assert_eq!(dig(node.dns(), &[name, family]).answer, [format!("{family} {host}")], "{name}");
    }

    // A machine with addresses of both families is found by both; its leader, which is itself, has the same.
    let by_family = ["A", "AAAA"].map(|family| dig(node.dns(), &["leader.mesos", family]).answer);
    assert!(by_family.iter().all(|answer| answer.len() <= 1), "{by_family:?}");
    let own = by_family.concat();
    assert!(own.contains(&format!("{family} {host}")), "{own:?}");
    for name in ["_web-shop._tcp.marathon.mesos", "_http._web-shop._tcp.marathon.mesos"] {
        let dug = dig(node.dns(), &[name, "SRV"]);
        let [service] = &dug.answer[..] else { panic!("{}", dug.text) };
        assert!(service.starts_with(&format!("SRV 0 1 {} web-shop-", ports[0])), "{}", dug.text);
        assert_eq!(dug.additional, own, "{}", dug.text);
    }

    // Names that are there without such a record, and names above names.
    for (name, kind) in [
        ("web-shop.marathon.mesos", "TXT"),
        ("web-shop.marathon.mesos", "SRV"),
        ("marathon.slave.mesos", "A"),
        ("_tcp.marathon.mesos", "SRV"),
    ] {
        let dug = dig(node.dns(), &[name, kind]);
        assert_eq!((&*dug.status, dug.answer.len()), ("NOERROR", 0), "{}", dug.text);
        assert!(dug.authority.len() == 1 && dug.authority[0].starts_with("SOA ns1.mesos."), "{}", dug.text);
    }
    assert!(is_absent(&dig(node.dns(), &["_none._tcp.marathon.mesos", "SRV"])));
    assert_eq!(dig(node.dns(), &["mesos", "NS"]).answer, ["NS ns1.mesos."]);
    assert_eq!(dig(node.dns(), &["mesos", "AXFR", "+tcp"]).answer, [""; 0]);

    let listed =
        node.dns_http().get("/v1/services/_web-shop._tcp.marathon.mesos").unwrap().expect(200).json();
    assert_eq!((&listed[0]["ip"], &listed[0]["port"]), (&json!(host), &json!(ports[0].to_string())));

    // One task more: the same addresses, since both are on this node, and two services.
    node.wait_settled("shop/web");
    node.http.put("/v2/apps/shop/web", json!({ "instances": 2 }).to_string()).unwrap().expect(200);
    node.wait_running("shop/web", 2);
    let services = ["_web-shop._tcp.marathon.mesos", "SRV"];
    let dug = wait_for_answer(&node, &services, |dug| dug.answer.len() == 2);
    let (_, ports) = host_and_ports(&node, "shop/web");
    assert!(ports.iter().all(|p| dug.answer.iter().any(|a| a.contains(&format!(" {p} ")))), "{}", dug.text);
    assert_eq!(dug.additional.len(), 2 * own.len(), "{}", dug.text);

    node.delete_app("shop/web");
    wait_for_answer(&node, &["web-shop.marathon.mesos", "A"], is_absent);
    assert!(is_absent(&dig(node.dns(), &services)));
}

#[test]
fn what_does_not_fit_into_a_datagram_comes_by_tcp() {
    const INSTANCES: usize = 24;
    let node = Node::start();
    node.post_app(&app("many", INSTANCES as u32));
    node.wait_running("many", INSTANCES);
    let name = ["_many._tcp.marathon.mesos", "SRV"];
    let by_tcp = wait_for_answer(&node, &[name[0], name[1], "+tcp"], |dug| dug.answer.len() == INSTANCES);
    assert!(!by_tcp.has_flag("tc"));
    let cut = dig(node.dns(), &[name[0], name[1], "+ignore"]);
    assert!(cut.has_flag("tc") && (1..INSTANCES).contains(&cut.answer.len()), "{}", cut.text);
    let small = dig(node.dns(), &[name[0], name[1], "+ignore", "+noedns"]);
    assert!(small.has_flag("tc") && small.answer.len() < cut.answer.len(), "{}", small.text);
    // Left to itself, dig comes back by TCP.
    assert_eq!(dig(node.dns(), &name).answer, by_tcp.answer);
}

/// Answers every question with one address, by both transports, and counts.
struct Upstream {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counts = (asked.clone(), asked.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                counts.0.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(&Self::answer(&buffer[..length]), peer);
            }
        });
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut message).unwrap();
                counts.1.fetch_add(1, Ordering::Relaxed);
                let answer = Self::answer(&message);
                stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        Self { address, asked }
    }

    /// 192.0.2.77 for any name: header, the question without what follows it, one record.
    fn answer(message: &[u8]) -> Vec<u8> {
        let mut end = 12;
        while message[end] != 0 {
            end += 1 + usize::from(message[end]);
        }
        let mut answer = message[..end + 5].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
        answer
    }

    fn count(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A network with two addresses in it that are not the node's: `.2`, and `.130` of the upper half.
struct Stranger {
    name: String,
}

impl Stranger {
    const NODE: &str = "198.18.53.1";

    fn start() -> Self {
        let stranger = Self { name: format!("mdns{}", std::process::id()) };
        let (inside, outside) = (format!("{}i", stranger.name), format!("{}o", stranger.name));
        let name = &stranger.name;
        for line in [
            format!("netns add {name}"),
            format!("link add {outside} type veth peer name {inside} netns {name}"),
            format!("addr add {}/24 dev {outside}", Self::NODE),
            format!("link set {outside} up"),
            format!("-n {name} addr add 198.18.53.2/24 dev {inside}"),
            format!("-n {name} addr add 198.18.53.130/24 dev {inside}"),
            format!("-n {name} link set {inside} up"),
        ] {
            let done = Command::new("ip").args(line.split(' ')).output().unwrap();
            assert!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
        }
        stranger
    }

    fn dig(&self, from: &str, port: u16, args: &[&str]) -> Dug {
        let server = SocketAddr::new(Self::NODE.parse().unwrap(), port);
        let mut words = vec!["-b", from];
        words.extend(args);
        dig_by(&["ip", "netns", "exec", &self.name], server, &words)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = Command::new("ip").args(["link", "del", &format!("{}o", self.name)]).output();
    }
}

#[test]
fn other_names_are_asked_for_whom_it_concerns() {
    let (upstream, stranger) = (Upstream::start(), Stranger::start());
    // The first server is silent: the next one is asked.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = [silent.local_addr().unwrap(), upstream.address];
    let mut agent_args = vec!["--dns-allow".to_owned(), "198.18.53.128/25".to_owned()];
    agent_args.extend(servers.iter().flat_map(|s| ["--dns-upstream".to_owned(), s.to_string()]));
    let node = Node::start_with(Options { agent_args, dns_host: "0.0.0.0", ..Options::default() });
    let port = node.dns().port();

    let ours = dig(node.dns(), &["example.com", "A"]);
    assert_eq!(
        (&*ours.status, &ours.answer[..]),
        ("NOERROR", &["A 192.0.2.77".to_owned()][..]),
        "{}",
        ours.text
    );
    assert!(!ours.has_flag("aa"));
    assert_eq!(dig(node.dns(), &["example.com", "A", "+tcp"]).answer, ["A 192.0.2.77"]);
    let listed = stranger.dig("198.18.53.130", port, &["example.com", "A"]);
    assert_eq!(listed.answer, ["A 192.0.2.77"], "{}", listed.text);
    assert_eq!(upstream.count(), 3);

    for transport in ["+notcp", "+tcp"] {
        let refused = stranger.dig("198.18.53.2", port, &["example.com", "A", transport]);
        assert_eq!((&*refused.status, refused.answer.len()), ("REFUSED", 0), "{}", refused.text);
        assert!(!refused.has_flag("ra"), "{}", refused.text);
        // Our own names are everybody's.
        let zone = stranger.dig("198.18.53.2", port, &["_leader._tcp.mesos", "SRV", transport]);
        assert_eq!(zone.answer, ["SRV 0 1 5050 leader.mesos."], "{}", zone.text);
    }
    assert_eq!(upstream.count(), 3, "nobody was asked for a stranger");
}

#[test]
fn a_node_whose_port_is_taken_says_so_and_opens_it_later() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let node = Node::start_with(Options { dns_port: Some(port), ..Options::default() });
    let says = format!("DNS is not answered: port {port} is held by process {}", std::process::id());
    node.wait_for("the node says who holds the port", || {
        let status = node.http.get("/meseta/v1/node").map_err(|e| e.to_string())?.json();
        let said = status["last_error"].as_str().unwrap_or_default().to_owned();
        if said.contains(&says) { Ok(()) } else { Err(said) }
    });
    drop(holder);
    wait_for_answer(&node, &["_leader._tcp.mesos", "SRV"], |dug| dug.answer.len() == 1);
}

#[test]
fn odd_bytes_harm_nobody() {
    let node = Node::start();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(node.dns()).unwrap();
    let agent = node.role_pid("agent");
    // A linear congruential sequence: the same bytes each time.
    let mut seed = 1u64;
    for length in 0..1_500 {
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            })
            .collect();
        // Every second looks like a question.
        if length > 12 && length % 2 == 0 {
            bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        }
        let _ = client.send(&bytes);
    }
    wait_for_answer(&node, &["_leader._tcp.mesos", "SRV"], |dug| dug.answer.len() == 1);
    assert_eq!(node.role_pid("agent"), agent, "the agent was started anew");
}
