use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn view() -> View {
    let card = |name: &str, last| CardView {
        name: name.into(),
        mac: [0x52, 0x54, 0, 0, 0, last],
        carrier: true,
        state: "10.0.2.15/24".into(),
    };
    View { cards: vec![card("eth0", 1), card("eth1", 2)], ..View::default() }
}

fn type_text(form: &mut Form, text: &str) {
    for c in text.chars() {
        assert_eq!(form.key(Key::Char(c)), Outcome::Stay);
    }
}

#[test]
fn a_static_address_is_entered_and_the_change_is_shown() {
    let mut form = Form::new(&view()).unwrap();
    form.key(Key::Down);
    form.key(Key::Right);
    form.key(Key::Down);
    type_text(&mut form, "10.0.0.5/24");
    form.key(Key::Tab);
    type_text(&mut form, "10.0.0.1");
    form.key(Key::Tab);
    type_text(&mut form, "10.0.0.2, fd00::1");
    let Outcome::Review(settings) = form.key(Key::Enter) else { panic!("{form:?}") };
    let (address, gateway) = (Ipv4Addr::new(10, 0, 0, 5), Some(Ipv4Addr::new(10, 0, 0, 1)));
    let addressing = Addressing::Static { address, prefix: 24, gateway };
    assert_eq!(settings.interfaces, [Interface { card: Which::Name("eth0".into()), addressing }]);
    let changes = form.changes(&settings);
    assert_eq!(
        changes,
        ["eth0: DHCP → 10.0.0.5/24 via 10.0.0.1", "name servers: as the network offers → 10.0.0.2, fd00::1"]
    );
}

#[test]
fn what_is_not_possible_is_said_and_what_is_unchanged_is_not_tried() {
    let mut form = Form::new(&view()).unwrap();
    assert_eq!(form.key(Key::Enter), Outcome::Stay);
    assert_eq!(form.fault, "nothing is changed");
    form.key(Key::Down);
    form.key(Key::Right);
    form.key(Key::Down);
    type_text(&mut form, "10.0.0.5");
    assert_eq!(form.key(Key::Enter), Outcome::Stay);
    assert!(form.fault.contains("address is `10.0.0.5`"), "{}", form.fault);
    form.key(Key::Backspace);
    assert_eq!(form.fault, "");
    assert_eq!(form.key(Key::Escape), Outcome::Leave);
    assert_eq!(Form::new(&View::default()), None);
}

#[test]
fn the_other_cards_keep_what_they_have() {
    let mut view = view();
    let first = Interface { card: Which::First, addressing: Addressing::Off };
    view.settings.interfaces = vec![first.clone()];
    let mut form = Form::new(&view).unwrap();
    form.key(Key::Right);
    form.key(Key::Down);
    form.key(Key::Left);
    let Outcome::Review(settings) = form.key(Key::Enter) else { panic!("{form:?}") };
    let second = Interface { card: Which::Name("eth1".into()), addressing: Addressing::Off };
    assert_eq!(settings.interfaces, [first, second]);
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        prop_oneof![Just('1'), Just('.'), Just('/'), Just(' '), Just('a'), Just(',')].prop_map(Key::Char),
        Just(Key::Enter),
        Just(Key::Backspace),
        Just(Key::Tab),
        Just(Key::BackTab),
        Just(Key::Left),
        Just(Key::Right),
    ]
}

proptest! {
    /// Whatever is typed: what comes out is possible, differs from what is, and says so.
    #[test]
    fn only_possible_changes_come_out(keys in proptest::collection::vec(any_key(), 0..120)) {
        let mut form = Form::new(&view()).unwrap();
        for key in keys {
            if let Outcome::Review(settings) = form.key(key) {
                prop_assert_eq!(settings.check(), Ok(()));
                prop_assert!(settings != view().settings && !form.changes(&settings).is_empty());
            }
            prop_assert!(form.lines().len() <= FIELDS.len());
            prop_assert!(form.texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX));
        }
    }
}
