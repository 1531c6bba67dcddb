//! The network form: fields, keys, and what it says would change. Pure.

use super::keys::Key;
use crate::net::control::{CardView, View};
use crate::net::settings::{self, Addressing, Interface, Settings, Which};

const TEXT_BYTES_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Dhcp,
    Static,
    Off,
}

/// In the order of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Card,
    Method,
    Address,
    Gateway,
    Dns,
    Ntp,
    Proxy,
    Mirrors,
    Host,
}

const FIELDS: [(Field, &str); 9] = [
    (Field::Card, "Card"),
    (Field::Method, "Addressing"),
    (Field::Address, "Address/prefix"),
    (Field::Gateway, "Gateway"),
    (Field::Dns, "Name servers"),
    (Field::Ntp, "Time servers"),
    (Field::Proxy, "HTTP proxy"),
    (Field::Mirrors, "Image mirrors"),
    (Field::Host, "Host name"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    cards: Vec<CardView>,
    /// What counts now.
    now: Settings,
    card: usize,
    method: Method,
    texts: [String; FIELDS.len()],
    at: usize,
    pub fault: String,
}

/// What came of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Stay,
    Leave,
    /// Everything is possible: these are to be looked at, then tried.
    Review(Settings),
}

impl Form {
    /// `None` without a card to set.
    pub fn new(view: &View) -> Option<Form> {
        let mut form = Form {
            cards: view.cards.clone(),
            now: view.settings.clone(),
            card: 0,
            method: Method::Dhcp,
            texts: Default::default(),
            at: 0,
            fault: String::new(),
        };
        let join = |items: Vec<String>| items.join(", ");
        *form.text_mut(Field::Dns) = join(form.now.dns.iter().map(ToString::to_string).collect());
        *form.text_mut(Field::Ntp) = join(form.now.ntp.clone());
        *form.text_mut(Field::Proxy) = form.now.proxy.clone().unwrap_or_default();
        *form.text_mut(Field::Mirrors) = join(mirrors(&form.now));
        *form.text_mut(Field::Host) = form.now.hostname.clone().unwrap_or_default();
        (!form.cards.is_empty()).then(|| {
            form.show_card();
            form
        })
    }

    pub fn key(&mut self, key: Key) -> Outcome {
        let (field, _) = FIELDS[self.at];
        match key {
            Key::Escape => return Outcome::Leave,
            Key::Enter => match self.settings() {
                Ok(settings) if settings == self.now => self.fault = "nothing is changed".to_owned(),
                Ok(settings) => return Outcome::Review(settings),
                Err(fault) => self.fault = fault,
            },
            Key::Tab | Key::Down => self.go(1),
            Key::BackTab | Key::Up => self.go(FIELDS.len() - 1),
            Key::Left | Key::Right | Key::Char(' ') if matches!(field, Field::Card | Field::Method) => {
                self.choose(field, key == Key::Left);
            }
            Key::Backspace => {
                self.texts[self.at].pop();
                self.fault.clear();
            }
            Key::Char(c) if !matches!(field, Field::Card | Field::Method) => {
                if self.texts[self.at].len() < TEXT_BYTES_MAX {
                    self.texts[self.at].push(c);
                }
                self.fault.clear();
            }
            _ => {}
        }
        Outcome::Stay
    }

    /// To the next field that counts.
    fn go(&mut self, step: usize) {
        loop {
            self.at = (self.at + step) % FIELDS.len();
            let is_static = self.method == Method::Static;
            if is_static || !matches!(FIELDS[self.at].0, Field::Address | Field::Gateway) {
                return;
            }
        }
    }

    fn choose(&mut self, field: Field, back: bool) {
        if field == Field::Card {
            let count = self.cards.len();
            self.card = (self.card + if back { count - 1 } else { 1 }) % count;
            self.show_card();
            return;
        }
        self.method = match (self.method, back) {
            (Method::Dhcp, false) | (Method::Off, true) => Method::Static,
            (Method::Static, false) | (Method::Dhcp, true) => Method::Off,
            (Method::Off, false) | (Method::Static, true) => Method::Dhcp,
        };
    }

    fn show_card(&mut self) {
        let addressing = self.addressing_of(&self.now);
        let (method, address, gateway) = match addressing {
            Addressing::Dhcp => (Method::Dhcp, String::new(), String::new()),
            Addressing::Off => (Method::Off, String::new(), String::new()),
            Addressing::Static { address, prefix, gateway } => {
                let gateway = gateway.map(|g| g.to_string()).unwrap_or_default();
                (Method::Static, format!("{address}/{prefix}"), gateway)
            }
        };
        self.method = method;
        *self.text_mut(Field::Address) = address;
        *self.text_mut(Field::Gateway) = gateway;
    }

    fn addressing_of(&self, settings: &Settings) -> Addressing {
        let card = &self.cards[self.card];
        settings.of(&card.name, &card.mac, self.card == 0).cloned().unwrap_or(Addressing::Dhcp)
    }

    fn text_mut(&mut self, field: Field) -> &mut String {
        &mut self.texts[field as usize]
    }

    fn text(&self, field: Field) -> &str {
        self.texts[field as usize].trim()
    }

    /// What is typed, if all of it is possible.
    fn settings(&self) -> Result<Settings, String> {
        let list = |field| self.text(field).split([',', ' ']).filter(|item| !item.is_empty());
        let optional = |field, read: fn(&str) -> Result<String, String>| {
            Some(self.text(field)).filter(|text| !text.is_empty()).map(read).transpose()
        };
        let addressing = match self.method {
            Method::Dhcp => Addressing::Dhcp,
            Method::Off => Addressing::Off,
            Method::Static => {
                let (address, prefix) = settings::static_address(self.text(Field::Address))?;
                let gateway = Some(self.text(Field::Gateway)).filter(|text| !text.is_empty());
                let gateway = gateway.map(settings::gateway).transpose()?;
                Addressing::Static { address, prefix, gateway }
            }
        };
        let mut wanted = Settings {
            hostname: optional(Field::Host, settings::host_name)?,
            interfaces: self.now.interfaces.clone(),
            dns: list(Field::Dns).map(settings::dns_server).collect::<Result<_, _>>()?,
            ntp: list(Field::Ntp).map(settings::time_server).collect::<Result<_, _>>()?,
            proxy: optional(Field::Proxy, settings::proxy)?,
            registry_mirrors: list(Field::Mirrors)
                .map(settings::registry_mirror)
                .collect::<Result<_, _>>()?,
            watchdog: self.now.watchdog,
            // What brought it still has it; a saved copy would outlive that.
            join: None,
        };
        if self.addressing_of(&self.now) != addressing {
            let card = &self.cards[self.card];
            let is_other = |interface: &Interface| match &interface.card {
                Which::First => self.card != 0,
                Which::Name(name) => *name != card.name,
                Which::Mac(mac) => *mac != card.mac,
            };
            wanted.interfaces.retain(is_other);
            wanted.interfaces.push(Interface { card: Which::Name(card.name.clone()), addressing });
        }
        wanted.check()?;
        Ok(wanted)
    }

    /// What would change: one line each, old and new.
    pub fn changes(&self, wanted: &Settings) -> Vec<String> {
        let words = |items: Vec<String>| {
            if items.is_empty() { "as the network offers".into() } else { items.join(", ") }
        };
        let dns = |s: &Settings| words(s.dns.iter().map(ToString::to_string).collect());
        let none_or_all = |s: &Settings| {
            if s.registry_mirrors.is_empty() { "none".to_owned() } else { mirrors(s).join(", ") }
        };
        let or_none = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        let card = &self.cards[self.card];
        let addressing = |s: &Settings| addressing_words(&self.addressing_of(s));
        let rows = [
            (card.name.as_str(), addressing(&self.now), addressing(wanted)),
            ("name servers", dns(&self.now), dns(wanted)),
            ("time servers", words(self.now.ntp.clone()), words(wanted.ntp.clone())),
            ("HTTP proxy", or_none(&self.now.proxy, "none"), or_none(&wanted.proxy, "none")),
            ("image mirrors", none_or_all(&self.now), none_or_all(wanted)),
            ("host name", or_none(&self.now.hostname, "its own"), or_none(&wanted.hostname, "its own")),
        ];
        let changed = rows.into_iter().filter(|(_, old, new)| old != new);
        changed.map(|(what, old, new)| format!("{what}: {old} → {new}")).collect()
    }

    /// One line a field; the one that is edited has an arrow.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, (field, word)) in FIELDS.iter().enumerate() {
            let is_static = self.method == Method::Static;
            let value = match field {
                Field::Card => {
                    let card = &self.cards[self.card];
                    format!("‹ {} › {}", card.name, card.state)
                }
                Field::Method => format!("‹ {} ›", method_word(self.method)),
                Field::Address | Field::Gateway if !is_static => continue,
                _ => self.texts[index].clone(),
            };
            let (arrow, cursor) = if index == self.at { ('>', "_") } else { (' ', "") };
            let cursor = if matches!(field, Field::Card | Field::Method) { "" } else { cursor };
            lines.push(format!("{arrow} {word:<15} {value}{cursor}"));
        }
        lines
    }
}

fn mirrors(settings: &Settings) -> Vec<String> {
    settings.registry_mirrors.iter().map(ToString::to_string).collect()
}

fn method_word(method: Method) -> &'static str {
    match method {
        Method::Dhcp => "DHCP",
        Method::Static => "static",
        Method::Off => "off",
    }
}

fn addressing_words(addressing: &Addressing) -> String {
    match addressing {
        Addressing::Dhcp => "DHCP".to_owned(),
        Addressing::Off => "off".to_owned(),
        Addressing::Static { address, prefix, gateway } => {
            let gateway = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            format!("{address}/{prefix}{gateway}")
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
