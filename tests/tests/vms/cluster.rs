//! Three machines from blank disks become one by the browser alone, and stay one when power is cut.

use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::browser::{Browser, Scripts};
use tests::dig::dig;
use tests::http::Client;
use tests::vm::{PASSWORD, root};
use tests::vms::Vms;

const SERVICE_PORT: u16 = 10_000;
const CLICKS_MAX: u32 = 6;
/// One way, between any two nodes.
const DELAY: Duration = Duration::from_millis(50);
/// Clocks of machines that come back, as arguments of QEMU: what they show must not matter.
const YEARS_AHEAD: &str = "-rtc base=2031-01-01T00:00:00";
const YEARS_BEHIND: &str = "-rtc base=2001-01-01T00:00:00";

/// Two instances on two nodes, behind every node's balancer; each answers with its task's id.
fn web() -> String {
    json!({
        "id": "/web",
        "cmd": "mkdir www; echo $MESOS_TASK_ID > www/index.html; exec httpd -f -p $PORT0 -h www",
        "instances": 2, "cpus": 0.05, "mem": 16,
        "constraints": [["hostname", "UNIQUE"]],
        "portDefinitions": [{ "port": SERVICE_PORT }],
        "labels": { "HAPROXY_GROUP": "external" },
    })
    .to_string()
}

/// Somebody with a browser at the first node, whose clicks and typed codes are counted.
struct Person {
    browser: Browser,
    clicks: Cell<u32>,
    codes: Cell<u32>,
}

impl Person {
    fn at(vms: &Vms) -> Self {
        let browser = Browser::start(&vms.at(1, 8080).to_string(), Scripts::Allowed);
        Self { browser, clicks: Cell::new(0), codes: Cell::new(0) }
    }

    fn click(&self, selector: &str) {
        self.browser.click(selector);
        self.clicks.set(self.clicks.get() + 1);
    }

    fn type_code(&self, selector: &str, code: &str) {
        self.browser.fill(selector, code);
        self.codes.set(self.codes.get() + 1);
    }

    fn claim(&self, code: &str) {
        self.browser.open("/");
        self.browser.wait_for_path("/claim");
        self.type_code("#code", code);
        self.browser.fill("#password", PASSWORD);
        self.browser.fill("#again", PASSWORD);
        self.click("main button");
        self.browser.wait_for_text("main", "Nothing runs here yet");
    }

    fn create(&self, definition: &str) {
        self.click("main a[href='/new']");
        self.browser.fill("#definition", definition);
        self.click("main form .primary");
        self.browser.wait_for_path("/apps/web");
    }

    /// The node has been heard of: its address is in the list, and offered for the field.
    fn adopt(&self, address: &str, code: &str) {
        self.browser.wait_for_text("#unclaimed", address);
        self.browser.fill("#adopt-address", address);
        self.type_code("#adopt-code", code);
        self.click("#adopt button");
        self.browser.wait_for_text("#members", address);
    }
}

/// Waits until the balancer of node `n` leads to one of the tasks that run.
#[track_caller]
fn wait_answer(vms: &Vms, n: u16) {
    let web = Client::new(&vms.at(n, SERVICE_PORT).to_string());
    vms.wait_for(&format!("the app answers through node {n}"), || {
        let running = vms.running(n, "web")?;
        let answer = web.get("/").map_err(|error| error.to_string())?;
        let is_of_one = running.iter().any(|(_, task)| *task == answer.text().trim());
        if answer.status == 200 && is_of_one { Ok(()) } else { Err(format!("{answer}\n{running:?}")) }
    });
}

/// Cuts the power of `victim`; returns once both instances run and answer on the others.
fn cut_and_wait(vms: &Vms, victim: u16) {
    vms.power_cut(victim);
    let cut = Instant::now();
    let others: Vec<u16> = vms.numbers().filter(|n| *n != victim).collect();
    let hosts: Vec<String> = others.iter().map(|n| Vms::address(*n)).collect();
    for n in &others {
        vms.wait_for(&format!("node {n} has both instances on {hosts:?}"), || {
            let running = vms.running(*n, "web")?;
            if running.iter().map(|(host, _)| host).eq(&hosts) { Ok(()) } else { Err(format!("{running:?}")) }
        });
        wait_answer(vms, *n);
    }
    println!(
        "node {victim} cut: both instances elsewhere and answering after {} ms",
        cut.elapsed().as_millis()
    );
}

/// Of node `n`, as the first one knows it.
fn id(vms: &Vms, n: u16) -> String {
    let nodes = vms.node(1).get("/meseta/v1/nodes").unwrap().expect(200).json();
    let is_it = |node: &&serde_json::Value| node["addresses"][0] == Vms::address(n);
    let node = nodes["nodes"].as_array().unwrap().iter().find(is_it).expect("it is a member");
    node["id"].as_str().unwrap().to_owned()
}

/// By the clock of node `n`.
fn year(vms: &Vms, n: u16) -> String {
    let answer = vms.node(n).get("/ping").unwrap().expect(200);
    answer.header("Date").split(' ').nth(3).unwrap_or_default().to_owned()
}

/// Node 2 is told to by way of node 1.
fn reboot_from_afar(vms: &Vms) {
    let uptime = || {
        let answer = vms.node(2).get("/meseta/v1/node").map_err(|error| error.to_string())?;
        answer.json()["uptime_s"].as_u64().ok_or_else(|| answer.to_string())
    };
    let path = format!("/meseta/v1/nodes/{}/power", id(vms, 2));
    let asked = Instant::now();
    vms.node(1).post(&path, r#"{"action":"reboot"}"#).unwrap().expect(202);
    vms.wait_for("node 2 has booted again", || {
        let (up, since) = (uptime()?, asked.elapsed().as_secs());
        if up <= since { Ok(()) } else { Err(format!("up for {up} s, told {since} s ago")) }
    });
    vms.all_up();
}

#[test]
fn three_blank_machines_become_one_and_outlive_power_cuts() {
    let made = Command::new(root().join("scripts/image")).arg("kernel-initrd").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let power_on = Instant::now();
    let vms = Vms::boot(3);
    let codes: Vec<String> = vms.numbers().map(|n| vms.code(n)).collect();
    let booted = power_on.elapsed();

    let person = Person::at(&vms);
    person.claim(&codes[0]);
    person.create(&web());
    person.click("nav a[href='/nodes']");
    // It has been the first member since a moment after the claim; a page from before that has no place for others.
    person.browser.wait("nodes can be taken in", || {
        let is_there = person.browser.text_of("#adopt");
        if is_there.is_err() {
            person.browser.open("/nodes");
        }
        is_there
    });
    for n in [2, 3] {
        person.adopt(&Vms::address(n), &codes[usize::from(n) - 1]);
    }
    for n in vms.numbers() {
        wait_answer(&vms, n);
    }
    let (took, clicks, typed) = (power_on.elapsed(), person.clicks.get(), person.codes.get());
    println!(
        "three blank machines to an app behind every balancer: {:.1} s, of them booting {:.1} s; {clicks} clicks, {typed} \
         codes typed (one claims, {} adopt)",
        took.as_secs_f64(),
        booted.as_secs_f64(),
        typed - 1
    );
    assert!(clicks <= CLICKS_MAX && typed == 3, "{clicks} clicks, {typed} codes");
    // Any console shows any machine.
    let path = format!("/nodes/{}", id(&vms, 2));
    person.browser.open("/nodes");
    person.browser.click(&format!("#members a[href='{path}']"));
    person.browser.wait_for_path(&path);
    person.browser.wait_for_text("main", &Vms::address(2));
    person.browser.click(&format!("a[href='{path}/kernel']"));
    person.browser.wait_for_text("#kernel", "XFS");
    drop(person);

    vms.all_up();
    vms.delay(DELAY);
    for n in vms.numbers() {
        let marker = json!({ "id": format!("/far/from{n}"), "cmd": "true", "instances": 0 }).to_string();
        // Emulated machines on a busy one may elect amid it: said again with the same key it is applied once.
        let key = [("Idempotency-Key", format!("far-{n}"))];
        let key = key.each_ref().map(|(name, value)| (*name, value.as_str()));
        let took = vms.wait_for("it is written", || {
            let asked = Instant::now();
            let written = vms.node(n).send("POST", "/v2/apps", &key, Some(marker.as_bytes()));
            let (written, took) = (written.map_err(|error| error.to_string())?, asked.elapsed());
            if written.status == 201 { Ok(took) } else { Err(written.to_string()) }
        });
        assert!(took >= 2 * DELAY, "another node has to have it first, which takes longer than {took:?}");
        println!(
            "a write through node {n}, every link {} ms long: {} ms",
            DELAY.as_millis(),
            took.as_millis()
        );
    }
    vms.delay(Duration::ZERO);

    let leader = vms.leader(1);
    let running = vms.running(leader, "web").unwrap();
    let has_one = |n: &u16| *n != leader && running.iter().any(|(host, _)| *host == Vms::address(*n));
    let victim = vms.numbers().find(has_one).expect("two nodes have an instance, one of them does not lead");
    cut_and_wait(&vms, victim);
    vms.start_on(victim, YEARS_AHEAD);
    vms.all_up();
    assert_eq!(year(&vms, victim), "2031");

    let leader = vms.leader(victim);
    cut_and_wait(&vms, leader);
    let survivor = vms.numbers().find(|n| *n != leader).unwrap();
    let next = vms.leader(survivor);
    assert_ne!(next, leader);
    let scaled = vms.node(survivor).put("/v2/apps/web", r#"{"instances":1}"#).unwrap();
    assert_eq!(scaled.status, 200, "{scaled}");
    vms.start_on(leader, YEARS_BEHIND);
    vms.all_up();
    vms.wait_for("one instance runs, as the node that was away knows", || {
        let running = vms.running(leader, "web")?;
        if running.len() == 1 { Ok(()) } else { Err(format!("{running:?}")) }
    });
    wait_answer(&vms, leader);
}

#[test]
fn the_script_makes_one_cluster_stops_it_and_finds_it_again() {
    let vms = Vms::boot_cluster(2);
    vms.all_up();
    assert_eq!(vms.node(2).post("/v2/apps", web()).unwrap().status, 201);
    wait_answer(&vms, 1);
    vms.wait_for("node 2 names both instances", || {
        let dug = dig(vms.at(2, 53), &["web.marathon.mesos", "A"]);
        if dug.answer.len() == 2 { Ok(()) } else { Err(dug.text) }
    });
    let addresses = |n: u16| {
        let mut found: Vec<String> =
            vms.members(n).unwrap().into_iter().map(|[address, ..]| address).collect();
        found.sort();
        found
    };
    assert_eq!(addresses(1), [Vms::address(1), Vms::address(2)]);
    reboot_from_afar(&vms);
    wait_answer(&vms, 2);

    vms.stop();
    let listed = vms.list();
    assert_eq!(listed.lines().filter(|line| line.contains(" off ")).count(), 2, "{listed}");
    let left = vms.census();
    assert!(left.is_empty(), "left behind:\n{left}");

    // The second first: its address is kept for it all the same.
    vms.start(2);
    vms.start(1);
    vms.all_up();
    assert_eq!(addresses(2), [Vms::address(1), Vms::address(2)]);
    for n in vms.numbers() {
        wait_answer(&vms, n);
    }
}

/// Nobody stands before the second machine: it finds the token on the disk that it is booted with.
#[test]
fn a_seed_disk_brings_a_machine_into_the_cluster() {
    let vms = Vms::boot(2);
    vms.power_cut(2);
    let claim = json!({ "code": vms.code(1), "password": PASSWORD }).to_string();
    let unclaimed = Client::new(&vms.at(1, 8080).to_string());
    let answer = unclaimed.post("/meseta/v1/claim", claim).unwrap();
    assert!(matches!(answer.status, 200 | 201), "{answer}");
    let token = vms.wait_for("it takes in others", || {
        let answer = vms.node(1).post("/meseta/v1/join-tokens", r#"{"name":"seed"}"#);
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 201 {
            return Err(answer.to_string());
        }
        answer.json()["token"].as_str().map(str::to_owned).ok_or_else(|| answer.to_string())
    });
    let dir = tempfile::tempdir().unwrap();
    let seed = dir.path().join("seed.iso");
    tests::iso::write(
        &seed,
        "cidata",
        &[("user-data", &format!("#cloud-config\nmeseta:\n  join: {token}\n"))],
    );
    let drive = format!("-drive file={},format=raw,if=none,id=seed,readonly=on", seed.display());
    vms.start_on(2, &format!("{drive} -device virtio-blk-pci,drive=seed"));
    vms.all_up();
    let node = vms.node(2).get("/meseta/v1/node").unwrap().expect(200);
    assert!(!node.text().contains(&token), "what lets nodes in is told to nobody");
}
