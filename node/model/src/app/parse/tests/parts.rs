use super::*;

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
