//! What must not harm a balancer that works: hostile labels, ports of others, a configuration that HAProxy refuses,
//! and no HAProxy at all.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tests::node::{Node, Options};

use super::balancer::{PORT, client, configuration, haproxies, wait_answer, web};

#[test]
fn labels_with_other_intentions_change_nothing() {
    let node = Node::start();
    node.post_app(&web("good", PORT, 1));
    wait_answer(&node, PORT, &[], 200);
    node.wait_settled("good");
    let (before, pids) = (configuration(&node), haproxies(&node));
    let evil = "x.example\n\nlisten evil\n    bind *:10666\n    server e 127.0.0.1:8080";
    for (number, (label, value)) in [
        ("VHOST", evil),
        ("PATH", "/a }\n    http-request redirect location http://evil.example"),
        ("BALANCE", "roundrobin\n    server evil 127.0.0.1:1"),
        ("MODE", "http # "),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.0/8 }\nbackend evil"),
        ("AUTH", "realm:user:password"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut app = web(&format!("bad-{number}"), 10_500, 1);
        app["labels"][format!("HAPROXY_0_{label}")] = json!(value);
        node.post_app(&app);
        node.wait_running(&format!("bad-{number}"), 1);
    }
    // A good one after them: once it answers, the balancer has seen the bad ones.
    node.post_app(&web("after", 10_001, 1));
    wait_answer(&node, 10_001, &[], 200);
    let after = configuration(&node);
    assert!(!after.contains("evil") && !after.contains("bad-") && !after.contains("10500"), "{after}");
    assert!(before.lines().all(|line| line.contains("description") || after.contains(line)), "{after}");
    wait_answer(&node, PORT, &[], 200);
    assert_eq!(haproxies(&node).first(), pids.first(), "the master is another one");
}

#[test]
fn a_port_of_others_is_left_to_them_until_they_give_it_back() {
    let node = Node::start();
    let stranger = TcpListener::bind((node.balancer, 10_700)).unwrap();
    node.post_app(&web("first", PORT, 1));
    node.post_app(&web("second", PORT, 1));
    node.post_app(&web("held", 10_700, 1));
    let first = node.wait_running("first", 1).remove(0);
    node.wait_running("held", 1);
    // All virtual hosts work, also of those whose port is somebody else's.
    for app in ["first", "second", "held"] {
        let answer = wait_answer(&node, 80, &[("Host", &format!("{app}.external.com"))], 200);
        assert_eq!(answer.text().trim(), node.wait_running(app, 1)[0]);
    }
    assert_eq!(wait_answer(&node, PORT, &[], 200).text().trim(), first, "the first one keeps it");
    drop(stranger);
    wait_answer(&node, 10_700, &[], 200);
}

#[test]
fn what_haproxy_refuses_never_replaces_what_works() {
    let folder = tempfile::tempdir().unwrap();
    let (program, refuse) = (folder.path().join("haproxy"), folder.path().join("refuse"));
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = -c ] && [ -e {} ]; then echo 'not today' >&2; exit 1; fi\nexec /usr/sbin/haproxy \"$@\"\n",
        refuse.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let node = Node::start_with(Options { haproxy: Some(program), ..Options::default() });
    node.post_app(&web("old", PORT, 1));
    wait_answer(&node, PORT, &[], 200);
    node.wait_settled("old");
    let before = configuration(&node);

    fs::write(&refuse, "").unwrap();
    node.post_app(&web("new", 10_001, 1));
    node.wait_for("the refusal is told", || match node.log_tail() {
        log if log.contains("not today") => Ok(()),
        log => Err(log),
    });
    assert_eq!(configuration(&node), before);
    // Servers of what works are changed all the same.
    node.http.put("/v2/apps/old", r#"{"instances": 2}"#).unwrap().expect(200);
    let tasks = node.wait_running("old", 2);
    let mut seen = std::collections::BTreeSet::new();
    node.wait_for("both answer", || {
        seen.insert(client(&node, PORT).get("/").map_err(|e| e.to_string())?.text().trim().to_owned());
        if tasks.iter().all(|task| seen.contains(task)) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    client(&node, 10_001).get("/").expect_err("it was refused");

    fs::remove_file(&refuse).unwrap();
    wait_answer(&node, 10_001, &[], 200);
    wait_answer(&node, PORT, &[], 200);
}

#[test]
fn a_node_without_haproxy_does_everything_else() {
    let node =
        Node::start_with(Options { haproxy: Some("/nonexistent/haproxy".into()), ..Options::default() });
    node.post_app(&web("web", PORT, 1));
    node.wait_running("web", 1);
    assert_eq!(node.role_pid("balancer"), 0, "no such role is supervised");
    node.wait_settled("web");
    node.delete_app("web");
}
