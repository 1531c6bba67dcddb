//! From labels to text: golden configurations, hostile labels, and what a task's coming and going changes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::app::{AppSpec, HealthCheck, HealthPort, HealthProtocol, Network};
use crate::command::Command;
use crate::testing::{self, Lab};

fn settings() -> Settings {
    Settings {
        bind: Bind::All,
        http: Some(80),
        https: Some(443),
        app_id: Some(9091),
        taken: BTreeMap::from([(8080, "the console".to_owned())]),
        host_ports: (31_000, 32_000),
        socket: "/run/meseta/haproxy/admin.sock".to_owned(),
        certificate: "/run/meseta/haproxy/node.pem".to_owned(),
        jail: Some((64_080, "/run/meseta/haproxy/empty".to_owned())),
    }
}

fn app(id: &str, port: u16, labels: &[(&str, &str)]) -> AppSpec {
    let mut spec = testing::spec(id);
    spec.ports = vec![testing::port(port, None)];
    spec.labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    spec
}

fn external(id: &str, port: u16) -> AppSpec {
    app(id, port, &[("HAPROXY_GROUP", "external")])
}

/// The article's app: bridged, an HTTP check, a virtual host.
fn nginx() -> AppSpec {
    let mut spec = external("/nginx-external", 10_000);
    spec.labels.insert("HAPROXY_0_VHOST".into(), "nginx.External.com".into());
    spec.network = Network::Bridge;
    spec.ports[0].container_port = Some(80);
    spec.ports[0].host_port = Some(0);
    spec.health_checks = vec![HealthCheck {
        protocol: HealthProtocol::Http,
        path: Some("/".into()),
        port: Some(HealthPort::Index(0)),
        command: None,
        grace_ms: 10_000,
        interval_ms: 2_000,
        timeout_ms: 10_000,
        delay_ms: 15_000,
        max_consecutive_failures: 10,
        ignore_http_1xx: false,
    }];
    spec
}

fn settled(apps: Vec<AppSpec>) -> Lab {
    let mut lab = Lab::new();
    for app in apps {
        lab.wait(1_000);
        lab.put(app);
    }
    lab.settle();
    lab
}

fn offered(lab: &Lab) -> Services {
    services(&lab.state, &settings())
}

/// What HAProxy would say once it has loaded the plan's text.
fn loaded(plan: &Plan) -> Running {
    let slot = |seat: &Option<Server>| match seat {
        Some(s) if !s.draining => {
            Slot { address: s.address, port: s.port, state: SlotState::Ready, well: true }
        }
        _ => Slot { address: [127, 0, 0, 1].into(), port: 1, state: SlotState::Maintenance, well: false },
    };
    let row = |(name, row): (&String, &Vec<Option<Server>>)| (name.clone(), row.iter().map(slot).collect());
    Running { structure: plan.structure.clone(), backends: plan.seats.iter().map(row).collect() }
}

/// What HAProxy would say after the plan's orders.
fn obeyed(running: &Running, plan: &Plan) -> Running {
    let mut running = running.clone();
    for order in &plan.orders {
        let row = running.backends.get_mut(&order.backend).expect("a back end that runs");
        let at = (0..row.len()).find(|at| slot_name(*at) == order.slot).expect("a slot that runs");
        let slot = &mut row[at];
        match order.change {
            Change::Fill { address, port, .. } => {
                *slot = Slot { address, port, state: SlotState::Ready, well: true }
            }
            Change::Ready => slot.state = SlotState::Ready,
            Change::Drain => slot.state = SlotState::Drain,
            Change::Empty => slot.state = SlotState::Maintenance,
        }
    }
    running
}

/// The text without head and without lines about empty slots.
fn body(text: &str) -> String {
    let from = text.find("\nfrontend").or_else(|| text.find("\nbackend")).unwrap_or(text.len());
    let lines = text[from..].lines().filter(|line| !line.contains(" disabled"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_articles_app_as_text() {
    let lab = settled(vec![nginx()]);
    let port = lab.tasks()[0].ports[0];
    let plan = plan(&offered(&lab), &settings(), None);
    let expect = "
frontend http
    bind [::]:80 v4v6
    option idle-close-on-response
    http-request set-var(txn.host) req.hdr(host),host_only,lower
    http-request set-var(txn.to) str(nginx-external_10000) if !{ var(txn.to) -m found } { var(txn.host) -m str nginx.external.com }
    use_backend %[var(txn.to)] if { var(txn.to) -m found }
    default_backend unmatched

frontend https
    bind [::]:443 v4v6 ssl crt /run/meseta/haproxy/node.pem alpn h2,http/1.1
    option idle-close-on-response
    http-request set-var(txn.host) req.hdr(host),host_only,lower
    http-request set-var(txn.to) str(nginx-external_10000) if !{ var(txn.to) -m found } { var(txn.host) -m str nginx.external.com }
    use_backend %[var(txn.to)] if { var(txn.to) -m found }
    default_backend unmatched

frontend app_id
    bind [::]:9091 v4v6
    option idle-close-on-response
    http-request set-var(txn.to) str(nginx-external_10000) if !{ var(txn.to) -m found } { req.hdr(x-marathon-app-id) -m str -i /nginx-external }
    use_backend %[var(txn.to)] if { var(txn.to) -m found }
    default_backend unmatched

frontend nginx-external_10000
    bind [::]:10000 v4v6
    mode http
    option idle-close-on-response
    default_backend nginx-external_10000

backend unmatched
    http-request return status 503 content-type text/plain string \"No application answers to this name here.\\n\"

backend nginx-external_10000
    mode http
    balance roundrobin
    option forwardfor
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
    option httpchk GET /
    timeout check 10000ms
    server s1 10.0.0.1:PORT check inter 2000ms downinter 200ms fastinter 200ms rise 1 fall 11";
    assert_eq!(body(&plan.text), expect.replace("PORT", &port.to_string()));
    assert!(plan.reload && plan.orders.is_empty());
    assert!(plan.text.contains(&format!("description {}\n", plan.structure)), "{}", plan.text);
}

#[test]
fn a_port_without_group_is_not_offered_and_tcp_is_plain() {
    let mut off = external("/off", 10_001);
    off.labels.insert("HAPROXY_0_ENABLED".into(), "no".into());
    let lab = settled(vec![app("/silent", 10_000, &[]), off, external("/plain", 10_002)]);
    let plan = plan(&offered(&lab), &settings(), None);
    let text = body(&plan.text);
    assert!(text.starts_with("\nfrontend plain_10002\n    bind [::]:10002 v4v6\n    mode tcp\n"), "{text}");
    assert_eq!(text.matches("frontend").count(), 1, "no virtual host, no port 80: {text}");
    assert_eq!(offered(&lab).faults, BTreeMap::new());
}

#[test]
fn rules_of_paths_come_first_and_redirects_keep_to_their_own() {
    let site = app(
        "/site",
        10_000,
        &[
            ("HAPROXY_GROUP", "x"),
            ("HAPROXY_0_VHOST", "a.example,b.example"),
            ("HAPROXY_0_REDIRECT_TO_HTTPS", "true"),
            ("HAPROXY_0_STICKY", "yes"),
            ("HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.0/8 ::1"),
        ],
    );
    let api = app(
        "/site/api",
        10_001,
        &[
            ("HAPROXY_GROUP", "x"),
            ("HAPROXY_0_VHOST", "a.example"),
            ("HAPROXY_0_PATH", "-i /api /v2"),
            ("HAPROXY_0_BALANCE", "leastconn"),
        ],
    );
    let lab = settled(vec![site, api]);
    let text = plan(&offered(&lab), &settings(), None).text;
    let plain = &text[text.find("frontend http\n").unwrap()..text.find("frontend https").unwrap()];
    let rules: Vec<&str> = plain.lines().filter(|l| l.contains("txn.to")).map(str::trim).collect();
    assert_eq!(
        rules,
        [
            "http-request set-var(txn.to) str(site_api_10001) if !{ var(txn.to) -m found } { var(txn.host) -m str a.example } { path_beg -i /api /v2 }",
            "http-request set-var(txn.to) str(site_10000) if !{ var(txn.to) -m found } { var(txn.host) -m str a.example }",
            "http-request set-var(txn.to) str(site_10000) if !{ var(txn.to) -m found } { var(txn.host) -m str b.example }",
            "http-request redirect scheme https code 301 if { var(txn.to) -m str site_10000 }",
            "use_backend %[var(txn.to)] if { var(txn.to) -m found }",
        ]
    );
    for line in [
        "    cookie mesosphere_server_id insert indirect nocache dynamic\n",
        "    http-request deny if !{ src 10.0.0.0/8 ::1 }\n",
        "    balance leastconn\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert_eq!(text.matches("redirect scheme").count(), 1, "none on TLS");
}

#[test]
fn who_was_first_keeps_a_port_and_the_other_is_told() {
    let mut vhost = external("/a-later", 10_000);
    vhost.labels.insert("HAPROXY_0_VHOST".into(), "x.example".into());
    let mut bound = external("/bound", 10_007);
    bound.require_ports = true;
    let lab = settled(vec![
        external("/first", 10_000),
        vhost,
        external("/console", 8080),
        external("/web", 80),
        external("/task", 31_500),
        bound,
    ]);
    let found = offered(&lab);
    let listens: Vec<(&str, Option<u16>)> = found.list.iter().map(|s| (s.name.as_str(), s.listen)).collect();
    assert_eq!(listens, [("a-later_10000", None), ("first_10000", Some(10_000))]);
    let told: Vec<&str> = found.faults.values().flatten().map(String::as_str).collect();
    assert_eq!(
        told,
        [
            "service port 10000 does not lead to this app: /first had it first",
            "service port 10007 does not lead to this app: its tasks have it themselves, by `requirePorts` in host networking",
            "service port 8080 does not lead to this app: it is taken on this node by the console",
            "service port 31500 does not lead to this app: ports 31000 to 32000 are given to tasks",
            "service port 80 does not lead to this app: the balancer itself has it for HTTP",
        ]
    );
}

#[test]
fn a_bad_label_takes_its_port_out_and_is_told() {
    for (name, value, told) in [
        (
            "HAPROXY_0_VHOST",
            "a b",
            "label `HAPROXY_0_VHOST` is `a b`; expected at most 64 host names like www.example.com, separated by commas",
        ),
        (
            "HAPROXY_0_VHOST",
            "a\n    bind :1",
            "label `HAPROXY_0_VHOST` is `a\\n    bind :1`; expected at most 64 host names like www.example.com, separated by commas",
        ),
        ("HAPROXY_0_MODE", "udp", "label `HAPROXY_0_MODE` is `udp`; expected one of http, tcp"),
        ("HAPROXY_0_PORT", "0", "label `HAPROXY_0_PORT` is `0`; expected a port from 1 to 65535"),
        ("HAPROXY_0_PATH", "/a", "label `HAPROXY_0_PATH` is `/a`; expected none without a virtual host"),
        (
            "HAPROXY_0_BACKEND_WEIGHT",
            "heavy",
            "label `HAPROXY_0_BACKEND_WEIGHT` is `heavy`; expected a whole number",
        ),
        (
            "HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL",
            "10.0.0.0/33",
            "label `HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL` is `10.0.0.0/33`; expected at most 32 addresses or networks like 10.0.0.0/8, separated by blanks",
        ),
        ("HAPROXY_0_AUTH", "r:u:p", "label `HAPROXY_0_AUTH` is not supported yet"),
    ] {
        let lab = settled(vec![app("/a", 10_000, &[("HAPROXY_GROUP", "x"), (name, value)])]);
        let found = offered(&lab);
        assert!(found.list.is_empty(), "{name} = {value:?} is offered");
        let sentences: Vec<&str> = found.faults.values().flatten().map(String::as_str).collect();
        assert_eq!(sentences, [told, "port number 0 is not balanced until that is put right"]);
    }
}

#[test]
fn labels_without_effect_are_told_and_do_no_harm() {
    let lab = settled(vec![app(
        "/a",
        10_000,
        &[
            ("HAPROXY_GROUP", "x"),
            ("HAPROXY_0_BACKEND_HEAD", "backend {backend}\n  mode http"),
            ("HAPROXY_3_VHOST", "x"),
            ("HAPROXY_DEPLOYMENT_GROUP", "g"),
        ],
    )]);
    let found = offered(&lab);
    assert_eq!(found.list.len(), 1);
    let sentences: Vec<&str> = found.faults.values().flatten().map(String::as_str).collect();
    assert_eq!(
        sentences,
        [
            "label `HAPROXY_0_BACKEND_HEAD` is not supported yet and has no effect",
            "label `HAPROXY_3_VHOST` has no effect: the app has no port number 3",
            "label `HAPROXY_DEPLOYMENT_GROUP` is not supported yet and has no effect",
        ]
    );
}

#[test]
fn tasks_come_and_go_without_a_reload() {
    let mut lab = settled(vec![AppSpec { instances: 2, ..nginx() }]);
    let first = plan(&offered(&lab), &settings(), None);
    let running = loaded(&first);
    let again = plan(&offered(&lab), &settings(), Some(&running));
    assert!(!again.reload && again.orders.is_empty(), "{again:?}");
    assert_eq!(again.text, first.text);

    // One is sentenced: it drains; gone, its slot is empty; its successor fills it.
    let task = lab.tasks()[0].clone();
    let deployment = lab.deployment();
    lab.must(Command::KillTasks { tasks: vec![task.id.clone()], scale: false, deployment, force: true });
    let draining = plan(&offered(&lab), &settings(), Some(&running));
    let changes = |plan: &Plan| plan.orders.iter().map(|o| o.change).collect::<Vec<_>>();
    assert_eq!((draining.reload, changes(&draining)), (false, vec![Change::Drain]));
    let running = obeyed(&running, &draining);
    assert!(plan(&offered(&lab), &settings(), Some(&running)).orders.is_empty());

    lab.settle();
    let replaced = plan(&offered(&lab), &settings(), Some(&running));
    assert!(!replaced.reload);
    assert_eq!(replaced.orders.len(), 2, "one slot emptied, another filled: {:?}", replaced.orders);
    let running = obeyed(&running, &replaced);

    lab.put(AppSpec { instances: 4, ..nginx() });
    lab.settle();
    let scaled = plan(&offered(&lab), &settings(), Some(&running));
    assert_eq!((scaled.reload, scaled.orders.len()), (false, 2));
    let commands = scaled.orders[0].commands();
    assert_eq!(commands.len(), 5, "unwell until its check says otherwise: {commands:?}");
    let running = obeyed(&running, &scaled);

    lab.put(AppSpec { instances: 30, ..nginx() });
    lab.settle();
    let grown = plan(&offered(&lab), &settings(), Some(&running));
    assert!(grown.reload, "more slots are needed");
    lab.put(AppSpec { instances: 30, ..external("/other", 10_009) });
    lab.settle();
    assert_ne!(plan(&offered(&lab), &settings(), Some(&running)).structure, grown.structure);
}

#[test]
fn servers_of_an_app_that_is_gone_are_taken_out_before_the_reload() {
    let mut lab = settled(vec![external("/gone", 10_000)]);
    let running = loaded(&plan(&offered(&lab), &settings(), None));
    let deployment = lab.deployment();
    lab.must(Command::DeleteApp { app: AppId::parse("/gone").unwrap(), deployment, force: false });
    lab.settle();
    let plan = plan(&offered(&lab), &settings(), Some(&running));
    assert!(plan.reload && !plan.text.contains("gone"), "{}", plan.text);
    assert_eq!(plan.orders.len(), 1);
}

/// Lines of the text with every word that an app may influence taken out: the shapes that remain are ours.
fn is_ours(line: &str) -> bool {
    const BEGINNINGS: [&str; 45] = [
        "# Written by meseta",
        "global",
        "defaults",
        "frontend ",
        "backend ",
        "    description ",
        "    stats socket ",
        "    stats timeout ",
        "    uid ",
        "    gid ",
        "    chroot ",
        "    fd-hard-limit ",
        "    hard-stop-after ",
        "    ssl-default-bind-options ",
        "    spread-checks ",
        "    mode http",
        "    mode tcp",
        "    retries ",
        "    option redispatch ",
        "    option dontlognull",
        "    option idle-close-on-response",
        "    timeout connect ",
        "    timeout client ",
        "    timeout server ",
        "    timeout tunnel ",
        "    timeout http-keep-alive ",
        "    timeout http-request ",
        "    timeout queue ",
        "    timeout check ",
        "    dynamic-cookie-key ",
        "    bind [::]:",
        "    http-request set-var(txn.host) ",
        "    http-request set-var(txn.to) str(",
        "    use_backend %[var(txn.to)]",
        "    default_backend ",
        "    http-request return status 503",
        "    http-request redirect scheme https",
        "    balance ",
        "    option forwardfor",
        "    http-request set-header X-Forwarded-",
        "    cookie mesosphere",
        "    http-request deny if !{ src ",
        "    tcp-request content reject if !{ src ",
        "    option httpchk GET ",
        "    server s",
    ];
    line.is_empty()
        || BEGINNINGS.iter().any(|start| line.starts_with(start))
        || line.starts_with("    http-after-response")
}

fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\n",
        "\r",
        "\n    server evil 6.6.6.6:1\n",
        " ",
        "'",
        "\"",
        "\\",
        "#",
        "$HOME",
        "%[env(HOME)]",
        "{",
        "}",
        "a",
        "a.example",
        ",",
        "/",
        "/api",
        "-i ",
        "10.0.0.0/8",
        "\u{85}",
        "\u{2028}",
        "http",
        "tcp",
        "true",
        "1",
        "roundrobin",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..5).prop_map(|p| p.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in labels and health checks: every line of the text is one of ours, whole, quoted to its end.
    #[test]
    fn no_label_gets_a_line_or_a_word_of_its_own(
        values in prop::collection::vec((prop::sample::select(vec![
            "GROUP", "VHOST", "PATH", "MODE", "BALANCE", "PORT", "STICKY", "ENABLED", "BACKEND_WEIGHT", "USE_HSTS",
            "REDIRECT_TO_HTTPS", "BACKEND_NETWORK_ALLOWED_ACL", "AUTH", "BACKEND_HEAD", "BIND_OPTIONS",
        ]), hostile()), 0..6),
        path in hostile(),
    ) {
        let mut spec = nginx();
        for (name, value) in values {
            spec.labels.insert(format!("HAPROXY_0_{name}"), value);
        }
        spec.health_checks[0].path = Some(path);
        let lab = settled(vec![spec]);
        let plan = plan(&offered(&lab), &settings(), None);
        for line in plan.text.split(['\n', '\r']) {
            prop_assert!(is_ours(line), "{line:?}");
            let check = line.starts_with("    option httpchk");
            prop_assert!(check || !line.contains(['\'', '\\', '$', '#']) || line.starts_with("# ")
                || line.contains("status 503"), "{line:?}");
            prop_assert!(line.len() < 2_000, "{} bytes", line.len());
        }
        prop_assert!(!plan.text.contains("6.6.6.6") || plan.text.contains("httpchk GET '"));
    }
}
