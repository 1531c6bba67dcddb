//! What came back from the page: form and JSON side by side, and which of the two counts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::form::{Form, Row};
use super::schema::{LISTS, SCALARS};
use super::text::pretty;
use crate::context::Fields;

/// Rows of one list that are read; no definition may have more items.
const ROWS_MAX: usize = 1_100;

/// Which side a person wants to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Form,
    Json,
    /// Whichever was changed.
    Changed,
}

/// One definition, as JSON and as the form of it.
pub struct Draft {
    pub json: String,
    /// `None`: the JSON cannot be read, so there is no form of it.
    pub form: Option<Form>,
    /// The JSON that the form was made from; the rows of the form count its items.
    pub origin: String,
}

/// Both sides were changed since they last agreed. Nothing is thrown away until a person decides.
pub struct DraftError {
    pub json: String,
    pub form: Form,
    pub origin: String,
    /// The marks under which the two agreed.
    pub marks: (String, String),
}

impl Draft {
    /// The form is made from the JSON.
    pub fn of_json(json: String) -> Self {
        let form = read(&json).map(|value| Form::read(&value));
        Self { origin: json.clone(), json, form }
    }

    /// Marks of both sides: what they are while nobody has changed either.
    pub fn marks(&self) -> (String, String) {
        (digest(&self.json), self.form.as_ref().map(Form::mark).unwrap_or_default())
    }
}

/// An empty text is an empty definition.
fn read(json: &str) -> Option<Value> {
    if json.trim().is_empty() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(json).ok().filter(Value::is_object)
}

/// The definition that the fields of a page mean.
pub fn draft(fields: &Fields, side: Side) -> Result<Draft, Box<DraftError>> {
    let json = plain_lines(fields.get("definition")).trim_end().to_owned();
    // Without the mark of a form there was none: a page whose JSON could not be read, or a program.
    let Some(form) = posted(fields).filter(|_| !fields.get("shown").is_empty()) else {
        return Ok(Draft::of_json(json));
    };
    let form_changed = form.mark() != fields.get("shown");
    let json_changed = digest(&json) != fields.get("was");
    let origin = plain_lines(fields.get("origin"));
    let form_counts = match side {
        Side::Form => true,
        Side::Json => false,
        Side::Changed if form_changed && json_changed => {
            let marks = (fields.get("was").to_owned(), fields.get("shown").to_owned());
            return Err(Box::new(DraftError { json, form, origin, marks }));
        }
        // Rows that the JSON cannot hold are still there to be told about.
        Side::Changed if !form_changed && !json_changed => {
            return Ok(Draft { json, form: Some(form), origin });
        }
        Side::Changed => form_changed,
    };
    let Some(base) = read(&origin).filter(|_| form_counts) else { return Ok(Draft::of_json(json)) };
    Ok(Draft { json: pretty(&form.apply(&base)), form: Some(form), origin })
}

/// Browsers send each end of line as two characters.
fn plain_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

pub fn digest(text: &str) -> String {
    BASE64.encode(&Sha256::digest(text)[..12])
}

/// `None` if the page had no form.
fn posted(fields: &Fields) -> Option<Form> {
    fields.others().find(|(key, _)| *key == "f.id")?;
    let scalars = SCALARS.iter().map(|field| plain_lines(fields.get(&format!("f.{}", field.name)))).collect();
    let mut lists: Vec<Vec<(usize, Row)>> = LISTS.iter().map(|_| Vec::new()).collect();
    for (key, value) in fields.others() {
        let Some((list, n, column)) = cell(key) else { continue };
        let rows = &mut lists[list];
        let at = rows.iter().position(|(number, _)| *number == n).or_else(|| {
            let cells = vec![String::new(); LISTS[list].columns.len()];
            (rows.len() < ROWS_MAX).then(|| rows.push((n, Row { at: None, cells })))?;
            Some(rows.len() - 1)
        })?;
        let row = &mut rows[at].1;
        match LISTS[list].columns.iter().position(|field| field.name == column) {
            Some(column) => row.cells[column] = plain_lines(value),
            None => row.at = value.parse().ok(),
        }
    }
    let filled = |(list, rows): (usize, Vec<(usize, Row)>)| {
        rows.into_iter().map(|(_, row)| row).filter(|row| !row.is_blank(list)).collect()
    };
    Some(Form { scalars, lists: lists.into_iter().enumerate().map(filled).collect() })
}

/// List, row and column of `f.env.0.key`.
fn cell(key: &str) -> Option<(usize, usize, &str)> {
    let mut parts = key.strip_prefix("f.")?.split('.');
    let (list, n, column) = (parts.next()?, parts.next()?, parts.next()?);
    let list = LISTS.iter().position(|known| known.name == list)?;
    Some((list, n.parse().ok()?, column))
}
