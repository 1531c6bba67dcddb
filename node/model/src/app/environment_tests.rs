use super::*;
use crate::app::testing::{app, parsed, seed};
use crate::task::TaskState;
use crate::{NodeId, TaskId, Timestamp};

fn task(spec: &AppSpec, ports: &[u16]) -> Task {
    Task {
        id: TaskId::new(&spec.id, 1, 1),
        version: Timestamp(1_000),
        node: NodeId(7),
        state: TaskState::Staging,
        ports: ports.to_vec(),
        addresses: Vec::new(),
        staged_at: Timestamp(0),
        started_at: None,
        kill: None,
        reach: crate::task::Reach::Here,
        epoch: 0,
        displaced: false,
        message: String::new(),
        health: Vec::new(),
        framework: "marathon".to_owned(),
        role: "*".to_owned(),
    }
}

/// Variables that must be as given; `-` means the variable must be absent.
#[track_caller]
fn check(spec: &AppSpec, ports: &[u16], expected: &[(&str, &str)]) {
    let env = environment(spec, &task(spec, ports), "10.0.3.51");
    for (name, value) in expected {
        let found = env.get(*name).map_or("-", String::as_str);
        assert_eq!(found, *value, "{name} in {env:#?}");
    }
}

#[test]
fn identity_and_resources() {
    let spec = app(r#""cpus": 0.25, "mem": 50"#);
    check(
        &spec,
        &[31_000],
        &[
            ("MESOS_TASK_ID", "a.instance-00000000-0000-0000-0000-000000000001._app.1"),
            ("MESOS_SANDBOX", "/mnt/mesos/sandbox"),
            ("MESOS_DIRECTORY", "/mnt/mesos/sandbox"),
            (
                "MESOS_CONTAINER_NAME",
                "mesos-n0000000000000007.a.instance-00000000-0000-0000-0000-000000000001._app.1",
            ),
            ("HOST", "10.0.3.51"),
            ("MARATHON_APP_ID", "/a"),
            ("MARATHON_APP_VERSION", "1970-01-01T00:00:01.000Z"),
            ("MARATHON_APP_RESOURCE_CPUS", "0.25"),
            ("MARATHON_APP_RESOURCE_MEM", "50.0"),
            ("MARATHON_APP_RESOURCE_DISK", "0.0"),
            ("MARATHON_APP_RESOURCE_GPUS", "0"),
            ("MARATHON_APP_LABELS", ""),
            ("MARATHON_APP_DOCKER_IMAGE", "-"),
        ],
    );
}

#[test]
fn ports_on_the_host() {
    let spec = parsed(seed("python-app"));
    check(
        &spec,
        &[31_319],
        &[
            ("PORT", "31319"),
            ("PORT0", "31319"),
            ("PORTS", "31319"),
            ("PORT_31319", "31319"),
            ("PORT1", "-"),
            ("MARATHON_APP_DOCKER_IMAGE", "python:3"),
        ],
    );
    let spec = app(r#""portDefinitions": [{"port": 9000, "name": "http-api"}, {"port": 0}]"#);
    check(
        &spec,
        &[31_001, 31_002],
        &[
            ("PORT_9000", "31001"),
            ("PORT_HTTP_API", "31001"),
            ("PORT_31002", "31002"),
            ("PORTS", "31001,31002"),
        ],
    );
    check(&app(r#""ports": []"#), &[], &[("PORT", "-"), ("PORTS", "")]);
}

#[test]
fn ports_behind_a_bridge() {
    check(
        &parsed(seed("bridged-webapp")),
        &[31_240, 31_241],
        &[
            ("PORT", "31240"),
            ("PORT1", "31241"),
            ("PORTS", "31240,31241"),
            ("PORT_8080", "31240"),
            ("PORT_161", "31241"),
        ],
    );
}

#[test]
fn a_port_that_is_not_mapped_is_the_container_port() {
    let spec = app(r#""networks": [{"mode": "container", "name": "dcos"}],
           "container": {"portMappings": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}]}"#);
    check(&spec, &[0, 31_005], &[("PORT0", "80"), ("PORT1", "31005"), ("PORT_81", "31005")]);
}

#[test]
fn labels_become_variables_and_the_author_has_the_last_word() {
    let long = "x".repeat(512);
    let spec = app(&format!(
        r#""labels": {{"my-app--name": "v", "LONG": "{long}", "tier": "web"}}, "env": {{"PORT0": "1", "HOST": "me"}}"#
    ));
    check(
        &spec,
        &[31_000],
        &[
            ("MARATHON_APP_LABELS", "MY_APP_NAME TIER"),
            ("MARATHON_APP_LABEL_MY_APP_NAME", "v"),
            ("MARATHON_APP_LABEL_TIER", "web"),
            ("MARATHON_APP_LABEL_LONG", "-"),
            ("PORT0", "1"),
            ("PORT", "31000"),
            ("HOST", "me"),
        ],
    );
}
