//! Traffic through a real HAProxy: service ports, virtual hosts, and tasks that come and go under load.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::http::{Answer, Client};
use tests::node::{Node, Options};

pub const PORT: u16 = 10_000;

/// The article's nginx-external, served by busybox: each instance answers with its task's id.
pub fn web(id: &str, port: u16, instances: u32) -> Value {
    json!({
        "id": id,
        "cmd": "mkdir www; echo $MESOS_TASK_ID > www/index.html; exec httpd -f -p $PORT0 -h www",
        "instances": instances, "cpus": 0.01, "mem": 16,
        "portDefinitions": [{ "port": port }],
        "healthChecks": [{
            "protocol": "HTTP", "path": "/", "portIndex": 0, "timeoutSeconds": 10, "gracePeriodSeconds": 10,
            "intervalSeconds": 2, "maxConsecutiveFailures": 10,
        }],
        "labels": { "HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": format!("{id}.external.com") },
    })
}

pub fn client(node: &Node, port: u16) -> Client {
    Client::new(&format!("{}:{port}", node.balancer))
}

/// Waits until a GET there is answered with `status`.
#[track_caller]
pub fn wait_answer(node: &Node, port: u16, headers: &[(&str, &str)], status: u16) -> Answer {
    node.wait_for(&format!("{port} answers {status} to {headers:?}"), || {
        match client(node, port).send("GET", "/", headers, None) {
            Ok(answer) if answer.status == status => Ok(answer),
            other => Err(format!("{other:?}\n{}", configuration(node))),
        }
    })
}

pub fn configuration(node: &Node) -> String {
    std::fs::read_to_string(node.dir().join("run/haproxy/haproxy.cfg")).unwrap_or_default()
}

/// Pids of HAProxy's master and workers.
pub fn haproxies(node: &Node) -> BTreeSet<i32> {
    let processes = node.census().processes.into_iter();
    processes.filter(|(_, command)| command.contains("haproxy/haproxy.cfg")).map(|(pid, _)| pid).collect()
}

/// Waits until every instance of the app has answered at its service port.
#[track_caller]
fn wait_all_answer(node: &Node, id: &str, port: u16, count: usize) {
    let tasks: BTreeSet<String> = node.wait_running(id, count).into_iter().collect();
    let mut seen = BTreeSet::new();
    node.wait_for("all instances answer", || {
        let answer = client(node, port).get("/").map_err(|e| e.to_string())?;
        seen.insert(answer.text().trim().to_owned());
        if seen.is_superset(&tasks) { Ok(()) } else { Err(format!("{seen:?} of {tasks:?}")) }
    });
}

#[test]
fn an_app_with_a_group_answers_at_its_service_port_and_by_its_virtual_host() {
    let node = Node::start();
    assert!(haproxies(&node).is_empty(), "nothing to balance, no HAProxy");
    node.post_app(&web("web", PORT, 1));
    let task = node.wait_running("web", 1).remove(0);
    let expect = |answer: Answer| assert_eq!(answer.text().trim(), task);
    expect(wait_answer(&node, PORT, &[], 200));
    expect(wait_answer(&node, 80, &[("Host", "Web.External.com")], 200));
    expect(wait_answer(&node, 80, &[("Host", "web.external.com:80")], 200));
    expect(wait_answer(&node, 9091, &[("X-Marathon-App-Id", "/web")], 200));
    for (port, headers) in [(80, [("Host", "other.example")]), (9091, [("X-Marathon-App-Id", "/other")])] {
        let answer = wait_answer(&node, port, &headers, 503);
        assert_eq!(answer.text(), "No application answers to this name here.\n");
    }
    let url = format!("https://{}/", node.balancer);
    let curl = ["-sk", "--http2", "--max-time", "20", "-H", "Host: web.external.com", &url];
    let output = Command::new("curl").args(curl).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), task, "{output:?}");

    // The worker has no rights of root, and sees no files.
    let worker = *haproxies(&node).last().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(status.contains("Uid:\t64080\t64080"), "{status}");

    node.wait_settled("web");
    node.delete_app("web");
    node.wait_for("nobody listens any more", || match client(&node, 80).get("/") {
        Err(_) => Ok(()),
        Ok(answer) => Err(format!("{answer}\n{}", configuration(&node))),
    });
    client(&node, PORT).get("/").expect_err("the service port went with its app");
}

#[test]
fn instances_come_and_go_without_a_reload_and_without_a_lost_request() {
    let node = Node::start();
    node.post_app(&web("web", PORT, 2));
    wait_all_answer(&node, "web", PORT, 2);
    node.wait_settled("web");
    let before = haproxies(&node);
    assert_eq!(before.len(), 2, "a master and a worker: {before:?}");

    let done = AtomicBool::new(false);
    let lost = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            let (mut asked, mut lost) = (0, Vec::new());
            while !done.load(Ordering::Relaxed) {
                asked += 1;
                match client(&node, PORT).get("/") {
                    Ok(answer) if answer.status == 200 => {}
                    other => lost.push(format!("{other:?}")),
                }
            }
            (asked, lost)
        });
        for instances in [4, 1, 2] {
            let body = json!({ "instances": instances }).to_string();
            node.http.put("/v2/apps/web", body).unwrap().expect(200);
            node.wait_running("web", instances);
            node.wait_settled("web");
            wait_all_answer(&node, "web", PORT, instances);
        }
        let old: BTreeSet<String> = node.running("web").unwrap().into_iter().collect();
        node.http.post("/v2/apps/web/restart", "").unwrap().expect(200);
        node.wait_for("all instances are new", || {
            let now: BTreeSet<String> = node.running("web")?.into_iter().collect();
            if now.is_disjoint(&old) && now.len() == 2 { Ok(()) } else { Err(format!("{now:?}")) }
        });
        node.wait_settled("web");
        wait_all_answer(&node, "web", PORT, 2);
        done.store(true, Ordering::Relaxed);
        visitor.join().unwrap()
    });
    assert_eq!(lost.1, Vec::<String>::new(), "of {} requests\n{}", lost.0, node.log_tail());
    assert!(lost.0 > 20, "only {} requests", lost.0);
    assert_eq!(haproxies(&node), before, "it was reloaded\n{}", node.log_tail());
}

#[test]
fn a_restarted_haproxy_and_a_restarted_agent_know_the_servers_of_now() {
    let node = Node::start();
    node.post_app(&web("web", PORT, 1));
    wait_answer(&node, PORT, &[], 200);
    node.wait_settled("web");
    node.http.put("/v2/apps/web", r#"{"instances": 2}"#).unwrap().expect(200);
    wait_all_answer(&node, "web", PORT, 2);
    node.wait_settled("web");

    node.kill_role("balancer");
    node.wait_for("HAProxy answers again", || client(&node, PORT).get("/").map_err(|e| e.to_string()));
    wait_all_answer(&node, "web", PORT, 2);

    let before = haproxies(&node);
    node.kill_role("agent");
    node.wait_for("the API answers again", || node.running("web"));
    // While it was away a server went; it comes back and takes it out, or puts its successor in.
    let victim = node.wait_running("web", 2).remove(0);
    node.http.delete(&format!("/v2/apps/web/tasks/{victim}")).unwrap().expect(200);
    node.wait_for("another takes its place", || {
        let now = node.running("web")?;
        if now.len() == 2 && !now.contains(&victim) { Ok(()) } else { Err(format!("{now:?}")) }
    });
    wait_all_answer(&node, "web", PORT, 2);
    assert_eq!(haproxies(&node), before, "an agent that starts disturbs no HAProxy");
}

#[test]
fn port_80_leads_to_the_claim_page_until_the_claim() {
    let node = Node::start_with(Options { unclaimed: true, ..Options::default() });
    let answer = wait_answer(&node, 80, &[("Host", "node.example:80")], 307);
    let console = node.address().rsplit_once(':').unwrap().1;
    assert_eq!(answer.header("Location"), format!("http://node.example:{console}/claim"));
    let body = json!({ "code": node.claim_code(), "password": tests::node::PASSWORD }).to_string();
    node.open().post("/meseta/v1/claim", &body).unwrap();
    node.wait_for("port 80 is free", || match client(&node, 80).get("/") {
        Err(_) => Ok(()),
        Ok(answer) => Err(answer.to_string()),
    });
}
