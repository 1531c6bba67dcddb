mod network;
mod parts;

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
    let printed = include_str!("../../../../../../tests/seed/nginx-external.as-printed.txt");
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
