//! Generated definitions and short ways to read one, for the tests of this folder.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The article's definitions, as they must be accepted unchanged.
pub const SEEDS: [(&str, &str); 7] = [
    ("bridged-webapp", include_str!("../../../../tests/seed/bridged-webapp.json")),
    ("docker", include_str!("../../../../tests/seed/docker.json")),
    ("hello2", include_str!("../../../../tests/seed/hello2.json")),
    ("nginx-external", include_str!("../../../../tests/seed/nginx-external.json")),
    ("nginx-internal", include_str!("../../../../tests/seed/nginx-internal.json")),
    ("nginx", include_str!("../../../../tests/seed/nginx.json")),
    ("python-app", include_str!("../../../../tests/seed/python-app.json")),
];

pub fn seed(name: &str) -> &'static str {
    SEEDS.iter().find(|(n, _)| *n == name).expect(name).1
}

#[track_caller]
pub fn parsed(text: &str) -> AppSpec {
    AppSpec::parse(text).unwrap_or_else(|faults| panic!("{text}: {:#}", faults.to_body()))
}

/// An app that needs nothing but the given fields: `"cpus": 2`.
#[track_caller]
pub fn app(fields: &str) -> AppSpec {
    parsed(&app_text(fields))
}

pub fn app_text(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { ", " };
    format!(r#"{{"id": "/a", "cmd": "true"{comma}{fields}}}"#)
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_.]{0,6}", "[^\0]{0,8}", 0..3)
}

fn port_name() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-z][a-z0-9]{0,5}")
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Both])
}

fn network() -> impl Strategy<Value = Network> {
    let names = prop::collection::btree_map("[a-z]{1,6}", texts(), 1..3);
    prop_oneof![
        Just(Network::Host),
        Just(Network::Bridge),
        names.prop_map(|names| {
            let named = |(name, labels)| NamedNetwork { name, labels };
            Network::Container { networks: names.into_iter().map(named).collect() }
        }),
    ]
}

/// Ports that fit `network`; names and numbers are made distinct by their position.
fn ports(network: Network) -> impl Strategy<Value = (Network, Vec<Port>)> {
    let several = matches!(&network, Network::Container { networks } if networks.len() > 1);
    let one = (0..200_u16, any::<u16>(), 0..200_u16, any::<bool>(), protocol(), port_name(), texts());
    prop::collection::vec(one, 0..4).prop_map(move |parts| {
        // From 10001 on: below lie ports that a node uses itself.
        let distinct = |n: u16, i: usize| if n == 0 { 0 } else { 10_000 + n + 200 * i as u16 };
        let port = |(i, (service, container, host, has_host, protocol, name, labels)): (usize, _)| {
            let (container_port, host_port) = match network {
                Network::Host => (None, None),
                Network::Bridge => (Some(container), Some(distinct(host, i))),
                Network::Container { .. } => {
                    (Some(container), (has_host && !several).then_some(distinct(host, i)))
                }
            };
            let name = Option::<String>::map(name, |name| format!("{name}{i}"));
            Port { service_port: distinct(service, i), container_port, host_port, protocol, name, labels }
        };
        (network.clone(), parts.into_iter().enumerate().map(port).collect())
    })
}

fn image() -> impl Strategy<Value = Image> {
    let parameters = prop::collection::vec(("[a-z-]{1,8}", "[^\0]{0,8}"), 0..3);
    ("[a-z/:.0-9]{1,20}", any::<bool>(), any::<bool>(), parameters).prop_map(
        |(reference, force_pull, privileged, parameters)| Image {
            reference,
            force_pull,
            privileged,
            parameters,
        },
    )
}

fn container() -> impl Strategy<Value = Container> {
    let volume = ("/[a-z]{1,8}", "/[a-z]{1,8}", any::<bool>());
    let volume = volume.prop_map(|(container_path, host_path, read_only)| Volume {
        container_path,
        host_path,
        read_only,
    });
    (prop::option::of(image()), any::<bool>(), prop::collection::vec(volume, 0..3)).prop_map(
        |(image, plain, volumes)| match image {
            Some(image) if !plain => Container { kind: ContainerKind::Docker, image: Some(image), volumes },
            image => {
                let image = image.map(|i| Image { privileged: false, parameters: Vec::new(), ..i });
                Container { kind: ContainerKind::Mesos, image, volumes }
            }
        },
    )
}

fn constraint() -> impl Strategy<Value = Constraint> {
    use ConstraintOperator::*;
    let kinds = vec![
        (Unique, None),
        (Cluster, None),
        (Cluster, Some("rack-1")),
        (GroupBy, None),
        (GroupBy, Some("3")),
        (Like, Some("a.*b")),
        (Unlike, Some("(x|y)[0-9]+")),
        (MaxPer, Some("2")),
        (Is, Some("a/b_c.1")),
    ];
    ("[a-z@]{1,8}", prop::sample::select(kinds)).prop_map(|(field, (operator, value))| Constraint {
        field,
        operator,
        value: value.map(str::to_owned),
    })
}

fn health_check(ports: usize) -> impl Strategy<Value = HealthCheck> {
    let protocol = prop::sample::select(vec![
        HealthProtocol::Http,
        HealthProtocol::Https,
        HealthProtocol::Tcp,
        HealthProtocol::Command,
    ]);
    let times = (0..90_000_u64, 1..90_000_u64, 1..90_000_u64, 0..90_000_u64);
    let port = (any::<bool>(), any::<u16>(), any::<prop::sample::Index>());
    (protocol, prop::option::of("/[a-z]{0,5}"), port, times, any::<u32>(), any::<bool>()).prop_map(
        move |(
            protocol,
            path,
            (by_number, number, index),
            times,
            max_consecutive_failures,
            ignore_http_1xx,
        )| {
            let is_http = matches!(protocol, HealthProtocol::Http | HealthProtocol::Https);
            let is_command = protocol == HealthProtocol::Command;
            let port = if by_number || ports == 0 {
                HealthPort::Number(number)
            } else {
                HealthPort::Index(index.index(ports) as u32)
            };
            HealthCheck {
                protocol,
                path: path.filter(|_| is_http),
                port: (!is_command).then_some(port),
                command: is_command.then(|| "test -e /ready".to_owned()),
                grace_ms: times.0,
                interval_ms: times.1,
                timeout_ms: times.2,
                delay_ms: times.3,
                max_consecutive_failures,
                ignore_http_1xx,
            }
        },
    )
}

fn fetch() -> impl Strategy<Value = Fetch> {
    ("http://[a-z]{1,9}", any::<bool>(), any::<bool>(), any::<bool>(), prop::option::of("[a-z]{1,9}"))
        .prop_map(|(uri, extract, executable, cache, dest_path)| Fetch {
            uri,
            extract,
            executable,
            cache,
            dest_path,
        })
}

fn unreachable() -> impl Strategy<Value = UnreachableStrategy> {
    let after = (0..1_000_000_u64, 0..1_000_000_u64).prop_map(|(inactive_ms, more)| {
        UnreachableStrategy::After { inactive_ms, expunge_ms: inactive_ms + more }
    });
    prop_oneof![Just(UnreachableStrategy::Disabled), after]
}

fn id() -> impl Strategy<Value = AppId> {
    "(/[a-z][a-z0-9]{0,6}){1,3}".prop_map(|text| AppId::parse(&text).expect("a well-formed id"))
}

fn upgrade() -> impl Strategy<Value = UpgradeStrategy> {
    (0..=1_000_000_u64, 0..=1_000_000_u64).prop_map(|(minimum, maximum)| UpgradeStrategy {
        minimum_health: Millionths(minimum),
        maximum_over: Millionths(maximum),
    })
}

/// Any valid definition in canonical form, its version stamps zero.
pub fn any_app() -> impl Strategy<Value = AppSpec> {
    let place = network().prop_flat_map(ports).prop_flat_map(|(network, ports)| {
        let checks = prop::collection::vec(health_check(ports.len()), 0..3);
        (Just(network), Just(ports), checks, prop::option::of(container()), any::<bool>())
    });
    let run = (prop::option::of("[^\0]{1,12}"), prop::collection::vec("[^\0]{0,8}", 1..3), any::<bool>());
    let resources = (0..10_000_u64, 0..100_000_u64, 0..100_000_u64)
        .prop_map(|(cpu_milli, mem_mib, disk_mib)| Resources { cpu_milli, mem_mib, disk_mib });
    let maps =
        (texts(), texts(), prop::collection::vec(constraint(), 0..3), prop::collection::vec(fetch(), 0..3));
    let lists = (
        prop::collection::vec(id(), 0..3),
        prop::option::of(prop::collection::vec("[a-z*]{1,5}", 1..3)),
        prop::option::of("[a-z]{1,8}"),
    );
    let times =
        (0..100_000_u64, 1_000_000..5_000_000_u64, 0..1_000_000_u64, prop::option::of(0..100_000_u64));
    let policy = (upgrade(), unreachable(), any::<bool>(), 0..100_u32);
    (id(), place, run, resources, maps, lists, times, policy).prop_map(
        |(id, place, run, resources, maps, lists, times, policy)| {
            let (network, ports, health_checks, container, require_ports) = place;
            // Off the host's network every app has a container, and something must say what to run.
            let container = match container {
                None if network != Network::Host => {
                    Some(Container { kind: ContainerKind::Mesos, image: None, volumes: Vec::new() })
                }
                // Only a container of type MESOS may join several networks.
                Some(container) if matches!(&network, Network::Container { networks } if networks.len() > 1) => {
                    Some(Container { kind: ContainerKind::Mesos, image: None, ..container })
                }
                container => container,
            };
            let (cmd, args, by_args) = run;
            let args = (cmd.is_none() || by_args).then_some(args);
            AppSpec {
                version: Timestamp(0),
                last_scaling_at: Timestamp(0),
                last_config_change_at: Timestamp(0),
                cmd: cmd.filter(|_| args.is_none()),
                args,
                user: lists.2,
                env: maps.0,
                labels: maps.1,
                resources,
                gpus: 0,
                instances: policy.3,
                constraints: maps.2,
                accepted_resource_roles: lists.1,
                require_ports: require_ports && network == Network::Host,
                network,
                ports,
                container,
                fetch: maps.3,
                health_checks,
                dependencies: lists.0.into_iter().filter(|other| *other != id).collect(),
                upgrade: policy.0,
                backoff: BackoffSettings { first_ms: times.0, factor: Millionths(times.1), max_ms: times.2 },
                kill_grace_ms: times.3,
                kill_selection: match policy.2 {
                    true => KillSelection::YoungestFirst,
                    false => KillSelection::OldestFirst,
                },
                unreachable: policy.1,
                unknown_keys: Vec::new(),
                id,
            }
        },
    )
}
