//! Names and answers by example; that following changes gives what starting anew gives is shown in `properties.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::TaskId;
use crate::app::{AppSpec, Protocol};
use crate::ids::IdSource;
use crate::task::{Exit, KillReason, TaskChange};
use crate::testing::{Lab, health_check, node, port, spec};
use crate::{Command, NodeId};

const VIEW: View = View { node: NodeId(1), leader: Some(NodeId(1)) };

fn zone_of(lab: &Lab) -> Zone {
    records(&lab.state, VIEW, Arc::default())
}

fn text(data: &RecordData) -> String {
    match data {
        RecordData::A(v4) => v4.to_string(),
        RecordData::Aaaa(v6) => v6.to_string(),
        RecordData::Srv { port, target, weight } => format!("{weight} {target}:{port}"),
        RecordData::Ns(target) => target.to_string(),
        RecordData::Soa(soa) => format!("soa {}", soa.server),
    }
}

/// Every name with its records.
fn listed(zone: &Zone) -> BTreeMap<String, Vec<String>> {
    let line = |(name, entry): (&Arc<str>, &Entry)| {
        (name.to_string(), zone.listed(entry).iter().map(text).collect())
    };
    zone.names().iter().map(line).collect()
}

#[track_caller]
fn check(zone: &Zone, name: &str, expected: &[&str]) {
    let all = listed(zone);
    assert_eq!(all.get(name).cloned().unwrap_or_default(), expected, "{name} in {all:#?}");
}

fn ask(zone: &Zone, name: &str, kind: Kind) -> Answer {
    zone.answer(name, kind, 1_000, &mut IdSource::new(1)).expect("of the domain")
}

fn answers(zone: &Zone, name: &str, kind: Kind) -> Vec<String> {
    let mut found: Vec<String> = ask(zone, name, kind).answers.iter().map(|r| text(&r.data)).collect();
    found.sort();
    found
}

/// An app of a group in host networking, with a named port of both protocols, running on node 1.
fn shop() -> (Lab, String) {
    let mut lab = Lab::new();
    let mut web = spec("/shop/web");
    web.ports = vec![port(10_000, None), port(10_001, None)];
    web.ports[1].name = Some("admin".to_owned());
    web.ports[1].protocol = Protocol::Both;
    lab.put(web);
    lab.settle();
    let task = lab.tasks().remove(0);
    let one = format!("-{}-{}", label::task_hash(task.id.as_str()), task.node);
    (lab, one)
}

fn ports_of(lab: &Lab) -> (u16, u16) {
    let task = lab.tasks().remove(0);
    (task.ports[0], task.ports[1])
}

#[test]
fn a_task_has_the_names_of_mesos_dns() {
    let (lab, one) = shop();
    let zone = zone_of(&lab);
    let (first, second) = ports_of(&lab);
    // Both spellings: the one label and the raw name.
    for t in ["web-shop", "web.shop"] {
        let c = format!("{t}{one}");
        for name in [t, &c] {
            check(&zone, &format!("{name}.marathon.mesos"), &["10.0.0.1"]);
            check(&zone, &format!("{name}.marathon.slave.mesos"), &["10.0.0.1"]);
        }
        let on_node = |port| format!("1 {c}.marathon.slave.mesos:{port}");
        let itself = |port| format!("1 {c}.marathon.mesos:{port}");
        for protocol in ["tcp", "udp"] {
            let name = format!("_{t}._{protocol}.marathon.slave.mesos");
            let mut both = [on_node(first), on_node(second)];
            both.sort();
            check(&zone, &name, &[&both[0], &both[1]]);
        }
        let mut both = [itself(first), itself(second)];
        both.sort();
        check(&zone, &format!("_{t}._tcp.marathon.mesos"), &[&both[0], &both[1]]);
        check(&zone, &format!("_{t}._udp.marathon.mesos"), &[&itself(second)]);
        check(&zone, &format!("_admin._{t}._tcp.marathon.mesos"), &[&itself(second)]);
        check(&zone, &format!("_admin._{t}._udp.marathon.mesos"), &[&itself(second)]);
    }
}

#[test]
fn a_task_with_addresses_of_its_own_is_found_there() {
    let mut lab = Lab::new();
    let mut web = spec("/web");
    web.network = crate::app::Network::Bridge;
    web.ports = vec![port(10_000, Some(0))];
    web.ports[0].container_port = Some(80);
    web.instances = 2;
    lab.put(web);
    lab.lead();
    let tasks: Vec<TaskId> = lab.tasks().into_iter().map(|task| task.id).collect();
    for (at, id) in tasks.iter().enumerate() {
        let addresses = vec![[172, 20, 0, at as u8].into(), format!("fd00::{at}").parse().expect("ip")];
        lab.report(id, TaskChange::Running { addresses });
    }
    let zone = zone_of(&lab);
    check(&zone, "web.marathon.mesos", &["172.20.0.0", "172.20.0.1", "fd00::", "fd00::1"]);
    check(&zone, "web.marathon.slave.mesos", &["10.0.0.1"]);
    let services = answers(&zone, "_web._tcp.marathon.mesos", Kind::Srv);
    assert_eq!(services.len(), 2);
    assert!(services.iter().all(|s| s.ends_with("marathon.mesos:80")), "{services:?}");
    let on_node = answers(&zone, "_web._tcp.marathon.slave.mesos", Kind::Srv);
    assert!(on_node.iter().all(|s| s.contains(".marathon.slave.mesos:31")), "{on_node:?}");
}

#[test]
fn the_cluster_has_names() {
    let mut lab = Lab::new();
    let mut second = node(2);
    second.addresses = vec!["10.0.0.2".parse().expect("ip"), "172.17.0.1".parse().expect("ip")];
    second.addresses.push("fd00::2".parse().expect("ip"));
    lab.must(Command::RegisterNode { node: second });
    let zone = zone_of(&lab);
    for (name, expected) in [
        ("slave.mesos", &["10.0.0.1", "10.0.0.2", "fd00::2"][..]),
        ("master.mesos", &["10.0.0.1", "10.0.0.2", "fd00::2"]),
        ("master0.mesos", &["10.0.0.1"]),
        ("master1.mesos", &["10.0.0.2", "fd00::2"]),
        ("leader.mesos", &["10.0.0.1"]),
        ("marathon.mesos", &["10.0.0.1"]),
        ("ns1.mesos", &["10.0.0.1"]),
        ("_slave._tcp.mesos", &["1 slave.mesos:5051"]),
        ("_master._udp.mesos", &["1 master.mesos:5050"]),
        ("_leader._tcp.mesos", &["1 leader.mesos:5050"]),
        ("_framework._tcp.marathon.mesos", &["1 marathon.mesos:8080"]),
    ] {
        check(&zone, name, expected);
    }
    let zone = zone.next(&lab.state, View { leader: Some(NodeId(2)), ..VIEW });
    check(&zone, "leader.mesos", &["10.0.0.2", "fd00::2"]);
    assert!(zone.last_change().cluster);
}

#[test]
fn only_running_tasks_are_published_and_sentenced_ones_no_more() {
    let mut lab = Lab::with_app(1);
    lab.lead();
    let id = lab.tasks().remove(0).id;
    let zone = zone_of(&lab);
    check(&zone, "a.marathon.mesos", &[]);
    lab.running(&id);
    let zone = zone.next(&lab.state, VIEW);
    check(&zone, "a.marathon.mesos", &["10.0.0.1"]);
    assert_eq!(zone.last_change().apps.len(), 1);
    let (serial, deployment) = (zone.serial(), lab.deployment());
    lab.must(Command::KillTasks { tasks: vec![id.clone()], scale: false, deployment, force: false });
    assert_eq!(lab.tasks()[0].kill, Some(KillReason::Requested));
    let zone = zone.next(&lab.state, VIEW);
    check(&zone, "a.marathon.mesos", &[]);
    assert!(zone.serial() > serial);
    lab.ended(&id, Exit::Signal(15));
    let after = zone.next(&lab.state, VIEW);
    assert_eq!((after.serial(), after.last_change()), (zone.serial(), zone.last_change()));
    assert_eq!(after.index(), lab.state.index);
}

#[test]
fn unhealthy_tasks_are_published_only_if_all_are() {
    let mut lab = Lab::new();
    let mut app = AppSpec { instances: 2, health_checks: vec![health_check()], ..spec("/a") };
    app.ports = vec![port(10_000, None)];
    lab.put(app);
    lab.settle();
    let tasks = lab.tasks();
    let mut zone = zone_of(&lab);
    // Which tasks are there, by their ports.
    let mut expect = |lab: &Lab, expected: &[usize]| {
        zone = zone.next(&lab.state, VIEW);
        let services = answers(&zone, "_a._tcp.marathon.mesos", Kind::Srv);
        let is_there =
            |at: &usize| services.iter().any(|s| s.ends_with(&format!(":{}", tasks[*at].ports[0])));
        assert_eq!((0..2).filter(is_there).collect::<Vec<_>>(), expected, "{services:?}");
        assert_eq!(listed(&zone), listed(&zone_of(lab)), "followed and made anew");
        assert_eq!(zone.by_task().count(), expected.len());
    };
    expect(&lab, &[0, 1]);
    lab.judged(&tasks[0].id, 1);
    expect(&lab, &[1]);
    lab.judged(&tasks[1].id, 1);
    expect(&lab, &[0, 1]);
    lab.judged(&tasks[1].id, 0);
    expect(&lab, &[1]);
    // The only healthy one ends: a doubtful answer is better than none.
    lab.ended(&tasks[1].id, Exit::Code(1));
    expect(&lab, &[0]);
    lab.judged(&tasks[0].id, 0);
    expect(&lab, &[0]);
}

#[test]
fn two_tasks_on_one_node_share_an_address_and_have_a_service_each() {
    let mut lab = Lab::new();
    let mut app = AppSpec { instances: 2, ..spec("/a") };
    app.ports = vec![port(10_000, None)];
    lab.put(app);
    lab.settle();
    let zone = zone_of(&lab);
    assert_eq!(answers(&zone, "a.marathon.mesos", Kind::A), ["10.0.0.1"]);
    let answer = ask(&zone, "_a._tcp.marathon.mesos", Kind::Srv);
    assert_eq!((answer.answers.len(), answer.additional.len()), (2, 2));
    let RecordData::Srv { target, .. } = &answer.answers[0].data else { panic!("{answer:?}") };
    assert!(answer.additional.iter().any(|r| r.owner == *target), "{answer:?}");
    // One of them ends: the address stays.
    let first = lab.tasks().remove(0).id;
    lab.ended(&first, Exit::Code(1));
    let zone = zone.next(&lab.state, VIEW);
    assert_eq!(answers(&zone, "a.marathon.mesos", Kind::A), ["10.0.0.1"]);
    assert_eq!(answers(&zone, "_a._tcp.marathon.mesos", Kind::Srv).len(), 1);
}

#[test]
fn what_is_not_there_is_told_from_what_has_no_such_record() {
    let (lab, one) = shop();
    let zone = zone_of(&lab);
    let canonical = format!("web-shop{one}.marathon.mesos");
    for (name, kind, code) in [
        ("web-shop.marathon.mesos", Kind::Aaaa, Code::NoError),
        ("web-shop.marathon.mesos", Kind::Other, Code::NoError),
        ("web-shop.marathon.mesos", Kind::Srv, Code::NoError),
        (&*canonical, Kind::Srv, Code::NoError),
        // Names that hold nothing, above ones that do.
        ("marathon.slave.mesos", Kind::A, Code::NoError),
        ("_tcp.marathon.mesos", Kind::A, Code::NoError),
        ("_tcp.mesos", Kind::Srv, Code::NoError),
        ("mesos", Kind::A, Code::NoError),
        ("nothing.marathon.mesos", Kind::A, Code::NxDomain),
        ("_nothing._tcp.marathon.mesos", Kind::Srv, Code::NxDomain),
        ("x.web-shop.marathon.mesos", Kind::A, Code::NxDomain),
        ("nothing.marathon.mesos", Kind::Soa, Code::NxDomain),
    ] {
        let answer = ask(&zone, name, kind);
        assert_eq!((answer.code, answer.answers.len()), (code, 0), "{name} {kind:?}");
        assert!(matches!(answer.authority[..], [Record { data: RecordData::Soa(_), .. }]), "{name} {kind:?}");
        assert_eq!(&*answer.authority[0].owner, "mesos");
    }
    for foreign in ["example.com", "notmesos", "", "mesos.example.com"] {
        assert_eq!(zone.answer(foreign, Kind::A, 10, &mut IdSource::new(1)), None, "{foreign}");
    }
    assert_eq!(answers(&zone, "mesos", Kind::Soa), ["soa ns1.mesos"]);
    assert_eq!(answers(&zone, "mesos", Kind::Ns), ["ns1.mesos"]);
    assert_eq!(ask(&zone, "mesos", Kind::Ns).additional.len(), 1);
    let any = ask(&zone, "web-shop.marathon.mesos", Kind::Any);
    assert_eq!(any.answers.len(), 1);
}

#[test]
fn answers_are_shuffled_and_cut() {
    let mut lab = Lab::new();
    for id in 2..=40 {
        lab.must(Command::RegisterNode { node: node(id) });
    }
    let zone = zone_of(&lab);
    let mut ids = IdSource::new(9);
    let mut firsts = BTreeMap::new();
    for _ in 0..4_000 {
        let answer = zone.answer("slave.mesos", Kind::A, 10, &mut ids).expect("of the domain");
        let seen: BTreeSet<String> = answer.answers.iter().map(|r| text(&r.data)).collect();
        assert!(answer.is_cut && seen.len() == 10);
        *firsts.entry(text(&answer.answers[0].data)).or_insert(0) += 1;
    }
    // Each of the 40 is the first in a hundred of four thousand, give or take five deviations of ten.
    assert_eq!(firsts.len(), 40);
    assert!(firsts.values().all(|n| (50..=150).contains(n)), "{firsts:?}");
    let whole = zone.answer("slave.mesos", Kind::A, 40, &mut ids).expect("of the domain");
    assert!(!whole.is_cut && whole.answers.len() == 40);
}

#[test]
fn long_names_stay_sayable() {
    let mut lab = Lab::new();
    let long = "a".repeat(63);
    for id in [format!("/{long}"), format!("/{long}b/{long}"), format!("/x/{}", "c".repeat(80))] {
        lab.put(AppSpec { ports: vec![port(0, None)], ..spec(&id) });
    }
    lab.settle();
    let zone = zone_of(&lab);
    check(&zone, &format!("{long}.marathon.mesos"), &["10.0.0.1"]);
    let service = format!("_{}._tcp.marathon.mesos", "a".repeat(62));
    // The two that differ only behind the cut share their names, as they did under Mesos-DNS.
    assert_eq!(answers(&zone, &service, Kind::Srv).len(), 2);
    for (name, entry) in zone.names().iter() {
        assert!(label::is_sayable(name), "{name}");
        for service in entry.srv.iter() {
            assert!(
                zone.names().get(&service.host).is_some(),
                "{name} leads to {}, which is not there",
                service.host
            );
        }
    }
}
