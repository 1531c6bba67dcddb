use proptest::prelude::*;

use super::*;
use crate::net::control::CardView;

fn known() -> Known {
    let card =
        CardView { name: "eth0".into(), mac: [2; 6], carrier: true, state: "10.0.2.15/24 (DHCP)".into() };
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let board = Shown {
        lines: vec![line("URL", "http://10.0.2.15:8080"), line("claim code", "ABCD-EFGH")],
        ..Shown::default()
    };
    Known { board, net: View { cards: vec![card], ..View::default() } }
}

fn press(session: &mut Session, known: &Known, text: &str) -> Option<Action> {
    text.chars().fold(None, |_, c| session.key(if c == '\n' { Key::Enter } else { Key::Char(c) }, known))
}

#[test]
fn power_needs_a_second_key() {
    let (mut session, known) = (Session::default(), known());
    assert_eq!(press(&mut session, &known, "r"), None);
    assert!(session.draw(&known, 0, 80, 25).join("\n").contains("Reboot this node?"));
    assert_eq!(press(&mut session, &known, "x"), None);
    assert!(!session.is_busy(&known));
    assert_eq!(press(&mut session, &known, "ry"), Some(Action::Power { reboot: true }));
    assert_eq!(press(&mut session, &known, "oy"), Some(Action::Power { reboot: false }));
}

#[test]
fn a_change_is_shown_tried_and_confirmed() {
    let (mut session, mut known) = (Session::default(), known());
    press(&mut session, &known, "n");
    session.key(Key::Down, &known);
    press(&mut session, &known, " ");
    session.key(Key::Down, &known);
    assert_eq!(press(&mut session, &known, "10.0.0.5/24\n"), None);
    let shown = session.draw(&known, 0, 80, 25).join("\n");
    assert!(shown.contains("eth0: DHCP → 10.0.0.5/24"), "{shown}");
    let Some(Action::Net(Order::Try { settings, seconds })) = press(&mut session, &known, "y") else {
        panic!("{session:?}")
    };
    assert_eq!((settings.interfaces.len(), seconds), (1, TRIAL_SECONDS));
    known.net.trial_until_ms = Some(61_000);
    let shown = session.draw(&known, 1_500, 80, 25).join("\n");
    assert!(shown.contains("come back in 60 s"), "{shown}");
    assert_eq!(press(&mut session, &known, "x"), None);
    assert_eq!(press(&mut session, &known, "y"), Some(Action::Net(Order::Confirm)));
    assert_eq!(session.key(Key::Escape, &known), Some(Action::Net(Order::Revert)));
    // Taken back: the overview says why.
    known.net.trial_until_ms = None;
    known.net.refused = "nobody confirmed in time".into();
    let shown = session.draw(&known, 1_500, 80, 25).join("\n");
    assert!(shown.contains("network: nobody confirmed") && shown.contains("URL"), "{shown}");
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        prop_oneof![Just('n'), Just('r'), Just('o'), Just('y'), Just('1'), Just('/'), Just('.'), Just(' ')]
            .prop_map(Key::Char),
        Just(Key::Enter),
        Just(Key::Escape),
        Just(Key::Tab),
        Just(Key::Up),
        Just(Key::Function(2)),
    ]
}

proptest! {
    /// Whatever is pressed, the screen fits, nothing happens without its confirmation, and orders are possible.
    #[test]
    fn any_keys(keys in proptest::collection::vec(any_key(), 0..80), columns in 20usize..120, rows in 5usize..50, trial in any::<bool>()) {
        let (mut session, mut known) = (Session::default(), known());
        known.net.trial_until_ms = trial.then_some(5_000);
        let mut before = None;
        for key in keys {
            let action = session.key(key, &known);
            match &action {
                Some(Action::Power { .. }) => {
                    prop_assert!(key == Key::Char('y') && !trial);
                    prop_assert!(before.is_some());
                }
                Some(Action::Net(order)) => prop_assert_eq!(order.check(), Ok(())),
                None => {}
            }
            before = Some(key);
            let lines = session.draw(&known, 1_000, columns, rows);
            prop_assert!(lines.len() <= rows);
            for line in &lines {
                prop_assert!(line.chars().count() <= columns && !line.contains(char::is_control), "{line}");
            }
        }
    }
}
