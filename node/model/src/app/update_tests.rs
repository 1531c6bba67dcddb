use serde_json::json;

use super::*;
use crate::app::testing::{app, parsed, seed};
use crate::app::{Fetch, Port};

#[track_caller]
fn updated(current: &AppSpec, body: &str) -> AppSpec {
    match AppSpec::parse_update(body, Some(current), Some(&current.id), true) {
        Ok(Update::Define(app)) => *app,
        other => panic!("{body}: {other:?}"),
    }
}

/// The paths of the faults.
#[track_caller]
fn refused(current: Option<&AppSpec>, body: &str) -> Vec<String> {
    let id = AppId::parse("/a").expect("an id");
    match AppSpec::parse_update(body, current, Some(&id), true) {
        Err(AppFaults::Invalid(faults)) => faults.into_iter().map(|f| f.path).collect(),
        other => panic!("{body}: {other:?}"),
    }
}

fn service_ports(app: &AppSpec) -> Vec<u16> {
    app.ports.iter().map(|p: &Port| p.service_port).collect()
}

#[test]
fn fields_present_replace_and_absent_or_null_ones_stay() {
    let current = app(r#""cpus": 2, "mem": 64, "env": {"A": "1", "B": "2"}, "labels": {"x": "y"}"#);
    let after = updated(&current, r#"{"instances": 3, "cpus": null, "env": {"C": "3"}}"#);
    let expected = app(r#""cpus": 2, "mem": 64, "env": {"C": "3"}, "labels": {"x": "y"}, "instances": 3"#);
    assert_eq!(after, expected);
    assert_eq!(updated(&current, r#"{"labels": {}}"#).labels.len(), 0);
}

#[test]
fn scaling_is_not_a_change_of_configuration() {
    let current = app("");
    let scaled = updated(&current, r#"{"instances": 3}"#);
    assert!(current.only_instances_differ(&scaled) && current.is_same_config(&scaled));
    let other = updated(&current, r#"{"instances": 3, "cpus": 2}"#);
    assert!(!current.only_instances_differ(&other) && !current.is_same_config(&other));
    assert!(current.is_same_config(&current) && !current.only_instances_differ(&current));
    let stamped = AppSpec { version: Timestamp(5), unknown_keys: vec!["x".to_owned()], ..current.clone() };
    assert!(current.is_same_config(&stamped));
}

#[test]
fn a_version_alone_rolls_back() {
    let stamp = Timestamp::parse("2024-01-01T00:00:00.000Z").expect("a time");
    let current = app("");
    for body in [
        r#"{"version": "2024-01-01T00:00:00.000Z"}"#,
        r#"{"version": "2024-01-01T00:00:00.000Z", "id": "a", "cmd": null}"#,
    ] {
        let update = AppSpec::parse_update(body, Some(&current), Some(&current.id), true);
        assert_eq!(update, Ok(Update::RollBack(stamp)), "{body}");
    }
    let body = r#"{"version": "2024-01-01T00:00:00.000Z", "cpus": 3}"#;
    assert_eq!(updated(&current, body).resources.cpu_milli, 3_000);
    assert_eq!(refused(Some(&current), r#"{"version": "yesterday"}"#), ["/version"]);
    assert_eq!(refused(Some(&current), r#"{"version": 3}"#), ["/version"]);
    assert_eq!(refused(Some(&current), r#"{"version": "2024-01-01T00:00:00.000Z", "id": "/b"}"#), ["/id"]);
}

#[test]
fn the_id_comes_from_the_path_and_the_body_must_agree() {
    let id = AppId::parse("/a").expect("an id");
    let created = AppSpec::parse_update(r#"{"cmd": "true"}"#, None, Some(&id), true);
    assert_eq!(created, Ok(Update::Define(Box::new(app("")))));
    assert_eq!(refused(None, r#"{"cmd": "true", "id": "/b"}"#), ["/id"]);
    assert_eq!(refused(None, "[]"), ["/"]);
    assert_eq!(refused(None, "{}"), ["/"], "nothing to run");
}

#[test]
fn a_full_replacement_forgets_what_is_absent() {
    let current = app(r#""cpus": 2"#);
    let update = AppSpec::parse_update(r#"{"args": ["/x"]}"#, Some(&current), Some(&current.id), false);
    let Ok(Update::Define(after)) = update else { panic!("{update:?}") };
    assert_eq!(
        (after.cmd, after.args, after.resources.cpu_milli),
        (None, Some(vec!["/x".to_owned()]), 1_000)
    );
    // By a partial update the stored `cmd` stays, as in Marathon.
    assert_eq!(refused(Some(&current), r#"{"args": ["/x"]}"#), ["/"]);
    assert_eq!(updated(&current, r#"{"args": ["/x"], "cmd": ""}"#).cmd, None);
}

#[test]
fn of_two_spellings_the_changed_one_counts() {
    let host = app(r#""ports": [9000]"#);
    assert_eq!(service_ports(&updated(&host, r#"{"ports": [9001, 0]}"#)), [9001, 0]);
    let body = r#"{"ports": [9001], "portDefinitions": [{"port": 9000, "protocol": "tcp", "labels": {}}]}"#;
    assert_eq!(service_ports(&updated(&host, body)), [9001]);
    let body = r#"{"ports": [9000], "portDefinitions": [{"port": 9002}]}"#;
    assert_eq!(service_ports(&updated(&host, body)), [9002]);
    assert_eq!(
        refused(Some(&host), r#"{"ports": [1], "portDefinitions": [{"port": 2}]}"#),
        ["/portDefinitions"]
    );

    let fetching = app(r#""uris": ["http://x/a.tgz"]"#);
    let after = updated(&fetching, r#"{"uris": ["http://x/b"]}"#);
    let fetched = Fetch {
        uri: "http://x/b".to_owned(),
        extract: false,
        executable: false,
        cache: false,
        dest_path: None,
    };
    assert_eq!(after.fetch, [fetched]);
}

#[test]
fn a_read_bridged_app_can_be_changed_in_either_place() {
    let current = parsed(seed("bridged-webapp"));
    for at in ["/container/portMappings", "/container/docker/portMappings"] {
        let mut body = current.emit();
        body.pointer_mut(at).and_then(Value::as_array_mut).expect(at).pop();
        assert_eq!(service_ports(&updated(&current, &body.to_string())), [9000], "{at}");
    }
    let mut body = current.emit();
    body["container"]["docker"]["network"] = json!("HOST");
    assert_eq!(updated(&current, &body.to_string()).network, Network::Host);
    let mut body = current.emit();
    body["networks"] = json!([{"mode": "host"}]);
    assert_eq!(updated(&current, &body.to_string()).network, Network::Host);
}

#[test]
fn changing_the_network_leaves_the_old_ports_behind() {
    let current = app(r#""ports": [9000, 9001]"#);
    let body = r#"{"container": {"docker": {"image": "nginx", "network": "BRIDGE",
                   "portMappings": [{"containerPort": 80}]}}}"#;
    let after = updated(&current, body);
    assert_eq!((after.network, after.ports.len()), (Network::Bridge, 1));
    // A container without a word about networks stays where the app was.
    let after = updated(&parsed(seed("bridged-webapp")), r#"{"container": {"docker": {"image": "x"}}}"#);
    assert_eq!(after.network, Network::Bridge);
}

#[test]
fn the_single_instance_label_may_come_by_update() {
    let after = updated(&app(""), r#"{"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}}"#);
    assert_eq!((after.upgrade.minimum_health, after.upgrade.maximum_over), (Millionths(0), Millionths(0)));
}

#[test]
fn a_key_in_wrong_case_does_not_hide_behind_the_stored_one() {
    assert_eq!(refused(Some(&app("")), r#"{"Instances": 3}"#), ["/Instances"]);
}

#[test]
fn many_at_once() {
    let stored = app(r#""cpus": 2"#);
    let find = |id: &AppId| (*id == stored.id).then_some(&stored);
    let apps = AppSpec::parse_many(r#"[{"id": "/a", "instances": 2}, {"id": "/b", "cmd": "x"}]"#, find, true);
    let apps = apps.expect("two valid apps");
    assert_eq!((apps[0].resources.cpu_milli, apps[0].instances), (2_000, 2));
    assert_eq!(apps[1].id.as_str(), "/b");
    let text = r#"[{"id": "/A"}, {"cmd": "x"}, {"id": "/a"}, {"id": "/a"}, {"id": "/a", "version": "2024-01-01T00:00:00Z"}]"#;
    let Err(AppFaults::Invalid(faults)) = AppSpec::parse_many(text, find, true) else { panic!("accepted") };
    let paths: Vec<&str> = faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["/apps(0)/id", "/apps(0)", "/apps(1)/id", "/apps(3)/id", "/apps(4)"]);
    assert!(AppSpec::parse_many("{}", find, true).is_err());
    let text = format!("[{}]", vec!["{}"; 1_000].join(","));
    let Err(AppFaults::Invalid(faults)) = AppSpec::parse_many(&text, find, true) else { panic!("accepted") };
    assert!(
        faults.len() < 110 && faults[faults.len() - 1].errors[0].contains("too many faults"),
        "{faults:?}"
    );
}
