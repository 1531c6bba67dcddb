//! The network role against a real link: a namespace of its own, a neighbour in another that asks for its name and
//! tells it the time, and a person who does not confirm.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::node::binary;
use tests::wait;

const DEADLINE: Duration = Duration::from_secs(30);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// How far the neighbour's clock is ahead.
const AHEAD_S: u64 = 90;

/// Two namespaces with a cable between them, and the role in the first.
struct Lab {
    dir: tempfile::TempDir,
    here: String,
    there: String,
    role: Option<Child>,
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output().expect("ip starts");
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Lab {
    fn new(settings: &Value) -> Lab {
        let dir = tempfile::Builder::new().prefix("mh").tempdir().expect("a temporary folder");
        let id = std::process::id();
        let lab = Lab { dir, here: format!("mh{id}a"), there: format!("mh{id}b"), role: None };
        for space in [&lab.here, &lab.there] {
            ip(&format!("netns add {space}"));
        }
        ip(&format!("link add mha netns {} type veth peer name mhb netns {}", lab.here, lab.there));
        ip(&format!("-n {} addr add {NEIGHBOUR}/24 dev mhb", lab.there));
        ip(&format!("-n {} link set mhb up", lab.there));
        ip(&format!("-n {} route add 224.0.0.0/4 dev mhb", lab.there));
        for folder in ["state", "run"] {
            fs::create_dir(lab.dir.path().join(folder)).unwrap();
        }
        fs::write(lab.dir.path().join("state/network.json"), settings.to_string()).unwrap();
        lab
    }

    fn start(&mut self) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.here]).arg(binary()).args(["net", "--only", "mha"]);
        for folder in ["state", "run"] {
            command.arg(format!("--{folder}")).arg(self.dir.path().join(folder));
        }
        self.role = Some(command.spawn().expect("the role starts"));
    }

    fn host(&self) -> Result<Value, String> {
        let text = fs::read(self.dir.path().join("run/host.json")).map_err(|error| error.to_string())?;
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }

    fn addresses(&self) -> String {
        let args = ["-n", &self.here, "-4", "-o", "addr", "show", "dev", "mha"];
        let output = Command::new("ip").args(args).output().expect("ip starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn wait_address(&self, address: &str) {
        wait::until(
            &format!("the interface has {address} and no other"),
            DEADLINE,
            || {
                let got = self.addresses();
                let is_only = got.lines().count() == 1 && got.contains(&format!(" {address}/"));
                if is_only { Ok(()) } else { Err(got) }
            },
            || format!("{:?}", self.host()),
        );
    }

    /// Runs something on the neighbour's machine.
    fn at_neighbour<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let space = fs::File::open(format!("/run/netns/{}", self.there)).expect("the namespace");
        std::thread::spawn(move || {
            // Only this thread moves.
            setns(space, CloneFlags::CLONE_NEWNET).expect("the tests need root");
            work()
        })
    }

    fn saved(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.path().join("state/network.json")).unwrap()).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut role) = self.role.take() {
            let _ = kill(Pid::from_raw(role.id().cast_signed()), Signal::SIGTERM);
            let _ = role.wait();
        }
        for space in [&self.here, &self.there] {
            let _ = Command::new("ip").args(["netns", "del", space]).status();
        }
    }
}

/// Answers every question with a time that is ahead.
fn tell_time(socket: &UdpSocket, enough: &AtomicBool) {
    let mut buffer = [0; 128];
    while !enough.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        assert_eq!(length, 48, "a question of a simple client");
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = since.as_secs() + 2_208_988_800 + AHEAD_S;
        let fraction = u64::from(since.subsec_nanos()) * (1 << 32) / 1_000_000_000;
        let stamp = ((seconds << 32) | fraction).to_be_bytes();
        let mut answer = [0; 48];
        (answer[0], answer[1]) = (4 << 3 | 4, 2);
        answer[24..32].copy_from_slice(&buffer[40..48]);
        answer[32..40].copy_from_slice(&stamp);
        answer[40..48].copy_from_slice(&stamp);
        socket.send_to(&answer, peer).expect("the cable is there");
    }
}

/// Asks all neighbours at once until one answers with all of `parts`.
fn ask_by_multicast(name: &[&str], kind: u8, parts: &[&[u8]]) -> Result<(), String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).map_err(|error| error.to_string())?;
    socket.join_multicast_v4(&GROUP, &NEIGHBOUR).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(Duration::from_millis(500))).map_err(|error| error.to_string())?;
    let mut question = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 0, kind, 0, 1]);
    let mut heard = Vec::new();
    for _ in 0..40 {
        socket.send_to(&question, (GROUP, 5353)).map_err(|error| error.to_string())?;
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let packet = &buffer[..length];
            let is_answer = packet.len() > 12 && packet[2] & 0x80 != 0;
            let has = |part: &&[u8]| packet.windows(part.len()).any(|window| window == *part);
            if is_answer && parts.iter().all(has) {
                return Ok(());
            }
            heard.push(format!("{peer}: {packet:02x?}"));
        }
    }
    Err(heard.join("\n"))
}

fn fixed(address: &str) -> Value {
    json!({
        "hostname": "granite", "dns": [], "ntp": [NEIGHBOUR.to_string()], "proxy": null,
        "interfaces": [{ "card": { "name": "mha" }, "addressing": { "static": { "address": address, "prefix": 24, "gateway": null } } }],
    })
}

#[test]
fn a_node_keeps_its_address_is_found_by_name_and_knows_the_time() {
    let settings = json!({
        "hostname": "granite", "ntp": [NEIGHBOUR.to_string()],
        "interfaces": [{ "method": "static", "address": "10.98.0.2/24", "gateway": "10.98.0.1" }],
    });
    let mut lab = Lab::new(&settings);
    let enough = Arc::new(AtomicBool::new(false));
    let stop = enough.clone();
    let clock = lab.at_neighbour(move || {
        let socket = UdpSocket::bind((NEIGHBOUR, 123)).expect("a port of our own namespace");
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        tell_time(&socket, &stop);
    });
    lab.start();
    lab.wait_address("10.98.0.2");

    // Its name, by the neighbours' way.
    let asked = lab.at_neighbour(|| {
        ask_by_multicast(&["granite", "local"], 1, &[b"\x07granite\x05local", &[0, 4, 10, 98, 0, 2]])?;
        ask_by_multicast(&["_http", "_tcp", "local"], 12, &[b"\x05_http\x04_tcp\x05local", b"\x07granite"])
    });
    asked.join().unwrap().unwrap_or_else(|heard| panic!("nobody is granite.local; heard:\n{heard}"));

    // The time, and how far ours is from it; on a machine that is not its own it sets nothing.
    let host = wait::until(
        "the clock has been compared",
        DEADLINE,
        || {
            let host = lab.host()?;
            if host["clock"]["source"] == format!("NTP {NEIGHBOUR}") {
                Ok(host)
            } else {
                Err(host.to_string())
            }
        },
        String::new,
    );
    let offset = host["clock"]["offset_ms"].as_i64().unwrap();
    assert!((offset + AHEAD_S as i64 * 1000).abs() < 5_000, "{host}");
    assert_eq!(
        (&host["config_source"], &host["local_name"]),
        (&"saved on this node".into(), &"granite.local".into())
    );

    // A change that nobody confirms is taken back; one that is confirmed is saved.
    let mut line = UnixStream::connect(lab.dir.path().join("run/net.sock")).unwrap();
    line.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut views = BufReader::new(line.try_clone().unwrap()).lines();
    let mut order = |order: Value| writeln!(line, "{order}").unwrap();
    order(json!({ "order": "try", "settings": fixed("10.98.0.77"), "seconds": 2 }));
    lab.wait_address("10.98.0.77");
    assert_eq!(lab.saved(), settings, "saved before anybody confirmed");
    lab.wait_address("10.98.0.2");
    wait::until(
        "the view says why",
        DEADLINE,
        || {
            let view = views.next().ok_or("the end")?.map_err(|error| error.to_string())?;
            if view.contains("nobody confirmed") { Ok(()) } else { Err(view) }
        },
        String::new,
    );
    order(json!({ "order": "try", "settings": fixed("10.98.0.78"), "seconds": 600 }));
    lab.wait_address("10.98.0.78");
    order(json!({ "order": "confirm" }));
    wait::until(
        "what was confirmed is saved",
        DEADLINE,
        || match lab.saved()["interfaces"][0]["address"].as_str() {
            Some("10.98.0.78/24") => Ok(()),
            other => Err(format!("{other:?}")),
        },
        String::new,
    );
    order(json!({ "order": "try", "settings": fixed("224.0.0.1"), "seconds": 600 }));
    wait::until(
        "what is impossible is refused",
        DEADLINE,
        || {
            let view = views.next().ok_or("the end")?.map_err(|error| error.to_string())?;
            if view.contains("no machine can have") { Ok(()) } else { Err(view) }
        },
        String::new,
    );
    lab.wait_address("10.98.0.78");
    enough.store(true, Ordering::Relaxed);
    clock.join().unwrap();
}
