//! One console's conversation with a person: keys in, what to do out, and what the screen shows meanwhile. Pure; the
//! time comes in.

use super::form::{Form, Outcome};
use super::keys::Key;
use super::layout;
use crate::init::board::Shown;
use crate::net::control::{Order, View};
use crate::net::settings::Settings;

/// How long a change of the network lasts without being confirmed.
pub const TRIAL_SECONDS: u64 = 60;

/// What is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub board: Shown,
    pub net: View,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Power { reboot: bool },
    Net(Order),
}

#[derive(Debug, Default)]
enum Dialog {
    #[default]
    Overview,
    Power {
        reboot: bool,
    },
    Form(Box<Form>),
    Review(Box<Form>, Settings),
    /// A change was sent; the network role has it on trial, or says why not.
    Sent,
}

#[derive(Debug, Default)]
pub struct Session {
    dialog: Dialog,
    /// Something to say at the bottom.
    note: String,
}

impl Session {
    /// Whether a person is in the middle of something here.
    pub fn is_busy(&self, known: &Known) -> bool {
        match self.dialog {
            Dialog::Overview => false,
            Dialog::Sent => known.net.trial_until_ms.is_some(),
            Dialog::Power { .. } | Dialog::Form(_) | Dialog::Review(..) => true,
        }
    }

    pub fn key(&mut self, key: Key, known: &Known) -> Option<Action> {
        self.note.clear();
        if known.net.trial_until_ms.is_some() {
            return self.trial_key(key);
        }
        match std::mem::take(&mut self.dialog) {
            Dialog::Overview | Dialog::Sent => self.overview_key(key, known),
            Dialog::Power { reboot } => {
                return matches!(key, Key::Char('y' | 'Y')).then_some(Action::Power { reboot });
            }
            Dialog::Form(mut form) => match form.key(key) {
                Outcome::Stay => self.dialog = Dialog::Form(form),
                Outcome::Leave => {}
                Outcome::Review(settings) => self.dialog = Dialog::Review(form, settings),
            },
            Dialog::Review(form, settings) => match key {
                Key::Char('y' | 'Y') => {
                    self.dialog = Dialog::Sent;
                    return Some(Action::Net(Order::Try { settings, seconds: TRIAL_SECONDS }));
                }
                Key::Escape | Key::Char('n' | 'N') => self.dialog = Dialog::Form(form),
                _ => self.dialog = Dialog::Review(form, settings),
            },
        }
        None
    }

    fn overview_key(&mut self, key: Key, known: &Known) {
        match key {
            Key::Char('n' | 'N') | Key::Function(2) => match Form::new(&known.net) {
                Some(form) => self.dialog = Dialog::Form(Box::new(form)),
                None => self.note = "no network card has been found yet".to_owned(),
            },
            Key::Char('r' | 'R') => self.dialog = Dialog::Power { reboot: true },
            Key::Char('o' | 'O') => self.dialog = Dialog::Power { reboot: false },
            _ => {}
        }
    }

    fn trial_key(&mut self, key: Key) -> Option<Action> {
        self.dialog = Dialog::Sent;
        match key {
            Key::Char('y' | 'Y') => Some(Action::Net(Order::Confirm)),
            Key::Escape | Key::Char('n' | 'N') => Some(Action::Net(Order::Revert)),
            _ => None,
        }
    }

    /// The whole screen, at most `rows` lines of at most `columns` characters.
    pub fn draw(&self, known: &Known, now_ms: u64, columns: usize, rows: usize) -> Vec<String> {
        let trial = known.net.trial_until_ms.map(|until| until.saturating_sub(now_ms).div_ceil(1000));
        let mut lines = match (&self.dialog, trial) {
            (_, Some(seconds)) => trial_lines(known, seconds),
            (Dialog::Power { reboot }, _) => power_lines(*reboot),
            (Dialog::Form(form), _) => form_lines(form),
            (Dialog::Review(form, settings), _) => review_lines(form, settings),
            (Dialog::Overview | Dialog::Sent, None) => {
                let mut lines = layout::overview(&known.board, columns, rows.saturating_sub(2));
                lines.resize(rows.saturating_sub(2), String::new());
                lines.push(self.last_word(known));
                lines.push(" n network   r reboot   o power off".to_owned());
                lines
            }
        };
        lines.truncate(rows);
        for line in &mut lines {
            *line = layout::cut(line, columns);
        }
        lines
    }

    fn last_word(&self, known: &Known) -> String {
        match (self.note.as_str(), known.net.refused.as_str()) {
            ("", "") => String::new(),
            ("", refused) => format!(" network: {refused}"),
            (note, _) => format!(" {note}"),
        }
    }
}

fn titled(title: &str, body: Vec<String>, keys: &str) -> Vec<String> {
    let mut lines = vec![format!(" {title}"), String::new()];
    lines.extend(body.into_iter().map(|line| format!(" {line}")));
    lines.extend([String::new(), format!(" {keys}")]);
    lines
}

fn power_lines(reboot: bool) -> Vec<String> {
    let (title, verb) =
        if reboot { ("Reboot this node?", "reboot") } else { ("Power this node off?", "power off") };
    let body = vec!["All instances on it are stopped first.".to_owned()];
    titled(title, body, &format!("y {verb}   any other key: back"))
}

fn form_lines(form: &Form) -> Vec<String> {
    let mut body = form.lines();
    body.push(String::new());
    body.push(form.fault.clone());
    titled("Network of this node", body, "Tab next   ‹ › choose   Enter show what changes   Esc back")
}

fn review_lines(form: &Form, settings: &Settings) -> Vec<String> {
    let mut body = form.changes(settings);
    body.push(String::new());
    body.push(format!(
        "The old settings come back by themselves after {TRIAL_SECONDS} s unless you confirm."
    ));
    titled("This will change", body, "y change it   Esc back to the form")
}

fn trial_lines(known: &Known, seconds: u64) -> Vec<String> {
    let mut body: Vec<String> =
        known.net.cards.iter().map(|card| format!("{}: {}", card.name, card.state)).collect();
    body.push(String::new());
    body.push(format!("The old settings come back in {seconds} s."));
    titled("New network settings are in force", body, "y keep them   Esc take them back")
}

#[cfg(test)]
#[path = "ui_tests.rs"]
mod tests;
