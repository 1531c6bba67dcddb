//! Reading a JSON tree with every fault collected and none stopping the rest.
//!
//! [`Fields`] is an object whose keys are known, [`Field`] one value and where it stands. Getters answer `None` after
//! noting a fault, so callers go on with a default; `Collected::into_result` decides at the end. Reading one place
//! twice is harmless: the same fault at the same path is kept once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::fault::{Collected, cut, quoted, shown};

/// Unknown keys that are named to the author; a longer list helps nobody.
const UNKNOWN_KEYS_MAX: usize = 32;

/// Where faults go; shared by everything that reads one definition.
#[derive(Clone, Copy)]
pub(super) struct Sink<'a>(pub &'a RefCell<Collected>);

impl Sink<'_> {
    /// Notes that the value at `path` breaks a rule.
    pub fn rule(self, path: &str, sentence: impl Into<String>) {
        self.0.borrow_mut().add(path, [sentence.into()]);
    }

    /// Notes that the value at `path` has the wrong type: play-json's token, then the sentence.
    pub fn kind(self, path: &str, token: &str, sentence: String) {
        self.0.borrow_mut().add(path, [token.to_owned(), sentence]);
    }
}

/// An object at `path`; its keys have been checked against the known ones.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    pub path: String,
    pub sink: Sink<'a>,
}

/// A value that is present and not null.
pub(super) struct Field<'a> {
    value: &'a Value,
    pub path: String,
    pub sink: Sink<'a>,
}

impl<'a> Fields<'a> {
    /// The field `key`; null counts as absent. A key that differs only by case was already refused; its value is
    /// read all the same, so that faults inside it are told in the same answer.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let exact = self.object.get_key_value(key);
        let (key, value) = exact.or_else(|| self.object.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)))?;
        let path = format!("{}/{key}", self.path);
        (!value.is_null()).then_some(Field { value, path, sink: self.sink })
    }

    pub fn require(&self, key: &str, expected: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            let path = format!("{}/{key}", self.path);
            self.sink.kind(&path, "error.path.missing", format!("is missing; expected {expected}"));
        }
        field
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text().map(str::to_owned)
    }

    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(|f| f.flag()).unwrap_or(default)
    }

    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        self.get(key)?.integer(range)
    }

    pub fn decimal(&self, key: &str, amount: &Amount) -> Option<u64> {
        self.get(key)?.decimal(amount)
    }

    /// The items of the array `key`; empty when absent.
    pub fn list(&self, key: &str) -> Vec<Field<'a>> {
        self.get(key).and_then(|f| f.list()).unwrap_or_default()
    }

    pub fn rule(&self, key: &str, sentence: impl Into<String>) {
        self.sink.rule(&format!("{}/{key}", self.path), sentence);
    }
}

impl<'a> Field<'a> {
    pub fn root(value: &'a Value, path: &str, sink: Sink<'a>) -> Self {
        Self { value, path: path.to_owned(), sink }
    }

    pub fn is_text(&self) -> bool {
        self.value.is_string()
    }

    /// True for what stands for "nothing given": `""`, `[]`, `{}`, `false`, `0`.
    pub fn is_blank(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        }
    }

    pub fn rule(&self, sentence: impl Into<String>) {
        self.sink.rule(&self.path, sentence);
    }

    /// The value as a sentence repeats it.
    pub fn shown(&self) -> String {
        shown(self.value)
    }

    fn wrong<T>(&self, token: &str, expected: &str) -> Option<T> {
        self.sink.kind(&self.path, token, format!("is {}; expected {expected}", self.shown()));
        None
    }

    /// A string without NUL, which no command line, environment or path can hold.
    pub fn text(&self) -> Option<&'a str> {
        let Value::String(text) = self.value else {
            return self.wrong("error.expected.jsstring", "a string in double quotes");
        };
        if text.contains('\0') {
            self.rule("holds the character U+0000, which no program can be given");
            return None;
        }
        Some(text)
    }

    pub fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            _ => self.wrong("error.expected.jsboolean", "`true` or `false`"),
        }
    }

    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let Value::Array(items) = self.value else {
            return self.wrong("error.expected.jsarray", "an array `[…]`");
        };
        let item = |(i, value)| Field { value, path: format!("{}({i})", self.path), sink: self.sink };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// An array of at most `max` items; further ones are a fault.
    pub fn list_up_to(&self, max: usize) -> Option<Vec<Field<'a>>> {
        let mut items = self.list()?;
        if items.len() > max {
            self.rule(format!("has {} items; at most {max} are accepted", items.len()));
            items.truncate(max);
        }
        Some(items)
    }

    pub fn texts(&self) -> Option<Vec<String>> {
        Some(self.list()?.iter().filter_map(|item| item.text().map(str::to_owned)).collect())
    }

    /// An object with the keys `known`: others are noted as unknown, or refused if only their case is wrong.
    pub fn object(&self, known: &[&str]) -> Option<Fields<'a>> {
        let Value::Object(object) = self.value else {
            return self.wrong("error.expected.jsobject", "an object `{…}`");
        };
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let path = format!("{}/{}", self.path, cut(key));
            match known.iter().find(|k| k.eq_ignore_ascii_case(key)) {
                Some(right) => self.sink.rule(&path, format!("is not a known key; did you mean `{right}`?")),
                None => self.note_unknown(&path),
            }
        }
        Some(Fields { object, path: self.path.clone(), sink: self.sink })
    }

    fn note_unknown(&self, path: &str) {
        let unknown = &mut self.sink.0.borrow_mut().unknown_keys;
        let name = path.trim_start_matches('/').replace('/', ".");
        if unknown.len() < UNKNOWN_KEYS_MAX && !unknown.contains(&name) {
            unknown.push(name);
        }
    }

    /// An object whose keys the author chose and whose values are strings, at most `max` of them.
    pub fn text_map(&self, max: usize) -> Option<BTreeMap<String, String>> {
        let Value::Object(object) = self.value else {
            return self.wrong("error.expected.jsobject", "an object `{…}` of strings");
        };
        if object.len() > max {
            self.rule(format!("has {} entries; at most {max} are accepted", object.len()));
            return None;
        }
        let entry = |(key, value): (&String, &'a Value)| {
            let field = Field { value, path: format!("{}/{}", self.path, cut(key)), sink: self.sink };
            if key.contains('\0') {
                field.rule("has a key with the character U+0000");
            }
            Some((key.clone(), field.text()?.to_owned()))
        };
        Some(object.iter().filter_map(entry).collect())
    }

    /// A whole number in `range`; `3.0` counts as whole.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number {}", in_words(range.start(), range.end()));
        let Value::Number(number) = self.value else {
            return self.wrong("error.expected.jsnumber", &expected);
        };
        let whole = number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|f| f.fract() == 0.0 && (0.0..9e15).contains(f));
            float.map(|f| f as u64)
        });
        match whole {
            Some(value) if range.contains(&value) => Some(value),
            None if number.as_f64().is_some_and(|f| f.fract() != 0.0) => {
                self.rule(format!("is not a whole number: {number}; expected {expected}"));
                None
            }
            _ => self.out_of_range(
                number.as_f64(),
                &range.start().to_string(),
                &range.end().to_string(),
                &expected,
            ),
        }
    }

    /// A decimal number in units of `amount`, rounded as it says.
    pub fn decimal(&self, amount: &Amount) -> Option<u64> {
        let scale = amount.scale as f64;
        let bound = |units: u64| (units as f64 / scale).to_string();
        let (min, max) = (bound(amount.min), bound(amount.max));
        let expected = format!("a number {}", in_words(&min, &max));
        let Some(float) = self.value.as_f64() else {
            return self.wrong("error.expected.jsnumber", &expected);
        };
        let units = amount.units(float);
        match units {
            Some(units) if (amount.min..=amount.max).contains(&units) => Some(units),
            _ => self.out_of_range(Some(float), &min, &max, &expected),
        }
    }

    fn out_of_range<T>(&self, value: Option<f64>, min: &str, max: &str, expected: &str) -> Option<T> {
        let problem = match value {
            Some(value) if value < 0.0 => "is negative".to_owned(),
            Some(value) if min.parse().is_ok_and(|min: f64| value < min) => format!("is less than {min}"),
            _ => format!("is greater than {max}"),
        };
        self.rule(format!("{problem}: {}; expected {expected}", self.value));
        None
    }

    /// One of a fixed set of words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let near = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            let hint = near.map_or(String::new(), |(word, _)| format!("; did you mean `{word}`?"));
            self.rule(format!("is {}; expected one of {}{hint}", quoted(text), all.join(", ")));
        }
        found
    }
}

fn in_words(min: &(impl ToString + ?Sized), max: &(impl ToString + ?Sized)) -> String {
    format!("from {} to {}", min.to_string(), max.to_string())
}

/// How a decimal number becomes an integer: `scale` units make 1; bounds are in units.
pub(super) struct Amount {
    pub scale: u64,
    pub min: u64,
    pub max: u64,
    /// True: up, so that nobody gets less than asked for. False: to the nearest.
    pub round_up: bool,
}

impl Amount {
    /// Seconds to milliseconds.
    pub const fn seconds(min_ms: u64, max_ms: u64) -> Self {
        Self { scale: 1000, min: min_ms, max: max_ms, round_up: false }
    }

    /// `None` for what no unit can express: negative, or beyond 2^53.
    fn units(&self, value: f64) -> Option<u64> {
        let scaled = value * self.scale as f64;
        let nearest = scaled.round();
        // A person's 0.1 is not exactly a tenth: a difference this small is the float's, not the author's.
        let units = if self.round_up && (scaled - nearest).abs() > 1e-6 { scaled.ceil() } else { nearest };
        // Something is never nothing: 0.00001 cpus are one thousandth.
        let units = if self.round_up && value > 0.0 { units.max(1.0) } else { units };
        let exact = value >= 0.0 && units < 9_007_199_254_740_992.0;
        exact.then_some(units as u64)
    }
}
