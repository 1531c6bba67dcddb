//! Exclusive tasks: never two of one at once, whoever is cut off, killed or frozen. What they write to is this process,
//! which every node reaches all the time; each line is an epoch, as a task would write it into a shared file.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use tests::lab::{THIS_MACHINE, signal};

use crate::Lab;

/// What was written by whom, in the order of arrival.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<Line>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    app: String,
    host: String,
    epoch: u64,
}

impl Written {
    /// Takes lines for as long as the tests run; answers the port.
    fn listen(&self) -> u16 {
        let listener = TcpListener::bind((std::net::Ipv4Addr::from(THIS_MACHINE), 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let written = self.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut text = String::new();
                let Ok(_) = stream.read_to_string(&mut text) else { continue };
                let mut words = text.split_whitespace().map(str::to_owned);
                if let (Some(app), Some(host), Some(epoch)) = (words.next(), words.next(), words.next()) {
                    let line = Line { app, host, epoch: epoch.parse().expect("an epoch is a number") };
                    written.0.lock().expect("no writer panics").push(line);
                }
            }
        });
        port
    }

    fn of(&self, app: &str) -> Vec<Line> {
        self.0.lock().expect("no writer panics").iter().filter(|line| line.app == app).cloned().collect()
    }

    /// `Ok` with the last line if it fits and is newer than the first `after`.
    fn last(&self, app: &str, after: usize, fits: impl Fn(&Line) -> bool) -> Result<Line, String> {
        let lines = self.of(app);
        let last = lines.last().filter(|line| lines.len() > after && fits(line)).cloned();
        last.ok_or_else(|| format!("{} lines, the last {:?}", lines.len(), lines.last()))
    }

    /// Who wrote with an older epoch than somebody before.
    fn late(&self, app: &str) -> Vec<Line> {
        let mut newest = 0;
        let mut is_late = |line: &Line| {
            newest = newest.max(line.epoch);
            line.epoch < newest
        };
        self.of(app).into_iter().filter(|line| is_late(line)).collect()
    }
}

/// An app that writes `NAME HOST EPOCH` ten times a second.
fn writer(name: &str, port: u16, more: &str) -> String {
    let [a, b, c, d] = THIS_MACHINE;
    let write = format!("echo {name} $HOST ${{MESETA_EPOCH:-0}} | nc {a}.{b}.{c}.{d} {port}");
    format!(r#"{{"id":"{name}","cmd":"while true; do {write}; sleep 0.1; done","cpus":0.1,"mem":16,{more}}}"#)
}

fn number(host: &str) -> usize {
    host.rsplit('.').next().and_then(|n| n.parse().ok()).expect("an address of the lab")
}

struct Scene {
    lab: Lab,
    written: Written,
    /// Where the exclusive task runs at first, and its epoch.
    at: usize,
    epoch: u64,
}

/// Three nodes; one exclusive task, and on every node an ordinary one.
fn scene() -> Scene {
    let (lab, written) = (Lab::up(3), Written::default());
    let port = written.listen();
    let exclusive = r#""labels":{"MESETA_EXCLUSIVE":"true"}"#;
    let everywhere = r#""instances":3,"constraints":[["hostname","UNIQUE"]]"#;
    for app in [writer("single", port, exclusive), writer("plain", port, everywhere)] {
        lab.node(1).post("/v2/apps", app).expect("an answer").expect(201);
    }
    let first = lab.until("it writes", || written.last("single", 0, |_| true));
    lab.until("the others write", || lab.runs(1, "plain", 3));
    assert!(first.epoch > 0);
    Scene { at: number(&first.host), epoch: first.epoch, lab, written }
}

#[test]
fn one_cut_off_ends_before_another_begins_and_ordinary_ones_go_on() {
    let Scene { lab, written, at, epoch } = scene();
    let others: Vec<usize> = (1..=3).filter(|n| *n != at).collect();
    for other in &others {
        lab.run(&["cut", &format!("n{at}"), &format!("n{other}")]);
    }
    let next = lab.until("another writes", || written.last("single", 0, |line| line.epoch > epoch));
    assert!(others.contains(&number(&next.host)), "{next:?}");
    let seen = written.of("plain").len();
    let host = format!("10.77.0.{at}");
    lab.until("the ordinary one there goes on", || written.last("plain", seen, |line| line.host == host));
    lab.run(&["heal"]);
    lab.all_up(others[0], 3);
    let seen = written.of("single").len();
    lab.until("the second goes on", || written.last("single", seen + 20, |line| line.epoch == next.epoch));
    assert_eq!(written.late("single"), [], "never two writers");
}

#[test]
fn one_outlives_its_agent_and_a_change_of_leader() {
    let Scene { lab, written, at, epoch } = scene();
    for _ in 0..2 {
        signal(&[lab.agent(at)], Signal::SIGKILL);
        let leader = lab.leader();
        signal(&[lab.agent(leader)], Signal::SIGKILL);
        lab.until("everybody is back", || {
            let agents = (1..=3).map(|n| lab.node(n).get("/v2/apps/single").map(|answer| answer.status));
            let answers: Vec<_> = agents.map(|status| status.unwrap_or(0)).collect();
            if answers == [200; 3] { Ok(()) } else { Err(format!("{answers:?}")) }
        });
    }
    // Longer than a lease: it is renewed by those who came after.
    let seen = written.of("single").len();
    lab.until("it goes on", || written.last("single", seen + 120, |line| line.epoch == epoch));
    assert_eq!(lab.json(at, "/v2/apps/single")["app"]["tasksRunning"], 1);
}

#[test]
fn one_that_was_frozen_with_its_node_ends_when_it_wakes() {
    let Scene { lab, written, at, epoch } = scene();
    let asked = at % 3 + 1;
    lab.run(&["pause", &format!("n{at}")]);
    let next = lab.until("another writes", || written.last("single", 0, |line| line.epoch > epoch));
    lab.run(&["resume", &format!("n{at}")]);
    lab.all_up(asked, 3);
    // Whatever it may have written on waking bore its old epoch, by which it can be told; then it ended.
    lab.until("only the second writes", || {
        let lines = written.of("single");
        let end = &lines[lines.len().saturating_sub(30)..];
        if end.iter().all(|line| line.epoch == next.epoch) { Ok(()) } else { Err(format!("{end:?}")) }
    });
}

/// Takes one request, answers it as a webhook that has done what it was asked for, and hands out what it was sent.
fn hook() -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind((std::net::Ipv4Addr::from(THIS_MACHINE), 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let (mut text, mut part) = (String::new(), [0; 4_096]);
        while !text.ends_with('}') {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(length) => text.push_str(&String::from_utf8_lossy(&part[..length])),
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        let _ = tell.send(text);
    });
    (port, asked)
}

#[test]
fn a_node_that_the_hook_has_powered_off_need_not_be_waited_for() {
    let Scene { lab, written, at, epoch } = scene();
    let asked = at % 3 + 1;
    let (port, heard) = hook();
    let [a, b, c, d] = THIS_MACHINE;
    let wish = format!(r#"{{"fence_hook":"http://{a}.{b}.{c}.{d}:{port}/off?key=1"}}"#);
    let client = lab.node(asked);
    client.send("PATCH", "/meseta/v1/settings", &[], Some(wish.as_bytes())).expect("an answer").expect(200);
    lab.run(&["kill", &format!("n{at}")]);
    let next = lab.until("another writes", || written.last("single", 0, |line| line.epoch > epoch));
    assert_ne!(number(&next.host), at);
    let request = heard.recv().expect("the hook was asked");
    assert!(request.starts_with("POST /off?key=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!(r#""addresses":["10.77.0.{at}"]"#)), "{request}");
    let nodes = lab.json(asked, "/meseta/v1/nodes");
    let lost = nodes["nodes"].as_array().expect("nodes").iter().find(|node| node["reach"] == "lost");
    let time = |key: &str| {
        let text = lost.expect("one is lost")[key].as_str().expect("a time").to_owned();
        model::Timestamp::parse(&text).expect("a time")
    };
    let waited = time("fenced_at").ms_since(time("lost_since"));
    assert!(waited < model::lease::LEASE_MS, "{waited} ms: the hook's word was not taken");
}
