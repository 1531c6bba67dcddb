use proptest::prelude::*;

use super::*;

const MAC: Mac = [0x52, 0x54, 0, 0, 0, 1];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const LEASE_S: u32 = 1_000;

fn reply(kind: Kind, xid: u32) -> Reply {
    Reply {
        kind,
        xid,
        address: ADDRESS,
        server: Some(SERVER),
        mask: Some(Ipv4Addr::new(255, 255, 0, 0)),
        router: Some(SERVER),
        dns: vec![],
        ntp: vec![],
        host: None,
        domain: None,
        lease_s: Some(LEASE_S),
        renew_s: None,
        rebind_s: None,
    }
}

fn sent(outputs: &[Output]) -> Option<(&Outgoing, Option<Ipv4Addr>)> {
    outputs.iter().find_map(|output| match output {
        Output::Send { message, to } => Some((message, *to)),
        Output::Apply(_) => None,
    })
}

fn applied(outputs: &[Output]) -> Option<Option<Ipv4Addr>> {
    outputs.iter().find_map(|output| match output {
        Output::Apply(config) => Some(config.as_ref().map(|config| config.address)),
        Output::Send { .. } => None,
    })
}

/// A machine that got its lease at time 0.
fn bound() -> Machine {
    let mut machine = Machine::new(MAC);
    assert!(sent(&machine.carrier(true, 0, 7)).unwrap().0.discover);
    let outputs = machine.packet(&reply(Kind::Offer, 7), 0, 8);
    let (request, to) = sent(&outputs).unwrap();
    assert_eq!((request.requested, request.server, to), (Some(ADDRESS), Some(SERVER), None));
    assert_eq!(applied(&machine.packet(&reply(Kind::Ack, 7), 0, 9)), Some(Some(ADDRESS)));
    machine
}

#[test]
fn carrier_offer_ack_gives_an_address() {
    let machine = bound();
    assert_eq!(machine.deadline(), Some(u64::from(LEASE_S) * 500), "renews at half its time");
    assert_eq!(machine.lease.unwrap().config.prefix, 16);
}

#[test]
fn answers_to_others_are_not_ours() {
    let mut machine = Machine::new(MAC);
    machine.carrier(true, 0, 7);
    assert!(machine.packet(&reply(Kind::Offer, 8), 0, 1).is_empty(), "another exchange");
    assert!(machine.packet(&reply(Kind::Ack, 7), 0, 1).is_empty(), "not asked for yet");
    machine.packet(&reply(Kind::Offer, 7), 0, 1);
    let other = Reply { server: Some(Ipv4Addr::new(10, 9, 9, 9)), ..reply(Kind::Nak, 7) };
    assert!(machine.packet(&other, 0, 1).is_empty());
    assert!(matches!(machine.phase, Phase::Requesting(..)), "another server's refusal");
}

#[test]
fn it_never_gives_up() {
    let mut machine = Machine::new(MAC);
    machine.carrier(true, 0, 7);
    let (mut now, mut asked) = (0, 0);
    for n in 0..2_000 {
        let next = machine.deadline().expect("there is always a next try");
        assert!(next > now && next - now <= RETRY_MAX_MS * 9 / 8, "{now} to {next}");
        now = next;
        asked += u32::from(sent(&machine.timer(now, n)).is_some());
    }
    assert!(asked >= 1_999);
}

#[test]
fn an_unanswered_request_goes_back_to_looking() {
    let mut machine = Machine::new(MAC);
    machine.carrier(true, 0, 7);
    machine.packet(&reply(Kind::Offer, 7), 0, 8);
    for n in 0..REQUEST_TRIES_MAX {
        machine.timer(machine.deadline().unwrap().max(6_000), n);
    }
    assert_eq!(machine.phase, Phase::Selecting);
}

#[test]
fn link_local_bridges_the_wait_and_yields_to_a_lease() {
    let mut machine = Machine::new(MAC);
    machine.carrier(true, 0, 7);
    let outputs = machine.timer(LINK_LOCAL_AFTER_MS, 7);
    assert!(applied(&outputs).unwrap().unwrap().is_link_local());
    assert!(applied(&machine.timer(20_000, 7)).is_none(), "once");
    machine.packet(&reply(Kind::Offer, 7), 21_000, 8);
    assert_eq!(applied(&machine.packet(&reply(Kind::Ack, 7), 21_000, 9)), Some(Some(ADDRESS)));
}

#[test]
fn renews_with_its_server_then_with_any_then_starts_over() {
    let mut machine = bound();
    let t1 = machine.deadline().unwrap();
    let outputs = machine.timer(t1, 20);
    let (message, to) = sent(&outputs).unwrap();
    assert_eq!((message.current, to), (Some(ADDRESS), Some(SERVER)));
    let mut now = t1;
    while machine.phase == Phase::Renewing {
        now = machine.deadline().unwrap();
        machine.timer(now, 21);
    }
    assert_eq!(now, u64::from(LEASE_S) * 875);
    assert_eq!(machine.phase, Phase::Rebinding);
    while machine.phase == Phase::Rebinding {
        now = machine.deadline().unwrap();
        let outputs = machine.timer(now, 22);
        if now < u64::from(LEASE_S) * 1000 {
            assert_eq!(sent(&outputs).unwrap().1, None, "rebinding asks everyone");
        } else {
            assert_eq!(applied(&outputs), Some(None));
            assert!(sent(&outputs).unwrap().0.discover);
        }
    }
    assert_eq!((machine.phase, now), (Phase::Selecting, u64::from(LEASE_S) * 1000));
}

#[test]
fn a_renewal_prolongs() {
    let mut machine = bound();
    let t1 = machine.deadline().unwrap();
    machine.timer(t1, 20);
    machine.packet(&reply(Kind::Ack, 20), t1 + 5, 21);
    assert_eq!(machine.deadline(), Some(t1 + 5 + u64::from(LEASE_S) * 500));
}

#[test]
fn a_refusal_takes_the_address_away_at_once() {
    let mut machine = bound();
    let t1 = machine.deadline().unwrap();
    machine.timer(t1, 20);
    assert_eq!(applied(&machine.packet(&reply(Kind::Nak, 20), t1, 21)), Some(None));
    assert_eq!(machine.phase, Phase::Selecting);
}

#[test]
fn a_carrier_that_returns_asks_for_the_same_address_at_once() {
    let mut machine = bound();
    assert!(machine.carrier(false, 1_000, 1).is_empty());
    assert_eq!(machine.deadline(), None);
    let outputs = machine.carrier(true, 2_000, 30);
    let (message, to) = sent(&outputs).unwrap();
    assert_eq!((message.requested, message.server, to), (Some(ADDRESS), None, None));
    machine.packet(&reply(Kind::Ack, 30), 2_000, 31);
    assert_eq!(machine.phase, Phase::Bound);
    machine.carrier(false, 3_000, 1);
    assert!(sent(&machine.carrier(true, 9_000_000, 40)).unwrap().0.discover, "the lease ran out meanwhile");
}

#[test]
fn a_lease_without_end_is_not_renewed() {
    let mut machine = Machine::new(MAC);
    machine.carrier(true, 0, 7);
    machine.packet(&reply(Kind::Offer, 7), 0, 8);
    machine.packet(&Reply { lease_s: Some(LEASE_FOREVER_S), ..reply(Kind::Ack, 7) }, 0, 9);
    assert_eq!(machine.deadline(), None);
}

#[derive(Debug, Clone)]
enum Step {
    Carrier(bool),
    Packet { kind: Kind, ours: bool, lease_s: u32, renew_s: u32, rebind_s: u32 },
    Timer { early: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Offer), Just(Kind::Ack), Just(Kind::Nak)];
    prop_oneof![
        1 => any::<bool>().prop_map(Step::Carrier),
        4 => (kind, any::<bool>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
            |(kind, ours, lease_s, renew_s, rebind_s)| Step::Packet { kind, ours, lease_s, renew_s, rebind_s }
        ),
        4 => any::<bool>().prop_map(|early| Step::Timer { early }),
    ]
}

proptest! {
    /// Whatever servers say and in whatever order: with a carrier it goes on, and never in a tight loop.
    #[test]
    fn goes_on_under_any_input(steps in proptest::collection::vec((step(), 0u64..100_000, any::<u32>()), 1..80)) {
        let mut machine = Machine::new(MAC);
        let (mut now, mut up) = (0, false);
        for (step, pause, random) in steps {
            now += pause;
            match step {
                Step::Carrier(carrier) => { machine.carrier(carrier, now, random); up = carrier }
                Step::Packet { kind, ours, lease_s, renew_s, rebind_s } => {
                    let xid = if ours { machine.xid } else { random };
                    let times = (Some(lease_s), Some(renew_s), Some(rebind_s));
                    let (lease_s, renew_s, rebind_s) = times;
                    machine.packet(&Reply { lease_s, renew_s, rebind_s, ..reply(kind, xid) }, now, random);
                }
                Step::Timer { early } => {
                    let at = machine.deadline().unwrap_or(now);
                    now = if early { now } else { now.max(at) };
                    machine.timer(now, random);
                    prop_assert!(machine.deadline().is_none_or(|next| next > now), "a timer that is due at once");
                }
            }
            let forever = machine.phase == Phase::Bound && machine.lease.as_ref().is_some_and(|l| l.times.is_none());
            prop_assert!(!up || forever || machine.deadline().is_some(), "{machine:?}");
        }
    }
}
