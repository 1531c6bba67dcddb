//! Sources against each other, and every form of text.

use proptest::prelude::*;

use super::tree::parse;
use super::*;
use crate::peers::token::Token;
use crate::watchdog::Watchdog;

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn fixed(address: &str, prefix: u8, gateway: Option<&str>) -> Addressing {
    Addressing::Static { address: v4(address), prefix, gateway: gateway.map(v4) }
}

fn found(origin: Origin, settings: Settings) -> Found {
    Found { origin, settings, faults: vec![format!("{origin} fault")] }
}

#[test]
fn the_strongest_source_that_says_something_has_the_say() {
    let dhcp = vec![Interface { card: Which::First, addressing: Addressing::Dhcp }];
    let person = Settings { ntp: vec!["10.0.0.1".into()], ..Settings::default() };
    let line = Settings {
        hostname: Some("line".into()),
        interfaces: dhcp.clone(),
        watchdog: Some(Watchdog::Seconds(10)),
        ..Settings::default()
    };
    let firmware = Settings {
        hostname: Some("firm".into()),
        proxy: Some("http://p".into()),
        watchdog: Some(Watchdog::Off),
        ..Settings::default()
    };
    let got = layer(&[
        found(Origin::Firmware, firmware),
        found(Origin::KernelLine, line),
        found(Origin::Person, person),
    ]);
    assert_eq!(got.settings.hostname.as_deref(), Some("line"));
    assert_eq!(got.settings.proxy.as_deref(), Some("http://p"));
    assert_eq!(got.settings.watchdog, Some(Watchdog::Seconds(10)));
    assert_eq!((got.settings.interfaces, got.settings.ntp.len()), (dhcp, 1));
    assert_eq!((got.origin, got.faults.len()), (Origin::KernelLine, 3));
    assert_eq!(layer(&[]).origin, Origin::Default);
}

#[test]
fn a_card_is_found_by_name_by_address_or_as_the_first() {
    let of = |card| Interface { card, addressing: Addressing::Off };
    let mut settings = Settings { interfaces: vec![of(Which::First)], ..Settings::default() };
    assert!(settings.of("eth0", &[1; 6], true).is_some() && settings.of("eth1", &[2; 6], false).is_none());
    settings.interfaces = vec![of(Which::Mac([2; 6])), of(Which::Name("eth0".into()))];
    assert!(settings.of("eth1", &[2; 6], false).is_some() && settings.of("eth0", &[1; 6], true).is_some());
    assert!(settings.of("eth2", &[3; 6], true).is_none());
}

#[test]
fn our_own_form_is_read_and_faults_have_lines() {
    let text = "{\"hostname\": \"rock\", \"dns\": [\"10.0.0.2\", \"fd00::1\"],\n \"interfaces\": [\n  {\"mac\": \
                \"52:54:00:00:00:01\", \"address\": \"10.0.0.5/24\", \"gateway\": \"10.0.0.1\"}],\n \"colour\": \"red\",\n \
                \"proxy\": \"no url\"}";
    let (settings, faults) = read_own(&parse(text).unwrap());
    assert_eq!(settings.interfaces[0].card, Which::Mac([0x52, 0x54, 0, 0, 0, 1]));
    assert_eq!(settings.interfaces[0].addressing, fixed("10.0.0.5", 24, Some("10.0.0.1")));
    assert_eq!((settings.hostname.as_deref(), settings.dns.len()), (Some("rock"), 2));
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults[0], "line 4: `colour` is not a setting");
    assert!(faults[1].starts_with("line 5: proxy is `no url`"), "{faults:?}");
}

#[test]
fn network_configuration_version_2() {
    let files = Files {
        network_config: Some(
            "network:\n  version: 2\n  ethernets:\n    lan:\n      match: {macaddress: '52:54:00:00:00:01'}\n      \
             addresses: [10.0.0.5/24, 'fd00::5/64']\n      routes:\n        - {to: default, via: 10.0.0.1}\n      \
             nameservers: {addresses: [10.0.0.2]}\n    other:\n      dhcp4: true\n"
                .into(),
        ),
        meta_data: Some("instance-id: i-1\nlocal-hostname: granite.example\n".into()),
        user_data: Some(
            "#cloud-config\nruncmd: [reboot]\nntp: {servers: [10.0.0.3]}\nmeseta:\n  proxy: http://p:1\n".into(),
        ),
        ..Files::default()
    };
    let (settings, faults) = read_seed(&files);
    assert_eq!(settings.interfaces[0].addressing, fixed("10.0.0.5", 24, Some("10.0.0.1")));
    assert_eq!(
        settings.interfaces[1],
        Interface { card: Which::Name("other".into()), addressing: Addressing::Dhcp }
    );
    assert_eq!((settings.hostname.as_deref(), settings.ntp.len()), (Some("granite"), 1));
    assert_eq!((settings.proxy.as_deref(), settings.dns.len()), (Some("http://p:1"), 1));
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("network-config line 6: `fd00::5/64` is not taken"), "{faults:?}");
}

#[test]
fn network_configuration_version_1() {
    let text = "version: 1\nconfig:\n  - type: physical\n    name: ens3\n    subnets:\n      - type: static\n        \
                address: 10.0.0.5\n        netmask: 255.255.0.0\n        gateway: 10.0.0.1\n  - type: nameserver\n    \
                address: [10.0.0.2]\n  - type: bond\n    name: b\n";
    let (settings, faults) = read_seed(&Files { network_config: Some(text.into()), ..Files::default() });
    // The only card: its name in other systems does not matter.
    assert_eq!(
        settings.interfaces,
        [Interface { card: Which::First, addressing: fixed("10.0.0.5", 16, Some("10.0.0.1")) }]
    );
    assert_eq!((settings.dns.len(), faults.len()), (1, 1));
    assert!(faults[0].starts_with("network-config line 12: type `bond`"), "{faults:?}");
}

#[test]
fn a_seed_with_faults_names_file_and_line_and_the_rest_counts() {
    let files = Files {
        user_data: Some("#!/bin/sh\nreboot\n".into()),
        network_config: Some("version: 3\n".into()),
        meta_data: Some("local-hostname: [a\n".into()),
        own: Some("{\"ntp\": \"10.0.0.1\",\n\"interfaces\": [{\"method\": \"bootp\"}]}".into()),
        ..Files::default()
    };
    let (settings, faults) = read_seed(&files);
    assert_eq!(settings.ntp, ["10.0.0.1"]);
    for start in [
        "meseta.json line 2: method is `bootp`",
        "user-data line 1",
        "network-config line 1",
        "meta-data line",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(start)), "{start} in {faults:?}");
    }
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let addressing = prop_oneof![
        Just(Addressing::Dhcp),
        Just(Addressing::Off),
        (1u8..224, any::<[u8; 3]>(), 1u8..=32, any::<bool>()).prop_filter_map(
            "assignable",
            |(a, b, prefix, routed)| {
                let address = Ipv4Addr::new(a, b[0], b[1], b[2]);
                let gateway = routed.then_some(v4("10.0.0.1"));
                is_assignable(address).then_some(Addressing::Static { address, prefix, gateway })
            }
        ),
    ];
    let card = prop_oneof![
        Just(Which::First),
        "[a-z]{2,4}[0-9]{1,3}".prop_map(Which::Name),
        any::<Mac>().prop_map(Which::Mac),
    ];
    let interface = (card, addressing).prop_map(|(card, addressing)| Interface { card, addressing });
    (
        proptest::option::of("[a-z][a-z0-9]{0,20}"),
        proptest::collection::vec(interface, 0..4),
        proptest::collection::vec(any::<[u8; 4]>(), 0..3),
        proptest::collection::vec("[a-z]{1,9}(\\.[a-z]{1,9}){0,2}", 0..3),
        proptest::option::of("https?://[a-z0-9.]{1,20}(:[0-9]{1,5})?"),
        proptest::collection::vec("[a-z]{1,9}\\.io=https?://[a-z]{1,9}(:[1-9][0-9]{0,3})?", 0..3),
        proptest::option::of(prop_oneof![Just(Watchdog::Off), (5_u32..=600).prop_map(Watchdog::Seconds)]),
        any::<bool>(),
    )
        .prop_map(|(hostname, interfaces, dns, ntp, proxy, mirrors, watchdog, token)| Settings {
            hostname,
            interfaces,
            dns: dns.into_iter().map(IpAddr::from).filter(|a| !a.is_unspecified()).collect(),
            ntp,
            proxy: proxy.filter(|url| super::proxy(url).is_ok()),
            registry_mirrors: mirrors.iter().map(|text| super::registry_mirror(text).unwrap()).collect(),
            watchdog,
            join: token.then(|| {
                Box::new(Token {
                    addresses: vec!["192.0.2.1:7300".parse().unwrap()],
                    secret: "5".repeat(32),
                    authority: "a".repeat(64),
                })
            }),
        })
}

#[test]
fn the_fault_of_a_join_token_never_quotes_it() {
    let (settings, faults) = read_own(&parse("{\"join\": \"meseta1.c2VjcmV0\"}").unwrap());
    assert_eq!(settings.join, None);
    let told = faults[0].to_string();
    assert!(told.contains("join: this is no join token") && !told.contains("c2VjcmV0"), "{told}");
}

proptest! {
    #[test]
    fn what_is_saved_is_read_back(settings in any_settings()) {
        prop_assert_eq!(settings.check(), Ok(()));
        let (back, faults) = read_own(&parse(&emit(&settings)).unwrap());
        prop_assert_eq!(faults, vec![]);
        prop_assert_eq!(back, settings);
    }

    #[test]
    fn no_seed_panics_and_what_it_gives_is_possible(
        network in "((version|config|type|name|ethernets|addresses|dhcp4|physical|static|eth0|10.0.0.1/8|1|2)(: |:\n  |\n- |, |\\[|\\]|\\{|\\})){0,20}",
        user in "#cloud-config\n[a-z:{}\\[\\]\n ]{0,80}",
    ) {
        let files = Files { network_config: Some(network.clone()), user_data: Some(user), own: Some(network), ..Files::default() };
        prop_assert_eq!(read_seed(&files).0.check(), Ok(()));
    }

    #[test]
    fn no_kernel_line_panics(line in "((ip|meseta.dns|meseta.ntp|meseta.proxy|meseta.registry-mirror|meseta.watchdog)=[0-9a-z.:,/]{0,40} ){0,4}") {
        prop_assert_eq!(kernel_line::read(&line).0.check(), Ok(()));
    }
}
