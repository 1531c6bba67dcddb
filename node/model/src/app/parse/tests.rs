use proptest::prelude::*;

use super::*;
use crate::app::fault::Fault;
use crate::app::testing::{SEEDS, app, app_text, parsed, seed};
use crate::app::*;

/// The faults of `text` as `path: first error; second…`, one a line.
#[track_caller]
fn faults(text: &str) -> Vec<Fault> {
    match AppSpec::parse(text) {
        Err(AppFaults::Invalid(faults)) => faults,
        other => panic!("{text}: {other:?}"),
    }
}

/// Exactly one faulty place, `path`, whose errors together hold `words`.
#[track_caller]
fn check_text(text: &str, path: &str, words: &[&str]) {
    let faults = faults(text);
    let paths: Vec<&str> = faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, [path], "{text}: {faults:#?}");
    let errors = faults[0].errors.join(" | ");
    for word in words {
        assert!(errors.contains(word), "{text}: {errors:?} lacks {word:?}");
    }
}

/// [`check_text`] for an otherwise valid app with `fields`.
#[track_caller]
fn check(fields: &str, path: &str, words: &[&str]) {
    check_text(&app_text(fields), path, words);
}

#[test]
fn every_article_app_is_accepted() {
    for (name, text) in SEEDS {
        let id = if name == "docker" { "ubuntu" } else { name };
        assert_eq!(parsed(text).id.as_str(), format!("/{id}"));
        assert!(parsed(text).unknown_keys.is_empty(), "{name}");
    }
    let hello = parsed(seed("hello2"));
    assert_eq!(hello.resources, Resources { cpu_milli: 100, mem_mib: 16, disk_mib: 0 });
    assert_eq!(hello.argv(), ["/bin/sh", "-c", "echo hello; sleep 10"]);
    assert_eq!((hello.ports.len(), hello.ports[0].service_port, hello.kill_grace_ms()), (1, 0, 3_000));
    let python = parsed(seed("python-app"));
    assert_eq!(python.upgrade.minimum_health, Millionths(500_000));
    assert_eq!(python.upgrade.maximum_over, Millionths::ONE);
    assert_eq!(python.health_checks[0].port, Some(HealthPort::Index(0)));
    let nginx = parsed(seed("nginx"));
    assert_eq!((&nginx.network, nginx.argv().len()), (&Network::Host, 0));
    assert_eq!(nginx.constraints[0].to_string(), "hostname:UNIQUE");
    assert_eq!(nginx.ports[0].name.as_deref(), Some("default"));
    let bridged = parsed(seed("bridged-webapp"));
    let demanded: Vec<Option<u16>> = bridged.ports.iter().map(|p| bridged.demanded_host_port(p)).collect();
    assert_eq!((bridged.network, demanded), (Network::Bridge, vec![Some(31_240), Some(31_241)]));
}

#[test]
fn the_article_app_as_printed_is_led_to_a_valid_one() {
    let printed = include_str!("../../../../../tests/seed/nginx-external.as-printed.txt");
    // Each mend is what the message before it asked for.
    let mends = [
        (3, 15, "\"Container\" {", "\"Container\": {"),
        (5, 14, "\"Docker\" {", "\"Docker\": {"),
        (9, 61, "\"servicePort\" 10000", "\"servicePort\": 10000"),
        (14, 3, "  }\n  \"Instances\"", "  },\n  \"Instances\""),
        (22, 7, "\"TimeoutSeconds\": 10", "\"TimeoutSeconds\": 10,"),
        (23, 7, "\"GracePeriodSeconds\": 10", "\"GracePeriodSeconds\": 10,"),
        (26, 12, "\"Labels\" {", "\"Labels\": {"),
    ];
    let mut text = printed.to_owned();
    for (line, column, from, to) in mends {
        match AppSpec::parse(&text) {
            Err(AppFaults::Syntax(fault)) => {
                assert_eq!((fault.line, fault.column), (line, column), "before {to}: {fault}");
            }
            other => panic!("before {to}: {other:?}"),
        }
        text = text.replacen(from, to, 1);
    }
    let found = faults(&text);
    let keys = [
        ("/Id", "id"),
        ("/Container", "container"),
        ("/Container/Type", "type"),
        ("/Container/Docker", "docker"),
        ("/Container/Docker/Image", "image"),
        ("/Container/Docker/Network", "network"),
        ("/Container/Docker/PortMappings", "portMappings"),
        ("/Container/Docker/PortMappings(0)/HostPort", "hostPort"),
        ("/Container/Docker/ForcePullImage", "forcePullImage"),
        ("/Instances", "instances"),
        ("/Cpus", "cpus"),
        ("/Mem", "mem"),
        ("/HealthChecks", "healthChecks"),
        ("/HealthChecks(0)/Protocol", "protocol"),
        ("/HealthChecks(0)/Path", "path"),
        ("/HealthChecks(0)/PortIndex", "portIndex"),
        ("/HealthChecks(0)/TimeoutSeconds", "timeoutSeconds"),
        ("/HealthChecks(0)/GracePeriodSeconds", "gracePeriodSeconds"),
        ("/HealthChecks(0)/IntervalSeconds", "intervalSeconds"),
        ("/HealthChecks(0)/MaxConsecutiveFailures", "maxConsecutiveFailures"),
        ("/Labels", "labels"),
    ];
    for (path, right) in keys {
        let sentence = format!("is not a known key; did you mean `{right}`?");
        assert!(found.iter().any(|f| f.path == path && f.errors.contains(&sentence)), "{path}: {found:#?}");
    }
    // Beside the keys there is one more fault: "nginx: 1.7.7" names no image.
    let image = found.iter().find(|f| f.path == "/Container/Docker/Image").expect("checked above");
    assert!(image.errors.iter().any(|e| e.contains("without blanks")), "{image:?}");
    assert_eq!(found.len(), keys.len(), "{found:#?}");

    for (path, right) in keys {
        let wrong = path.rsplit('/').next().expect("a path has a last segment");
        text = text.replace(&format!("\"{wrong}\""), &format!("\"{right}\""));
    }
    assert_eq!(parsed(&text.replace("nginx: 1.7.7", "nginx:1.7.7")), parsed(seed("nginx-external")));
}

#[test]
fn faults_of_type_carry_the_token_and_a_sentence() {
    check_text("[]", "/", &["error.expected.jsobject", "is an empty array; expected an object"]);
    check_text(r#"{"cmd": "x"}"#, "/id", &["error.path.missing", "is missing; expected a string"]);
    check_text(r#"{"cmd": "x", "id": null}"#, "/id", &["error.path.missing"]);
    check_text(r#"{"cmd": "x", "id": 3}"#, "/id", &["error.expected.jsstring", "is the number 3"]);
    check(r#""cpus": "1""#, "/cpus", &["error.expected.jsnumber", "is the string \"1\"; expected a number"]);
    check(r#""instances": [1]"#, "/instances", &["error.expected.jsnumber", "an array of 1"]);
    check(r#""requirePorts": 1"#, "/requirePorts", &["error.expected.jsboolean", "`true` or `false`"]);
    check(r#""healthChecks": {}"#, "/healthChecks", &["error.expected.jsarray", "an empty object"]);
    check(r#""labels": {"a": 1}"#, "/labels/a", &["error.expected.jsstring"]);
    check(
        r#""env": {"a": {"secret": "s"}}"#,
        "/env/a",
        &["error.expected.jsstring", "an object with secret"],
    );
    check(r#""uris": [1]"#, "/uris(0)", &["error.expected.jsstring"]);
    check(r#""container": true"#, "/container", &["error.expected.jsobject", "`true`"]);
    check(r#""constraints": ["hostname"]"#, "/constraints(0)", &["error.expected.jsarray"]);
    assert!(faults(&app_text(r#""cpus": "1""#))[0].is_of_type());
    assert!(!faults(&app_text(r#""cpus": -1"#))[0].is_of_type());
}

#[test]
fn amounts() {
    let milli = |fields: &str| app(fields).resources.cpu_milli;
    assert_eq!(milli(r#""cpus": 0.1"#), 100);
    assert_eq!(milli(r#""cpus": 0.30000000000000004"#), 300);
    assert_eq!(milli(r#""cpus": 0.0011"#), 2);
    assert_eq!(milli(r#""cpus": 1e-9"#), 1);
    assert_eq!(milli(r#""cpus": 0"#), 0);
    assert_eq!(milli(r#""cpus": 2.3"#), 2_300);
    assert_eq!(milli(r#""cpus": null"#), 1_000);
    for n in 0..100_000_u64 {
        let text = format!(r#""cpus": {}.{:03}"#, n / 1000, n % 1000);
        let amount = basics_milli(&text);
        assert_eq!(amount, n, "{text}");
    }
    assert_eq!(app(r#""mem": 64.5, "disk": 0.1"#).resources.mem_mib, 65);
    assert_eq!(app(r#""mem": 64.5, "disk": 0.1"#).resources.disk_mib, 1);
    assert_eq!(app(r#""instances": 3.0"#).instances, 3);
    check(r#""cpus": -1"#, "/cpus", &["is negative: -1; expected a number from 0 to 1000000"]);
    check(r#""cpus": 1e300"#, "/cpus", &["is greater than 1000000: 1e+300"]);
    check(r#""mem": -0.5"#, "/mem", &["is negative: -0.5"]);
    check(r#""disk": 1e12"#, "/disk", &["is greater than 1000000000"]);
    check(r#""instances": -1"#, "/instances", &["is negative: -1; expected a whole number from 0 to 10000"]);
    check(r#""instances": 10001"#, "/instances", &["is greater than 10000"]);
    check(r#""instances": 1.5"#, "/instances", &["is not a whole number: 1.5"]);
    check(r#""instances": 99999999999999999999"#, "/instances", &["is greater than 10000"]);
}

/// The cpus of an app without reading a whole app each time.
fn basics_milli(fields: &str) -> u64 {
    let value = serde_json::from_str(&format!("{{{fields}}}")).expect("a JSON object");
    let collected = RefCell::new(Collected::default());
    let fields = Field::root(&value, "", Sink(&collected)).object(keys::APP).expect("an object");
    basics::resources(&fields).cpu_milli
}

#[test]
fn ids_and_dependencies() {
    assert_eq!(parsed(r#"{"id": "//a//b/", "cmd": "x"}"#).id.as_str(), "/a/b");
    check_text(r#"{"id": "/Web", "cmd": "x"}"#, "/id", &["is \"/Web\"; expected an app id", "lower-case"]);
    check_text(r#"{"id": "/", "cmd": "x"}"#, "/id", &["expected an app id"]);
    check_text(r#"{"id": "/x/tasks", "cmd": "x"}"#, "/id", &["last segment"]);
    let text = r#"{"id": "/product/service/app", "cmd": "x",
                   "dependencies": ["/db", "../../db", "../db", "cache", "./side"]}"#;
    let ids: Vec<String> = parsed(text).dependencies.iter().map(AppId::to_string).collect();
    let expected =
        ["/db", "/product/db", "/product/service/db", "/product/service/cache", "/product/service/app/side"];
    assert_eq!(ids, expected);
    check(r#""dependencies": ["/B"]"#, "/dependencies(0)", &["is \"/B\""]);
    check(r#""dependencies": ["a"]"#, "/dependencies(0)", &["the app itself"]);
}

#[test]
fn something_must_say_what_to_run() {
    let message = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'";
    check_text(r#"{"id": "a"}"#, "/", &[message, "nothing says what to run"]);
    check_text(r#"{"id": "a", "cmd": "", "args": []}"#, "/", &[message]);
    check_text(r#"{"id": "a", "container": {"type": "MESOS"}}"#, "/", &[message]);
    check(r#""args": ["x"]"#, "/", &[message, "both `cmd` and `args` are set"]);
    assert_eq!(parsed(r#"{"id": "a", "args": ["x", ""]}"#).argv(), ["x", ""]);
    assert_eq!(parsed(r#"{"id": "a", "cmd": "x"}"#).cmd.as_deref(), Some("x"), "one character is enough");
    assert!(parsed(r#"{"id": "a", "container": {"docker": {"image": "x"}}}"#).argv().is_empty());
    check_text(r#"{"id": "a", "cmd": 1}"#, "/cmd", &["error.expected.jsstring"]);
    check(r#""args": ["a\u0000"]"#, "/args(0)", &["U+0000"]);
}

#[test]
fn environment_labels_and_roles() {
    check(r#""env": {"A=B": "1"}"#, "/env", &["names a variable \"A=B\""]);
    check(r#""env": {"": "1"}"#, "/env", &["names a variable \"\""]);
    check(r#""acceptedResourceRoles": []"#, "/acceptedResourceRoles", &["at least one role"]);
    assert_eq!(app(r#""acceptedResourceRoles": ["*"]"#).accepted_resource_roles, Some(vec!["*".to_owned()]));
    let many: Vec<String> = (0..257).map(|i| format!("\"l{i}\": \"\"")).collect();
    check(&format!("\"labels\": {{{}}}", many.join(",")), "/labels", &["has 257 entries; at most 256"]);
}

#[test]
fn ports_of_the_host() {
    let numbers = |fields: &str| app(fields).ports.iter().map(|p| p.service_port).collect::<Vec<u16>>();
    assert_eq!(numbers(""), [0], "absent: one port of any number");
    assert_eq!(numbers(r#""ports": []"#), [] as [u16; 0]);
    assert_eq!(numbers(r#""ports": [0, 0, 80]"#), [0, 0, 80]);
    assert_eq!(numbers(r#""ports": [8080], "portDefinitions": [{"port": 8080, "name": "http"}]"#), [8080]);
    assert_eq!(app(r#""portDefinitions": [{"protocol": "udp,tcp"}]"#).ports[0].protocol, Protocol::Both);
    let dns = r#""portDefinitions": [{"port": 53, "protocol": "tcp"}, {"port": 53, "protocol": "udp"}]"#;
    assert_eq!(numbers(dns), [53, 53], "tcp and udp are separate spaces");
    assert!(app(r#""requirePorts": true"#).require_ports);
    check(
        r#""ports": [65536]"#,
        "/ports(0)",
        &["is greater than 65535: 65536; expected a whole number from 0"],
    );
    check(r#""ports": [-1]"#, "/ports(0)", &["is negative: -1"]);
    check(r#""ports": [80, 80]"#, "/ports(1)", &["Ports must be unique", "80"]);
    check(
        r#""portDefinitions": [{"port": 53, "protocol": "udp,tcp"}, {"port": 53, "protocol": "udp"}]"#,
        "/portDefinitions(1)",
        &["Ports must be unique"],
    );
    check(
        r#""portDefinitions": [{"name": "a"}, {"name": "a"}]"#,
        "/portDefinitions(1)",
        &["Port names must be unique", "\"a\""],
    );
    check(r#""portDefinitions": [{"name": "A"}]"#, "/portDefinitions(0)/name", &["is \"A\"", "lower-case"]);
    check(
        r#""portDefinitions": [{"protocol": "TCP"}]"#,
        "/portDefinitions(0)/protocol",
        &["did you mean `tcp`?"],
    );
    check(r#""portDefinitions": [{"port": 70000}]"#, "/portDefinitions(0)/port", &["greater than 65535"]);
    check(
        r#""ports": [1], "portDefinitions": [{"port": 2}]"#,
        "/portDefinitions",
        &["name [2], but `ports` names [1]"],
    );
    check(&format!("\"ports\": {:?}", vec![0; 129]), "/ports", &["has 129 items; at most 128"]);
}

#[test]
fn networks_old_and_new() {
    let docker = |fields: &str| format!(r#""container": {{"docker": {{"image": "x", {fields}}}}}"#);
    let network = |fields: &str| app(fields).network;
    assert_eq!(network(&docker(r#""network": "HOST""#)), Network::Host);
    assert_eq!(network(&docker(r#""network": "BRIDGE""#)), Network::Bridge);
    assert_eq!(network(r#""networks": [{"mode": "container/bridge"}]"#), Network::Bridge);
    assert_eq!(network(r#""networks": []"#), Network::Host);
    let named =
        Network::Container { networks: vec![NamedNetwork { name: "n".to_owned(), labels: BTreeMap::new() }] };
    assert_eq!(network(r#""networks": [{"mode": "container", "name": "n"}]"#), named);
    assert_eq!(network(r#""networks": [{"name": "n"}]"#), named);
    assert_eq!(network(r#""ipAddress": {"networkName": "n"}"#), named);
    let user = format!(r#"{}, "ipAddress": {{"networkName": "n"}}"#, docker(r#""network": "USER""#));
    assert_eq!(network(&user), named);
    let same =
        format!(r#"{}, "networks": [{{"mode": "container/bridge"}}]"#, docker(r#""network": "BRIDGE""#));
    assert_eq!(network(&same), Network::Bridge);
    assert_eq!(
        app(r#""networks": [{"mode": "container/bridge"}]"#).container.map(|c| c.kind),
        Some(ContainerKind::Mesos),
        "off the host every app has a container"
    );

    let at = "/container/docker/network";
    check(&docker(r#""network": "NONE""#), at, &["is \"NONE\"", "expected HOST, BRIDGE or USER"]);
    check(&docker(r#""network": "bridge""#), at, &["did you mean `BRIDGE`?"]);
    let clash = format!(r#"{}, "networks": [{{"mode": "host"}}]"#, docker(r#""network": "BRIDGE""#));
    check(&clash, at, &["something else than `networks`"]);
    check(&docker(r#""network": "USER""#), "/ipAddress/networkName", &["is missing"]);
    check(r#""networks": [{"mode": "container"}]"#, "/networks(0)/name", &["is missing"]);
    check(r#""networks": [{"mode": "host", "name": "x"}]"#, "/networks(0)", &["expected neither"]);
    check(
        r#""networks": [{"mode": "container/bridge", "name": "x"}]"#,
        "/networks(0)/name",
        &["expected none"],
    );
    check(r#""networks": [{"mode": "host"}, {"mode": "host"}]"#, "/networks", &["exactly one"]);
    check(r#""networks": [{"mode": "host"}, {"mode": "container/bridge"}]"#, "/networks", &["mixes"]);
    check(r#""networks": [{"name": "a"}, {"name": "a"}]"#, "/networks(1)/name", &["distinct"]);
    check(r#""networks": [{"mode": "overlay"}]"#, "/networks(0)/mode", &["`container/bridge`"]);
    check(
        r#""networks": [{"mode": "host"}], "ipAddress": {"networkName": "n"}"#,
        "/ipAddress",
        &["beside `networks`"],
    );
    check(r#""ports": [0], "ipAddress": {"networkName": "n"}"#, "/ipAddress", &["beside `ports`"]);
    check(
        r#""ipAddress": {"networkName": "n", "groups": ["g"]}"#,
        "/ipAddress/groups",
        &["not supported yet"],
    );
}

#[test]
fn port_mappings() {
    let bridge = |fields: &str| {
        format!(r#""networks": [{{"mode": "container/bridge"}}], "container": {{"portMappings": {fields}}}"#)
    };
    let ports = |fields: &str| -> Vec<(Option<u16>, Option<u16>, u16)> {
        app(fields).ports.iter().map(|p| (p.container_port, p.host_port, p.service_port)).collect()
    };
    assert_eq!(ports(&bridge(r#"[{"containerPort": 80}]"#)), [(Some(80), Some(0), 0)]);
    assert_eq!(ports(&bridge("[]")), []);
    assert_eq!(ports(&bridge("null")), [(Some(0), Some(0), 0)], "absent: one default mapping");
    assert_eq!(app(&bridge("null")).ports[0].name.as_deref(), Some("default"));
    assert_eq!(
        ports(&format!(r#"{}, "ports": [7, 8]"#, bridge(r#"[{"containerPort": 80}]"#))),
        [(Some(80), Some(0), 0), (Some(0), Some(0), 0)],
        "as many mappings as port definitions"
    );
    let named = r#""networks": [{"name": "n"}], "container": {"portMappings": [{"containerPort": 80}]}"#;
    assert_eq!(ports(named), [(Some(80), None, 0)]);
    let discovery =
        r#""ipAddress": {"networkName": "n", "discovery": {"ports": [{"number": 80, "name": "http"}]}}"#;
    assert_eq!(ports(discovery), [(Some(80), None, 0)]);
    assert!(!app(&format!(r#"{}, "requirePorts": true"#, bridge("[]"))).require_ports);

    let at = |field: &str| format!("/container/portMappings(0){field}");
    check(&bridge(r#"[{"containerPort": 65536}]"#), &at("/containerPort"), &["greater than 65535"]);
    check(&bridge(r#"[{"hostPort": -5}]"#), &at("/hostPort"), &["is negative: -5"]);
    check(&bridge(r#"[{"servicePort": "x"}]"#), &at("/servicePort"), &["error.expected.jsnumber"]);
    check(
        &bridge(r#"[{"hostPort": 80}, {"hostPort": 80}]"#),
        "/container/portMappings(1)",
        &["Ports must be unique"],
    );
    check(&bridge(r#"[{"networkNames": ["n"]}]"#), &at("/networkNames"), &["not supported yet"]);
}

#[test]
fn network_names_of_mappings() {
    let two = r#""networks": [{"name": "a"}, {"name": "b"}], "container": {"portMappings": [PORT]}"#;
    let with = |port: &str| two.replace("PORT", port);
    assert_eq!(app(&with(r#"{"containerPort": 80}"#)).ports.len(), 1);
    check(
        &with(r#"{"networkNames": ["a"]}"#),
        "/container/portMappings(0)/networkNames",
        &["not supported yet"],
    );
    check(&with(r#"{"hostPort": 1}"#), "/container/portMappings(0)/hostPort", &["several networks"]);
    let one = r#""networks": [{"name": "a"}], "container": {"portMappings": [{"networkNames": ["a"]}]}"#;
    assert_eq!(app(one).ports.len(), 1);
    let clash = r#""container": {"portMappings": [{"containerPort": 1}],
        "docker": {"image": "x", "network": "BRIDGE", "portMappings": [{"containerPort": 2}]}}"#;
    check(clash, "/container/docker/portMappings", &["differ from `container.portMappings`"]);
}

#[test]
fn containers_and_volumes() {
    let kind = |text: &str| app(text).container.map(|c| c.kind);
    assert_eq!(kind(r#""container": {"docker": {"image": "x"}}"#), Some(ContainerKind::Docker));
    assert_eq!(
        kind(r#""container": {"type": "MESOS", "docker": {"image": "x"}}"#),
        Some(ContainerKind::Mesos)
    );
    assert_eq!(kind(r#""container": {}"#), Some(ContainerKind::Mesos));
    assert_eq!(kind(r#""container": null"#), None);
    let volume = |fields: &str| format!(r#""container": {{"volumes": [{{{fields}}}]}}"#);
    let full = app(&volume(r#""containerPath": "/d", "hostPath": "/h", "mode": "RO""#));
    assert!(full.container.expect("a container").volumes[0].read_only);

    check(r#""container": {"type": "DOCKER"}"#, "/container/docker", &["error.path.missing", "`image`"]);
    check(r#""container": {"type": "docker"}"#, "/container/type", &["did you mean `DOCKER`?"]);
    check(r#""container": {"docker": {}}"#, "/container/docker/image", &["error.path.missing"]);
    check(r#""container": {"docker": {"image": ""}}"#, "/container/docker/image", &["without blanks"]);
    check(r#""container": {"docker": {"image": "a b"}}"#, "/container/docker/image", &["is \"a b\""]);
    check(
        r#""container": {"type": "MESOS", "docker": {"image": "x", "privileged": true}}"#,
        "/container/docker/privileged",
        &["only possible in a container of type DOCKER"],
    );
    check(
        r#""container": {"docker": {"image": "x", "parameters": [{"key": "user"}]}}"#,
        "/container/docker/parameters(0)/value",
        &["error.path.missing"],
    );
    check(
        &volume(r#""containerPath": "/d", "hostPath": "/h""#),
        "/container/volumes(0)/mode",
        &["`RO` or `RW`"],
    );
    check(
        &volume(r#""containerPath": "/../etc", "hostPath": "/h", "mode": "RW""#),
        "/container/volumes(0)/containerPath",
        &["without `..`"],
    );
    check(
        &volume(r#""containerPath": "d", "mode": "RW", "persistent": {"size": 10}"#),
        "/container/volumes(0)/persistent",
        &["persistent volumes are not supported yet"],
    );
}

#[test]
fn fetch_and_uris() {
    let fetched = |fields: &str| -> Vec<(String, bool)> {
        app(fields).fetch.into_iter().map(|f| (f.uri, f.extract)).collect()
    };
    assert_eq!(
        fetched(r#""uris": ["a.tgz", "b.txt"]"#),
        [("a.tgz".to_owned(), true), ("b.txt".to_owned(), false)]
    );
    assert_eq!(fetched(r#""fetch": [{"uri": "b.txt"}]"#), [("b.txt".to_owned(), true)]);
    assert_eq!(
        fetched(r#""uris": ["a"], "fetch": [{"uri": "a", "extract": false}]"#),
        [("a".to_owned(), false)]
    );
    assert_eq!(fetched(r#""uris": ["a"], "fetch": []"#), [("a".to_owned(), false)]);
    check(r#""uris": ["a"], "fetch": [{"uri": "b"}]"#, "/fetch", &["other URIs than `uris`"]);
    check(r#""fetch": [{"uri": ""}]"#, "/fetch(0)/uri", &["has 0 characters; expected 1 to 1024"]);
    check(r#""fetch": [{}]"#, "/fetch(0)/uri", &["error.path.missing"]);
}

#[test]
fn health_checks() {
    let check_of = |fields: &str| app(&format!(r#""healthChecks": [{{{fields}}}]"#)).health_checks[0].clone();
    let plain = check_of("");
    assert_eq!(plain.protocol, HealthProtocol::Http);
    assert_eq!(plain.port, Some(HealthPort::Index(0)));
    assert_eq!((plain.grace_ms, plain.interval_ms, plain.timeout_ms), (300_000, 60_000, 20_000));
    assert_eq!((plain.max_consecutive_failures, plain.delay_ms), (3, 15_000));
    assert_eq!(check_of(r#""port": 80, "portIndex": 0"#).port, Some(HealthPort::Number(80)));
    let command = check_of(r#""protocol": "COMMAND", "command": {"value": "true"}"#);
    assert_eq!((command.command.as_deref(), command.port), (Some("true"), None));
    // Marathon's own form sends these; they mean nothing.
    assert_eq!(
        check_of(r#""protocol": "TCP", "path": "/", "ipProtocol": "IPv4", "command": null"#).path,
        None
    );

    let check = |fields: &str, at: &str, words: &[&str]| {
        check(&format!(r#""healthChecks": [{{{fields}}}]"#), &format!("/healthChecks(0){at}"), words);
    };
    let message =
        "Health check port indices must address an element of the ports array or container port mappings";
    check(r#""portIndex": 1"#, "/portIndex", &[message, "1, but the app has one port"]);
    check(r#""portIndex": -1"#, "/portIndex", &["is negative: -1"]);
    check(r#""port": 65536"#, "/port", &["greater than 65535"]);
    check(r#""protocol": "FTP""#, "/protocol", &["is \"FTP\"", "`MESOS_HTTP`"]);
    check(r#""protocol": "COMMAND""#, "/command", &["error.path.missing"]);
    check(r#""protocol": "COMMAND", "command": {}"#, "/command/value", &["error.path.missing"]);
    check(r#""command": {"value": "x"}"#, "/command", &["only with the protocol COMMAND"]);
    check(r#""intervalSeconds": 0"#, "/intervalSeconds", &["is less than 0.001: 0"]);
    check(r#""timeoutSeconds": -3"#, "/timeoutSeconds", &["is negative: -3"]);
    check(r#""maxConsecutiveFailures": -3"#, "/maxConsecutiveFailures", &["is negative: -3"]);
    check(r#""path": "/a b""#, "/path", &["without blanks"]);
    check(r#""ipProtocol": "IPv6""#, "/ipProtocol", &["only \"IPv4\" is supported yet"]);
    check_text(
        &app_text(r#""ports": [], "healthChecks": [{}]"#),
        "/healthChecks(0)/portIndex",
        &[message, "the app has no port"],
    );
    check_text(
        &app_text(r#""healthChecks": [{"protocol": "MESOS_TCP"}, {"protocol": "MESOS_HTTP"}]"#),
        "/healthChecks",
        &["at most one"],
    );
}

#[test]
fn constraints() {
    let read = |text: &str| app(&format!(r#""constraints": [{text}]"#)).constraints[0].to_string();
    assert_eq!(read(r#"["hostname", "unique"]"#), "hostname:UNIQUE");
    assert_eq!(read(r#"["rack", "GROUP_BY", "3"]"#), "rack:GROUP_BY:3");
    assert_eq!(read(r#"["rack", "GROUP_BY", ""]"#), "rack:GROUP_BY");
    assert_eq!(read(r#"["rack", "like", "r[0-9]+"]"#), "rack:LIKE:r[0-9]+");
    let check = |text: &str, at: &str, words: &[&str]| {
        check(&format!(r#""constraints": [{text}]"#), &format!("/constraints(0){at}"), words);
    };
    check(r#"["hostname"]"#, "", &["has 1 parts; expected 2 or 3"]);
    check(r#"["", "UNIQUE"]"#, "(0)", &["is empty"]);
    check(r#"["a", "NEAR"]"#, "(1)", &["is \"NEAR\"; expected one of UNIQUE, CLUSTER"]);
    check(r#"["a", "UNIQUE", "x"]"#, "(2)", &["expected no value with UNIQUE"]);
    check(r#"["a", "MAX_PER"]"#, "", &["has no value; expected a whole number"]);
    check(r#"["a", "MAX_PER", "x"]"#, "(2)", &["is \"x\"; expected a whole number"]);
    check(r#"["a", "MAX_PER", 2]"#, "(2)", &["error.expected.jsstring"]);
    check(r#"["a", "GROUP_BY", "x"]"#, "(2)", &["a whole number"]);
    check(r#"["a", "LIKE"]"#, "", &["expected a regular expression"]);
    check(r#"["a", "UNLIKE", "(x"]"#, "(2)", &["is \"(x\"; expected a regular expression"]);
    check(r#"["a", "LIKE", "a)(b"]"#, "(2)", &["a regular expression"]);
    check(r#"["a", "LIKE", "(a{1000}){1000}"]"#, "(2)", &["a regular expression"]);
    check(r#"["a", "IS", "x y"]"#, "(2)", &["expected letters"]);
}

#[test]
fn a_pattern_matches_whole_texts() {
    let pattern = whole_text_pattern("a|ab").expect("valid");
    assert!(pattern.is_match("ab") && pattern.is_match("a"));
    assert!(!pattern.is_match("abc") && !pattern.is_match("xa") && !pattern.is_match("a\n"));
}

#[test]
fn strategies() {
    check(
        r#""upgradeStrategy": {"minimumHealthCapacity": 1.5}"#,
        "/upgradeStrategy/minimumHealthCapacity",
        &["is greater than 1: 1.5; expected a number from 0 to 1"],
    );
    check(
        r#""upgradeStrategy": {"maximumOverCapacity": -0.1}"#,
        "/upgradeStrategy/maximumOverCapacity",
        &["negative"],
    );
    check(r#""backoffFactor": 0.5"#, "/backoffFactor", &["is less than 1: 0.5"]);
    check(r#""backoffSeconds": -1"#, "/backoffSeconds", &["is negative: -1"]);
    check(r#""maxLaunchDelaySeconds": -1"#, "/maxLaunchDelaySeconds", &["is negative"]);
    check(r#""taskKillGracePeriodSeconds": -1"#, "/taskKillGracePeriodSeconds", &["is negative"]);
    check(r#""killSelection": "RANDOM""#, "/killSelection", &["`YOUNGEST_FIRST`, `OLDEST_FIRST`"]);
    check(r#""unreachableStrategy": "never""#, "/unreachableStrategy", &["expected one of `disabled`"]);
    check(
        r#""unreachableStrategy": {"inactiveAfterSeconds": 5, "expungeAfterSeconds": 4}"#,
        "/unreachableStrategy/expungeAfterSeconds",
        &["4 s < 5 s"],
    );
    assert_eq!(app(r#""unreachableStrategy": "disabled""#).unreachable, UnreachableStrategy::Disabled);
    let backoff = app(r#""backoffSeconds": 0.5, "backoffFactor": 2"#).backoff;
    assert_eq!(backoff, BackoffSettings { first_ms: 500, factor: Millionths(2_000_000), max_ms: 300_000 });
    assert_eq!(app(r#""taskKillGracePeriodSeconds": 0.25"#).kill_grace_ms(), 250);
}

#[test]
fn the_single_instance_label() {
    let label = r#""labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}"#;
    let none = UpgradeStrategy { minimum_health: Millionths(0), maximum_over: Millionths(0) };
    assert_eq!(app(label).upgrade, none);
    check(&format!(r#"{label}, "instances": 2"#), "/instances", &["is greater than 1: 2"]);
    check(
        &format!(r#"{label}, "upgradeStrategy": {{"minimumHealthCapacity": 1}}"#),
        "/upgradeStrategy",
        &["expected both to be 0"],
    );
}

#[test]
fn what_cannot_be_honoured_is_refused_and_its_default_accepted() {
    for (key, default, other) in [
        ("gpus", "0", "1"),
        ("secrets", "{}", r#"{"s": {"source": "x"}}"#),
        ("readinessChecks", "[]", "[{}]"),
        ("residency", "null", r#"{"taskLostBehavior": "WAIT_FOREVER"}"#),
        ("check", "null", r#"{"tcp": {}}"#),
        ("tty", "false", "true"),
        ("resourceLimits", "{}", r#"{"cpus": "unlimited"}"#),
        ("executor", "\"//cmd\"", "\"/opt/executor\""),
        ("role", "\"*\"", "\"web\""),
    ] {
        app(&format!("\"{key}\": {default}"));
        check(&format!("\"{key}\": {other}"), &format!("/{key}"), &["supported yet"]);
    }
    app(r#""storeUrls": ["http://x"], "executorResources": {"cpus": 0.1, "mem": 32, "disk": 10}"#);
}

#[test]
fn unknown_keys_are_named_and_server_keys_pass() {
    let text =
        r#""flavour": 1, "container": {"docker": {"image": "x", "flavour": 1}}, "healthChecks": [{"x": 1}]"#;
    let mut unknown = app(text).unknown_keys;
    unknown.sort();
    assert_eq!(unknown, ["container.docker.flavour", "flavour", "healthChecks(0).x"]);
    let text = r#""tasks": [], "tasksRunning": 3, "tasksStaged": null, "tasksHealthy": 0, "tasksUnhealthy": 0,
        "version": "2024-01-01T00:00:00.000Z", "versionInfo": {}, "deployments": [{"id": "x"}],
        "lastTaskFailure": {"message": "x"}, "taskStats": {}, "readinessCheckResults": []"#;
    assert_eq!(app(text), app(""));
    check(
        r#""healthChecks": [{"portindex": 0}]"#,
        "/healthChecks(0)/portindex",
        &["did you mean `portIndex`?"],
    );
    let both = r#"{"id": "a", "ID": "b", "cmd": "x"}"#;
    check_text(both, "/ID", &["did you mean `id`?"]);
}

#[test]
fn all_faults_are_told_at_once() {
    let text = r#"{"id": "/A", "cmd": "x", "args": ["y"], "cpus": -1, "mem": "1", "ports": [0, 70000],
        "healthChecks": [{"portIndex": 7}, {"protocol": "X"}], "constraints": [["a", "B"]], "tty": true}"#;
    let mut paths: Vec<String> = faults(text).into_iter().map(|f| f.path).collect();
    paths.sort();
    let expected = [
        "/",
        "/constraints(0)(1)",
        "/cpus",
        "/healthChecks(0)/portIndex",
        "/healthChecks(1)/protocol",
        "/id",
        "/mem",
        "/ports(1)",
        "/tty",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn error_bodies() {
    let body = |text: &str| AppSpec::parse(text).expect_err(text).to_body();
    let syntax = body("{\"id\" 1}");
    assert_eq!(syntax["message"], "Invalid JSON");
    assert_eq!(syntax["details"], "line 1, column 7: expected `:` after the key \"id\", found the number 1");
    let kind = body(r#"{"id": 1, "cmd": "x", "cpus": -1}"#);
    assert_eq!(kind["message"], "Invalid JSON");
    assert_eq!(kind["details"][0]["path"], "/id");
    assert_eq!(kind["details"][0]["errors"][0], "error.expected.jsstring");
    let rule = body(&app_text(r#""cpus": -1"#));
    assert_eq!(rule["message"], "Object is not valid");
    assert_eq!(rule["details"][0]["path"], "/cpus");
}

#[test]
fn limits_of_size_and_number_are_told() {
    let text = " ".repeat(limits::REQUEST_BODY_BYTES_MAX + 1);
    assert_eq!(
        AppSpec::parse(&text),
        Err(AppFaults::TooLarge { bytes: text.len(), max: limits::REQUEST_BODY_BYTES_MAX })
    );
    let label = "x".repeat(limits::APP_BYTES_MAX);
    check(&format!(r#""labels": {{"a": "{label}"}}"#), "/", &["bytes in its canonical form; at most 262144"]);
    let items = vec!["-1"; 300].join(",");
    let found = faults(&app_text(&format!(r#""args": [{items}]"#)));
    assert_eq!(found.len(), 101);
    assert!(found[100].errors[0].contains("more faults"), "{:?}", found[100]);
}

/// A value of any kind, to be put where another belongs.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["HTTP", "host", "DOCKER", "/a", "UNIQUE"]).prop_map(Value::from),
    ];
    let keys = prop_oneof![
        prop::sample::select(keys::APP),
        prop::sample::select(keys::DOCKER),
        prop::sample::select(keys::HEALTH_CHECK),
        prop::sample::select(keys::PORT_MAPPING),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = AppSpec::parse(&text);
    }

    /// Whatever stands where: an answer; and what is accepted is also read back from its emitted form.
    #[test]
    fn any_tree_is_answered(
        fields in prop::collection::btree_map(prop::sample::select(keys::APP), any_value(), 0..8),
    ) {
        let mut object: serde_json::Map<String, Value> =
            fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        object.insert("id".to_owned(), "/a".into());
        object.entry("cmd").or_insert("true".into());
        let text = Value::Object(object).to_string();
        match AppSpec::parse(&text) {
            Err(AppFaults::Invalid(faults)) => {
                prop_assert!(!faults.is_empty() && faults.iter().all(|f| !f.errors.is_empty()));
                prop_assert!(faults.iter().all(|f| f.path.starts_with('/')));
            }
            Err(other) => prop_assert!(false, "{}: {}", text, other),
            Ok(mut app) => {
                app.unknown_keys.clear();
                prop_assert_eq!(AppSpec::parse(&app.emit().to_string()), Ok(app));
            }
        }
    }

    /// One value of a valid app replaced: an answer, and no other place is blamed than those that depend on it.
    #[test]
    fn a_seed_with_one_odd_value_is_answered(
        which in 0..SEEDS.len(),
        at in any::<prop::sample::Index>(),
        odd in any_value(),
    ) {
        let mut tree: Value = serde_json::from_str(SEEDS[which].1).expect("a seed is JSON");
        let object = tree.as_object_mut().expect("a seed is an object");
        let key = object.keys().nth(at.index(object.len())).cloned().expect("an index within");
        object.insert(key, odd);
        let _ = AppSpec::parse(&tree.to_string());
        let current = parsed(SEEDS[which].1);
        let _ = AppSpec::parse_update(&tree.to_string(), Some(&current), Some(&current.id), true);
    }
}
