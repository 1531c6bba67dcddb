use super::*;

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
    let docker = r#""networks": [{"name": "a"}, {"name": "b"}], "container": {"docker": {"image": "x"}}"#;
    check(docker, "/networks", &["has 2 networks; expected one"]);
    let one = r#""networks": [{"name": "a"}], "container": {"portMappings": [{"networkNames": ["a"]}]}"#;
    assert_eq!(app(one).ports.len(), 1);
    let clash = r#""container": {"portMappings": [{"containerPort": 1}],
        "docker": {"image": "x", "network": "BRIDGE", "portMappings": [{"containerPort": 2}]}}"#;
    check(clash, "/container/docker/portMappings", &["differ from `container.portMappings`"]);
}

#[test]
fn host_ports_of_the_node_itself_are_refused_with_their_owner() {
    let mapping = |fields: &str| {
        format!(
            r#""networks": [{{"mode": "container/bridge"}}], "container": {{"portMappings": [{{"containerPort": 1, {fields}}}]}}"#
        )
    };
    let path = "/container/portMappings(0)/hostPort";
    check(&mapping(r#""hostPort": 8080"#), path, &["is 8080", "itself for the console"]);
    check(&mapping(r#""hostPort": 53, "protocol": "udp""#), path, &["is 53", "names"]);
    check(&mapping(r#""hostPort": 8080, "protocol": "udp,tcp""#), path, &["is 8080"]);
    assert_eq!(app(&mapping(r#""hostPort": 8080, "protocol": "udp""#)).ports[0].host_port, Some(8080));
    assert_eq!(app(&mapping(r#""hostPort": 80"#)).ports[0].host_port, Some(80));
}
