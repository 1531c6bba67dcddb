//! What is wrong with a text that should be an app: found by `parse`, shown by the API and the console.
//!
//! The shapes follow spec/marathon.md §1.1; the sentences are written for a person who has the text before them.

use serde::Serialize;
use serde_json::{Value, json};

pub use super::syntax::SyntaxFault;

/// Faults listed for one text. A text of a megabyte could hold more than anybody reads; the last line then says so.
pub(super) const FAULTS_MAX: usize = 100;
/// Characters of a value that a sentence repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// Why a text is not an app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppFaults {
    /// Refused unread. HTTP 413.
    #[error("the text has {bytes} bytes; at most {max} are accepted")]
    TooLarge { bytes: usize, max: usize },
    /// Not JSON, or a key given twice. HTTP 400.
    #[error(transparent)]
    Syntax(#[from] SyntaxFault),
    /// JSON, but not an app: all faults of type and rule, at least one. HTTP 422.
    #[error("{}", in_one_line(.0))]
    Invalid(Vec<Fault>),
}

impl AppFaults {
    /// The `message` of Marathon's error body.
    pub fn message(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "Request body is too large",
            Self::Syntax(_) => "Invalid JSON",
            Self::Invalid(faults) if faults.iter().any(Fault::is_of_type) => "Invalid JSON",
            Self::Invalid(_) => "Object is not valid",
        }
    }

    /// The whole error body: `{"message": …, "details": …}`. `details` is a text for faults of syntax and size, else
    /// the list of faults.
    pub fn to_body(&self) -> Value {
        match self {
            Self::Invalid(faults) => json!({ "message": self.message(), "details": faults }),
            other => json!({ "message": self.message(), "details": other.to_string() }),
        }
    }
}

/// All that is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// `/healthChecks(0)/portIndex`; the whole object is `/`.
    pub path: String,
    /// Sentences without a subject ("is negative: -1; …"). Faults of type put play-json's token before each.
    pub errors: Vec<String>,
}

impl Fault {
    /// True if the value has the wrong type or is missing, false if it only breaks a rule.
    pub fn is_of_type(&self) -> bool {
        self.errors.first().is_some_and(|e| e.starts_with("error."))
    }
}

fn in_one_line(faults: &[Fault]) -> String {
    let places: Vec<String> = faults.iter().map(|f| format!("{} {}", f.path, f.errors.join("; "))).collect();
    places.join(" · ")
}

/// Collects faults while a definition is read, so that all of them are told at once.
#[derive(Debug, Default)]
pub(super) struct Collected {
    faults: Vec<Fault>,
    left_out: usize,
    /// Keys that mean nothing here, as `container.docker.flavour`.
    pub unknown_keys: Vec<String>,
}

impl Collected {
    /// `path` is empty for the whole object.
    pub fn add(&mut self, path: &str, errors: impl IntoIterator<Item = String>) {
        let path = if path.is_empty() { "/" } else { path };
        if let Some(fault) = self.faults.iter_mut().find(|f| f.path == path) {
            // Two rules may find the same words at one place, e.g. a number that two lists both refuse.
            for error in errors {
                if !fault.errors.contains(&error) && fault.errors.len() < FAULTS_MAX {
                    fault.errors.push(error);
                }
            }
        } else if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { path: path.to_owned(), errors: errors.into_iter().collect() });
        } else {
            self.left_out += 1;
        }
    }

    /// `value` if nothing was found wrong.
    pub fn into_result<T>(mut self, value: Option<T>) -> Result<T, AppFaults> {
        if self.left_out > 0 {
            let sentence = format!("has {} more faults that are not listed", self.left_out);
            self.faults.push(Fault { path: "/".to_owned(), errors: vec![sentence] });
        }
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(AppFaults::Invalid(self.faults)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A value as a sentence repeats it: with its kind, and cut when long.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {}", quoted(text)),
        Value::Array(items) if items.is_empty() => "an empty array".to_owned(),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
        Value::Object(fields) => {
            let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("an object with {}", cut(&keys.join(", ")))
        }
    }
}

/// `text` in double quotes, escaped, at most [`SHOWN_CHARS_MAX`] characters of it.
pub(super) fn quoted(text: &str) -> String {
    Value::String(cut(text)).to_string()
}

/// The beginning of `text`, at most [`SHOWN_CHARS_MAX`] characters of it.
pub(super) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() { head + "…" } else { head }
}
