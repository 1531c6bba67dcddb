//! Service ports, and limits that are named when they are reached.

use super::{app_id, deployed, put, spec};
use crate::app::AppSpec;
use crate::command::{PutMode, Reject};
use crate::limits;
use crate::testing::{self, Lab};

#[test]
fn service_ports_are_the_lowest_free_and_stay() {
    let mut lab = Lab::new();
    let with = |id: &str, ports: &[u16]| AppSpec {
        instances: 0,
        ports: ports.iter().map(|port| testing::port(*port, None)).collect(),
        ..testing::spec(id)
    };
    let given = |lab: &Lab, id: &str| -> Vec<u16> {
        let app = lab.state.app(&app_id(id)).expect("there");
        app.spec.ports.iter().map(|port| port.service_port).collect()
    };
    lab.put(with("/a", &[0, 9_000, 0]));
    assert_eq!(given(&lab, "/a"), [10_000, 9_000, 10_001]);
    lab.put(with("/b", &[10_002, 0]));
    assert_eq!(given(&lab, "/b"), [10_002, 10_003]);
    // The same request again changes nothing; a further port is added to those it has.
    lab.settle();
    assert!(!deployed(lab.put(with("/a", &[0, 9_000, 0]))).2);
    lab.put(with("/a", &[0, 9_000, 0, 0]));
    assert_eq!(given(&lab, "/a"), [10_000, 9_000, 10_001, 10_004]);
    // An old port that the request now gives to another place is not given twice.
    lab.settle();
    lab.put(with("/a", &[0, 10_000]));
    assert_eq!(given(&lab, "/a"), [10_001, 10_000]);
    // Explicit ones may repeat over apps: who gets the balancer's port is decided there.
    lab.put(with("/c", &[10_000]));
}

#[test]
fn service_ports_can_run_out() {
    let mut lab = Lab::new();
    let (first, last) = limits::SERVICE_PORTS;
    let all: Vec<u16> = (first..=last).collect();
    for (at, some) in all.chunks(limits::PORTS_PER_APP_MAX).enumerate() {
        let ports = some.iter().map(|port| testing::port(*port, None)).collect();
        lab.put(AppSpec { instances: 0, ports, ..testing::spec(&format!("/full/a{at}")) });
        lab.settle();
    }
    let wants = AppSpec { ports: vec![testing::port(0, None)], ..spec(0, "a") };
    let result = put(&mut lab, wants, PutMode::Create, false);
    assert!(matches!(&result, Err(Reject::Invalid { path, .. }) if path == "/ports"), "{result:?}");
}

#[test]
fn every_limit_is_named() {
    let mut lab = Lab::new();
    let mut check = |spec: AppSpec, named: &str| match put(&mut lab, spec, PutMode::Upsert, true) {
        Err(Reject::Limit { what, .. }) => assert_eq!(what, named),
        other => panic!("{other:?} for {named}"),
    };
    check(spec(limits::INSTANCES_PER_APP_MAX + 1, "a"), "instances of one app");
    check(spec(1, &"a".repeat(limits::APP_BYTES_MAX)), "bytes of one app definition");
    let many = |count| (0..=count).map(|at| (format!("k{at}"), String::new())).collect();
    check(AppSpec { labels: many(limits::LABELS_PER_APP_MAX), ..spec(1, "a") }, "labels of one app");
    let env = many(limits::ENV_PER_APP_MAX);
    check(AppSpec { env, ..spec(1, "a") }, "environment variables of one app");
    let ports = vec![testing::port(1, None); limits::PORTS_PER_APP_MAX + 1];
    check(AppSpec { ports, ..spec(1, "a") }, "ports of one app");
    for at in 0..limits::DEPLOYMENTS_MAX {
        lab.put(testing::spec(&format!("/b/a{at}")));
    }
    let result = put(&mut lab, spec(1, "a"), PutMode::Create, true);
    let full =
        Reject::Limit { limit: limits::DEPLOYMENTS_MAX as u64, what: "running deployments".to_owned() };
    assert_eq!(result, Err(full));
    assert!(lab.state.app(&app_id("/a")).is_none(), "nothing of it stays");
}
