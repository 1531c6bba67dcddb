//! Tasks on the node's bridge: reached by their host ports from everywhere, and nothing of it stays.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::http::Client;
use tests::network::Network;
use tests::node::{Node, Options};

fn node() -> Node {
    Node::start_with(Options { own_network: true, ..Options::default() })
}

/// Serves its own task id on tcp 8080. For udp busybox has no server: [`echo_in`] is one.
const SERVER: &str = "mkdir www; printf %s \"$MESOS_TASK_ID\" > www/index.html; exec httpd -f -p 8080 -h www";
/// Prints the last line of what is served at an address and port. The static busybox's wget crashes in the C library.
const FETCH: &str = r#"fetch() { printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 10 "$1" "$2" | tail -n 1; echo; };"#;
const END: &[u8] = b"end";

/// Sends every datagram that reaches udp 9000 of that process's network back, until it is told to end.
fn echo_in(pid: i32) -> JoinHandle<()> {
    std::thread::spawn(move || {
        // Only this thread enters, and it ends there.
        let space = fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
        nix::sched::setns(&space, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:9000").unwrap();
        socket.set_read_timeout(Some(tests::wait::DEADLINE)).unwrap();
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..length], from).unwrap();
            if &buffer[..length] == END {
                return;
            }
        }
    })
}

fn server(id: &str, instances: u32) -> Value {
    json!({
        "id": id, "cmd": SERVER, "cpus": 0.1, "mem": 32, "instances": instances,
        "networks": [{"mode": "container/bridge"}],
        "container": {"type": "MESOS", "portMappings": [
            {"containerPort": 8080, "hostPort": 0, "protocol": "tcp", "name": "web"},
            {"containerPort": 9000, "hostPort": 0, "protocol": "udp"},
        ]},
    })
}

/// The app's task objects, by id.
fn tasks(node: &Node, id: &str) -> Vec<Value> {
    node.app(id).unwrap()["tasks"].as_array().unwrap().clone()
}

fn port(task: &Value, index: usize) -> u16 {
    task["ports"][index].as_u64().unwrap().try_into().unwrap()
}

fn address(task: &Value) -> String {
    task["ipAddresses"][0]["ipAddress"].as_str().unwrap().to_owned()
}

/// What is served there, as soon as something is.
#[track_caller]
fn served(node: &Node, at: &str) -> String {
    let client = Client::new(at);
    node.wait_for(&format!("{at} answers"), || match client.get("/") {
        Ok(answer) if answer.status == 200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
        Ok(answer) => Err(answer.to_string()),
        Err(error) => Err(error.to_string()),
    })
}

/// Interfaces of tasks, and elements of the packet filter: what is there for each task.
fn per_task(network: &Network) -> Vec<String> {
    let links = network.traces().into_iter().filter(|name| name.starts_with("mt"));
    let list = |place: &[&str]| network.run(&[&["nft", "list"], place].concat()).unwrap();
    let filter = [list(&["map", "inet", "meseta", "ports"]), list(&["set", "bridge", "meseta", "senders"])];
    let elements = filter
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.contains(" . ") && !line.contains("type"));
    links.chain(elements.map(str::to_owned)).collect()
}

#[test]
fn host_ports_lead_to_tasks_from_everywhere() {
    let node = node();
    node.post_app(&server("web", 2));
    node.wait_running("web", 2);
    let tasks = tasks(&node, "web");
    assert_ne!(address(&tasks[0]), address(&tasks[1]));
    let own = node.network().address;
    for task in &tasks {
        let id = task["id"].as_str().unwrap();
        assert_eq!(task["host"], own.to_string().as_str(), "{task:#}");
        assert!(address(task).starts_with("172.26."), "{task:#}");
        // From another machine, and from the node itself.
        assert_eq!(served(&node, &format!("{own}:{}", port(task, 0))), id);
        for host in [own.to_string(), "127.0.0.1".to_owned()] {
            let url = format!("http://{host}:{}/", port(task, 0));
            assert_eq!(node.network().run(&["curl", "-sS", "--max-time", "10", &url]).unwrap(), id, "{url}");
        }
        // From the task itself, which does not know that it calls itself.
        let space = format!("--net=/proc/{}/ns/net", node.task_pid(id).unwrap());
        let url = format!("http://{own}:{}/", port(task, 0));
        let curl = ["nsenter", &space, "--", "curl", "-sS", "--max-time", "10", "--noproxy", "*", &url];
        assert_eq!(node.network().run(&curl).unwrap(), id, "{url} from within");
        let echo = echo_in(node.task_pid(id).unwrap());
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for word in [id.as_bytes(), END] {
            node.wait_for("a datagram comes back", || {
                let to = SocketAddr::from((own, port(task, 1)));
                socket.send_to(word, to).map_err(|error| error.to_string())?;
                let mut buffer = [0; 512];
                let (length, from) = socket.recv_from(&mut buffer).map_err(|error| error.to_string())?;
                if &buffer[..length] == word && from == to { Ok(()) } else { Err(format!("{from}")) }
            });
        }
        echo.join().unwrap();
    }

    // From a third task on the bridge: by the node's address, and by the others' own.
    let places: Vec<String> = tasks
        .iter()
        .flat_map(|task| [format!("{own} {}", port(task, 0)), format!("{} 8080", address(task))])
        .collect();
    let fetches: String = places.iter().map(|place| format!("fetch {place}; ")).collect();
    node.post_app(&json!({
        "id": "guest", "cpus": 0.1, "mem": 32, "networks": [{"mode": "container/bridge"}],
        "container": {"type": "MESOS", "portMappings": [{"containerPort": 0, "hostPort": 0}]},
        "cmd": format!(
            "{FETCH} {fetches} cat /etc/resolv.conf; echo complete; sleep 1000"
        ),
    }));
    let guest = node.wait_running("guest", 1).remove(0);
    let text = node.wait_output(&guest, "stdout", |text| text.contains("complete"));
    let ids = tasks.iter().flat_map(|task| [task["id"].as_str().unwrap(); 2]);
    let expected: Vec<&str> = ids.chain(["nameserver 172.26.0.1", "complete"]).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);

    node.delete_app("guest");
    node.delete_app("web");
    let network = node.network();
    node.wait_for("nothing of the tasks is left", || match per_task(network) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn tasks_reach_the_world_as_their_node_and_cannot_pretend() {
    let node = node();
    let listener = TcpListener::bind((node.network().outside(), 0)).unwrap();
    let world = listener.local_addr().unwrap();
    node.post_app(&json!({
        "id": "traveller", "cpus": 0.1, "mem": 32, "networks": [{"mode": "container/bridge"}],
        "cmd": format!("{FETCH} fetch {} {}; echo complete; sleep 1000", world.ip(), world.port()),
    }));
    listener.set_nonblocking(true).unwrap();
    let (mut stream, from) =
        node.wait_for("the task calls", || listener.accept().map_err(|error| error.to_string()));
    assert_eq!(from.ip(), node.network().address);
    let mut request = [0; 16];
    let length = stream.read(&mut request).unwrap();
    assert!(request[..length].starts_with(b"GET /"), "{request:?}");
    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwelcome").unwrap();
    drop(stream);
    let task = node.wait_running("traveller", 1).remove(0);
    let text = node.wait_output(&task, "stdout", |text| text.contains("complete"));
    assert_eq!(text, "welcome\ncomplete\n");

    /// How curl ends.
    const REFUSED: &str = "exit status: 7:";
    const SILENCE: &str = "exit status: 28:";
    // Even somebody who may change the task's interface speaks only with the task's address.
    let space = format!("--net=/proc/{}/ns/net", node.task_pid(&task).unwrap());
    let inside = |command: &[&str]| node.network().run(&[&["nsenter", &space, "--"], command].concat());
    let ping = |more: &[&str]| {
        let url = "http://172.26.0.1:8080/ping";
        inside(&[&["curl", "-sS", "--max-time", "3", "--noproxy", "*"], more, &[url]].concat())
    };
    // The console listens on the node's address only; whoever is heard is refused at once.
    let own = format!("http://{}:8080/ping", node.network().address);
    assert!(inside(&["curl", "-sS", "--max-time", "3", "--noproxy", "*", &own]).is_ok());
    let heard = ping(&[]).unwrap_err();
    assert!(heard.contains(REFUSED), "{heard}");
    inside(&["ip", "addr", "add", "172.26.0.99/20", "dev", "eth0"]).unwrap();
    let pretender = ping(&["--interface", "172.26.0.99"]).unwrap_err();
    assert!(pretender.contains(SILENCE), "{pretender}");
}

#[test]
fn the_agent_dies_and_traffic_goes_on() {
    let node = node();
    node.post_app(&server("calm", 1));
    let first = node.wait_running("calm", 1).remove(0);
    let task = tasks(&node, "calm").remove(0);
    let at = format!("{}:{}", node.network().address, port(&task, 0));
    assert_eq!(served(&node, &at), first);

    // Stopped, so that init does not start another while we look.
    let agent = Pid::from_raw(node.role_pid("agent"));
    kill(agent, Signal::SIGSTOP).unwrap();
    assert_eq!(served(&node, &at), first);
    kill(agent, Signal::SIGCONT).unwrap();
    node.kill_role("agent");
    assert_eq!(served(&node, &at), first);
    assert_eq!(address(&tasks(&node, "calm")[0]), address(&task));
    // The new agent knows which address is taken.
    node.wait_settled("calm");
    node.http.put("/v2/apps/calm", json!({ "instances": 2 }).to_string()).unwrap().expect(200);
    node.wait_running("calm", 2);
    let now = tasks(&node, "calm");
    assert_ne!(address(&now[0]), address(&now[1]));
    for task in &now {
        let at = format!("{}:{}", node.network().address, port(task, 0));
        assert_eq!(served(&node, &at), task["id"].as_str().unwrap());
    }
}

#[test]
fn helpers_die_amid_creates_and_no_interface_is_left() {
    const INSTANCES: usize = 6;
    const HELPERS_KILLED: usize = 10;
    let node = node();
    let calm = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut killed = 0;
            while killed < HELPERS_KILLED && !calm.load(std::sync::atomic::Ordering::Relaxed) {
                let helpers =
                    node.census().processes.into_iter().filter(|(_, c)| c.contains("meseta oci create"));
                for (pid, _) in helpers {
                    // It may have ended by itself since it was listed.
                    killed += usize::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
                }
            }
            killed
        });
        node.post_app(&json!({
            "id": "hard-birth", "cmd": "sleep 1000", "instances": INSTANCES, "cpus": 0.01, "mem": 16,
            "networks": [{"mode": "container/bridge"}], "backoffSeconds": 0.1, "backoffFactor": 1,
            "container": {"type": "MESOS", "portMappings": [{"containerPort": 80, "hostPort": 0}]},
        }));
        node.wait_running("hard-birth", INSTANCES);
        calm.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(killer.join().unwrap() > 0, "no helper was hit");
    });
    let expected: Vec<String> = tasks(&node, "hard-birth").iter().map(address).collect();
    node.wait_for("only the living have interfaces", || {
        let links = node.network().traces().into_iter().filter(|name| name.starts_with("mt")).count();
        let spaces = node.census().net_namespaces.len();
        // One namespace is the node's own.
        if links == expected.len() && spaces == expected.len() + 1 {
            Ok(())
        } else {
            Err(format!("{links} interfaces, {spaces} namespaces: {:?}", node.network().traces()))
        }
    });
    node.delete_app("hard-birth");
}

#[test]
fn a_task_on_the_bridge_finds_its_own_address() {
    let node = node();
    node.post_app(&json!({
        "id": "mirror", "cpus": 0.1, "mem": 32, "networks": [{"mode": "container/bridge"}],
        "container": {"type": "MESOS", "portMappings": [
            {"containerPort": 7000, "protocol": "tcp"}, {"containerPort": 8080, "hostPort": 0, "name": "web"},
        ]},
        "cmd": "env; ip -4 -o addr; ip route; cat /etc/hosts; echo complete; sleep 1000",
    }));
    let id = node.wait_running("mirror", 1).remove(0);
    let task = tasks(&node, "mirror").remove(0);
    let text = node.wait_output(&id, "stdout", |text| text.contains("complete"));
    let own = address(&task);
    for line in [
        format!("HOST={}", node.network().address),
        format!("PORT1={}", port(&task, 1)),
        format!("PORT_WEB={}", port(&task, 1)),
        format!("PORT_8080={}", port(&task, 1)),
    ] {
        assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
    }
    assert!(text.contains(&format!("inet {own}/20")), "{text}");
    assert!(text.contains("default via 172.26.0.1 dev eth0"), "{text}");
    assert!(text.lines().any(|l| l.starts_with(&format!("{own}\t"))), "no {own} in the hosts of\n{text}");
    let bundle = node.dir().join("run/bundles").join(&id).join("meseta.json");
    assert!(fs::read_to_string(bundle).unwrap().contains(&own));
}

#[test]
fn a_client_of_udp_that_never_stops_finds_each_new_task() {
    let node = node();
    let app = |count: u32| {
        json!({
            "id": "ear", "cmd": "sleep 1000", "cpus": 0.1, "mem": 32, "instances": count,
            "networks": [{"mode": "container/bridge"}],
            "container": {"type": "MESOS", "portMappings": [
                {"containerPort": 9000, "hostPort": 31777, "protocol": "udp"},
            ]},
        })
    };
    // Something on the bridge, so that the packet filter follows connections at all.
    node.post_app(&server("other", 1));
    node.wait_running("other", 1);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let to = SocketAddr::from((node.network().address, 31_777));
    let say = |word: &[u8]| {
        socket.send_to(word, to).map_err(|error| error.to_string())?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).map_err(|error| error.to_string())?;
        if &buffer[..length] == word { Ok(()) } else { Err("another word".to_owned()) }
    };
    assert!(say(b"nobody is there").is_err());
    node.post_app(&app(1));
    let mut before = String::new();
    for _ in 0..2 {
        let task = node.wait_for("another task runs", || {
            let _ = say(b"still sending");
            node.running("ear")?.into_iter().find(|task| *task != before).ok_or_else(|| "not yet".to_owned())
        });
        let echo = echo_in(node.task_pid(&task).unwrap());
        for word in [&b"hello"[..], END] {
            node.wait_for("the new task hears the old client", || say(word));
        }
        echo.join().unwrap();
        node.http.delete(&format!("/v2/apps/ear/tasks/{task}")).unwrap().expect(200);
        before = task;
    }
}
