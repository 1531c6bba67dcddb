use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::app::testing::{SEEDS, any_app, app, parsed, seed};

/// Fails unless everything in `wanted` is in `found`, numbers compared as numbers; arrays item by item.
#[track_caller]
fn assert_holds(found: &Value, wanted: &Value, path: &str) {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            for (key, wanted) in wanted {
                let missing = || panic!("{path}/{key} is missing");
                assert_holds(found.get(key).unwrap_or_else(missing), wanted, &format!("{path}/{key}"));
            }
        }
        (Value::Array(found), Value::Array(wanted)) => {
            assert_eq!(found.len(), wanted.len(), "{path}");
            for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                assert_holds(found, wanted, &format!("{path}({i})"));
            }
        }
        (Value::Number(found), Value::Number(wanted)) => {
            assert_eq!(found.as_f64(), wanted.as_f64(), "{path}")
        }
        _ => assert_eq!(found, wanted, "{path}"),
    }
}

#[test]
fn the_article_apps_come_back_with_every_value_they_had() {
    for (name, text) in SEEDS {
        let mut wanted: Value = serde_json::from_str(text).expect(name);
        // The canonical form of an id is absolute.
        wanted["id"] = json!(format!("/{}", wanted["id"].as_str().expect(name)));
        if name == "bridged-webapp" {
            // Beside mappings the port definitions are dropped: the second one's protocol follows its mapping.
            wanted["portDefinitions"][1]["protocol"] = json!("udp");
        }
        assert_holds(&parsed(text).emit(), &wanted, name);
    }
}

#[test]
fn the_worked_example_of_the_specification() {
    let emitted = parsed(seed("bridged-webapp")).emit();
    let mappings = json!([
        {"containerPort": 8080, "hostPort": 31240, "servicePort": 9000, "protocol": "tcp", "labels": {}},
        {"containerPort": 161, "hostPort": 31241, "servicePort": 10000, "protocol": "udp", "labels": {}}
    ]);
    let wanted = json!({
        "id": "/bridged-webapp", "cmd": "python3 -m http.server 8080", "args": null, "user": null, "env": {},
        "instances": 1, "cpus": 0.5, "mem": 64, "disk": 0, "gpus": 0, "executor": "", "constraints": [], "uris": [],
        "fetch": [], "storeUrls": [], "backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 300,
        "networks": [{"mode": "container/bridge"}],
        "container": {
            "type": "DOCKER", "volumes": [],
            "docker": {
                "image": "python:3", "network": "BRIDGE", "privileged": false, "parameters": [],
                "forcePullImage": false, "portMappings": mappings
            },
            "portMappings": mappings
        },
        "ports": [9000, 10000],
        "portDefinitions": [
            {"port": 9000, "protocol": "tcp", "labels": {}}, {"port": 10000, "protocol": "udp", "labels": {}}
        ],
        "requirePorts": false,
        "healthChecks": [{
            "path": "/", "protocol": "HTTP", "portIndex": 0, "gracePeriodSeconds": 5, "intervalSeconds": 20,
            "timeoutSeconds": 20, "maxConsecutiveFailures": 3, "ignoreHttp1xx": false
        }],
        "readinessChecks": [], "dependencies": [], "labels": {}, "secrets": {},
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
        "killSelection": "YOUNGEST_FIRST",
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "acceptedResourceRoles": null, "ipAddress": null, "residency": null,
        "version": "1970-01-01T00:00:00.000Z",
        "versionInfo": {
            "lastScalingAt": "1970-01-01T00:00:00.000Z", "lastConfigChangeAt": "1970-01-01T00:00:00.000Z"
        }
    });
    assert_eq!(emitted, wanted);
}

#[test]
fn numbers_and_order_are_as_people_write_them() {
    let app = app(
        r#""cpus": 0.1, "mem": 16.0, "disk": 0.0, "backoffSeconds": 2.5, "taskKillGracePeriodSeconds": 5"#,
    );
    let text = serde_json::to_string(&app.view()).expect("serialisable");
    assert!(text.starts_with(r#"{"id":"/a","cmd":"true","args":null,"#), "{text}");
    for part in [
        r#""cpus":0.1,"mem":16,"disk":0,"#,
        r#""backoffSeconds":2.5,"backoffFactor":1.15,"#,
        r#""taskKillGracePeriodSeconds":5,"#,
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

#[test]
fn keys_that_strict_clients_do_not_know_are_absent() {
    let text = parsed(seed("bridged-webapp")).emit().to_string();
    let keys =
        ["tty", "check", "resourceLimits", "executorResources", "networkNames", "linuxInfo", "delaySeconds"];
    for key in keys {
        assert!(!text.contains(&format!("\"{key}\"")), "{key}");
    }
}

proptest! {
    #[test]
    fn what_is_emitted_is_read_back_the_same(app in any_app()) {
        let text = serde_json::to_string(&app.view()).expect("serialisable");
        match AppSpec::parse(&text) {
            Ok(again) => prop_assert_eq!(again, app),
            Err(faults) => prop_assert!(false, "{}: {:#}", text, faults.to_body()),
        }
    }

    #[test]
    fn sending_back_what_was_read_changes_nothing(app in any_app()) {
        let text = serde_json::to_string(&app.view()).expect("serialisable");
        let update = AppSpec::parse_update(&text, Some(&app), Some(&app.id), true);
        prop_assert_eq!(update, Ok(crate::app::Update::Define(Box::new(app))));
    }
}
