//! The form and the JSON of one definition, whatever dialect it is in.

use serde_json::{Value, json};

use super::*;

fn shown(json: &Value) -> Form {
    Form::read(json)
}

fn list(name: &str) -> usize {
    LISTS.iter().position(|list| list.name == name).expect("a list of the form")
}

fn put_scalar(form: &mut Form, name: &str, text: &str) {
    let at = SCALARS.iter().position(|field| field.name == name).expect("a field of the form");
    form.scalars[at] = text.to_owned();
}

fn row(at: Option<usize>, cells: &[&str]) -> Row {
    Row { at, cells: cells.iter().map(|cell| (*cell).to_owned()).collect() }
}

const SEED: [&str; 7] = [
    include_str!("../../../tests/seed/hello2.json"),
    include_str!("../../../tests/seed/nginx.json"),
    include_str!("../../../tests/seed/nginx-internal.json"),
    include_str!("../../../tests/seed/nginx-external.json"),
    include_str!("../../../tests/seed/bridged-webapp.json"),
    include_str!("../../../tests/seed/python-app.json"),
    include_str!("../../../tests/seed/docker.json"),
];

#[test]
fn an_untouched_form_changes_nothing() {
    for text in SEED {
        let base: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(shown(&base).apply(&base), base);
    }
}

#[test]
fn one_changed_field_leaves_all_else_alone() {
    for text in SEED {
        let base: Value = serde_json::from_str(text).expect("JSON");
        for (name, typed, at, value) in [
            ("instances", "7", "/instances", json!(7)),
            ("cpus", "0.25", "/cpus", json!(0.25)),
            ("mem", "lots", "/mem", json!("lots")),
            ("cmd", "sleep 1", "/cmd", json!("sleep 1")),
            ("args", "a\nb c\n", "/args", json!(["a", "b c"])),
            ("image", "x:1", "/container/docker/image", json!("x:1")),
        ] {
            let mut form = shown(&base);
            put_scalar(&mut form, name, typed);
            let mut changed = form.apply(&base);
            assert_eq!(changed.pointer(at), Some(&value));
            if let Some(old) = base.pointer(at) {
                *changed.pointer_mut(at).expect("it is there") = old.clone();
                assert_eq!(changed, base, "{name}");
            }
        }
    }
}

#[test]
fn cleared_fields_are_taken_out() {
    let base = json!({"id": "a", "cmd": "x", "env": {"A": "1"}, "constraints": [["hostname", "UNIQUE"]]});
    let mut form = shown(&base);
    put_scalar(&mut form, "cmd", "");
    form.lists[list("env")].clear();
    form.lists[list("constraints")].clear();
    assert_eq!(form.apply(&base), json!({"id": "a"}));
}

#[test]
fn what_has_no_field_is_kept() {
    let base = json!({"id": "a", "env": {"A": "1", "SECRET": {"secret": "s"}}, "args": ["with\nbreak"],
        "healthChecks": [{"protocol": "HTTP", "path": "/", "ignoreHttp1xx": true}], "fetch": [{"uri": "u"}]});
    let mut form = shown(&base);
    assert_eq!(form.scalar("args"), "");
    form.lists[list("env")].push(row(None, &["B", "2"]));
    form.lists[list("checks")][0].cells[1] = "/health".to_owned();
    let mut expected = base.clone();
    expected["env"]["B"] = json!("2");
    expected["healthChecks"][0]["path"] = json!("/health");
    assert_eq!(form.apply(&base), expected);
}

#[test]
fn ports_are_written_where_they_stood() {
    let check = |base: Value, change: &dyn Fn(&mut Vec<Row>), expected: Value| {
        let mut form = shown(&base);
        change(&mut form.lists[list("ports")]);
        assert_eq!(form.apply(&base), expected, "{base}");
    };
    let set = |column: usize, text: &'static str| {
        move |rows: &mut Vec<Row>| rows[0].cells[column] = text.to_owned()
    };
    check(json!({"ports": [0, 80]}), &set(2, "8080"), json!({"ports": [8080, 80]}));
    check(json!({"ports": [0]}), &set(4, "http"), json!({"portDefinitions": [{"port": 0, "name": "http"}]}));
    check(
        json!({"portDefinitions": [{"port": 0, "labels": {"VIP": "x"}}]}),
        &set(3, "udp"),
        json!({"portDefinitions": [{"port": 0, "protocol": "udp", "labels": {"VIP": "x"}}]}),
    );
    check(
        json!({"container": {"docker": {"network": "BRIDGE", "portMappings": [{"containerPort": 80}]}, "type": "DOCKER"}}),
        &set(1, "0"),
        json!({"container": {"docker": {"network": "BRIDGE", "portMappings": [{"containerPort": 80, "hostPort": 0}]}, "type": "DOCKER"}}),
    );
    check(json!({"ports": [1, 2, 3]}), &|rows| drop(rows.remove(1)), json!({"ports": [1, 3]}));
    check(
        json!({"id": "a"}),
        &|rows| rows.push(row(None, &["", "", "80", "tcp", ""])),
        json!({"id": "a",
        "portDefinitions": [{"port": 80}]}),
    );
}

#[test]
fn ports_move_with_their_network() {
    let base = json!({"id": "a", "cmd": "x", "portDefinitions": [{"port": 10_001, "name": "http", "labels": {"V": "1"}}]});
    let mut form = shown(&base);
    put_scalar(&mut form, "network", BRIDGE);
    form.lists[list("ports")][0].cells[0] = "80".to_owned();
    let bridged = form.apply(&base);
    assert_eq!(
        bridged,
        json!({"id": "a", "cmd": "x", "networks": [{"mode": "container/bridge"}], "container": {"type": "MESOS",
            "portMappings": [{"containerPort": 80, "servicePort": 10_001, "name": "http", "labels": {"V": "1"}}]}})
    );
    let mut back = shown(&bridged);
    put_scalar(&mut back, "network", HOST);
    let host = back.apply(&bridged);
    assert_eq!(host["portDefinitions"], base["portDefinitions"]);
    assert_eq!((host.get("networks"), host["container"].get("portMappings")), (None, None));
}

#[test]
fn items_that_say_nothing_the_form_shows_are_kept() {
    let base = json!({"portDefinitions": [{"labels": {"A": "1"}}, {"port": 80}]});
    let mut form = shown(&base);
    assert_eq!(form.lists[list("ports")].len(), 1);
    form.lists[list("ports")][0].cells[2] = "81".to_owned();
    let expected = json!({"portDefinitions": [{"labels": {"A": "1"}}, {"port": 81}]});
    // Only what moved to another network and lost its row goes.
    assert_eq!(form.apply(&base), expected);
}

#[test]
fn named_networks_are_kept() {
    let base = json!({"id": "a", "networks": [{"mode": "container", "name": "blue"}], "container": {"portMappings":
        [{"containerPort": 1}]}});
    let mut form = shown(&base);
    assert_eq!(form.scalar("network"), super::super::schema::NAMED);
    put_scalar(&mut form, "id", "b");
    assert_eq!(form.apply(&base)["networks"], base["networks"]);
}

#[test]
fn checks_of_commands_and_of_paths() {
    let base =
        json!({"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}, {"path": "/a"}]});
    let mut form = shown(&base);
    let rows = &mut form.lists[list("checks")];
    assert_eq!((rows[0].cells[1].as_str(), rows[1].cells[0].as_str()), ("true", "HTTP"));
    rows[0].cells[0] = "HTTP".to_owned();
    rows[0].cells[1] = "/b".to_owned();
    rows[0].cells[3] = "5".to_owned();
    let expected = json!([{"protocol": "HTTP", "path": "/b", "intervalSeconds": 5}, {"path": "/a"}]);
    assert_eq!(form.apply(&base)["healthChecks"], expected);
}

#[test]
fn rows_that_contradict_each_other_are_told() {
    let mut form = shown(&json!({}));
    let rows = [["A", "1"], ["A", "2"], ["", "3"]];
    form.lists[list("env")] = rows.iter().map(|cells| row(None, cells)).collect();
    let faults = form.faults();
    assert_eq!(faults.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), ["env", "env"]);
}
