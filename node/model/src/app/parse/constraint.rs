//! Placement constraints: `["hostname", "UNIQUE"]` (spec/marathon.md §2.7).

use regex_lite::{Regex, RegexBuilder};

use super::super::fault::quoted;
use super::super::fields::{Field, Fields};
use super::super::{Constraint, ConstraintOperator};
use crate::limits;

/// Bytes a compiled pattern may take: bounds the work of one LIKE per node and placement.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

const OPERATORS: [(&str, ConstraintOperator); 7] = [
    ("UNIQUE", ConstraintOperator::Unique),
    ("CLUSTER", ConstraintOperator::Cluster),
    ("GROUP_BY", ConstraintOperator::GroupBy),
    ("LIKE", ConstraintOperator::Like),
    ("UNLIKE", ConstraintOperator::Unlike),
    ("MAX_PER", ConstraintOperator::MaxPer),
    ("IS", ConstraintOperator::Is),
];

/// A pattern of LIKE or UNLIKE, compiled to match whole texts only. Linear in the text's length; no look-around and
/// no back-references, which are an error. As in Java, `\d`, `\w` and case folding know ASCII only.
pub fn whole_text_pattern(pattern: &str) -> Result<Regex, String> {
    // Compiled alone first, so that `a)(b` is not saved by the brackets around it.
    Regex::new(pattern).map_err(|e| e.to_string())?;
    let whole = format!("^(?:{pattern})$");
    RegexBuilder::new(&whole).size_limit(PATTERN_BYTES_MAX).build().map_err(|e| e.to_string())
}

pub fn read(fields: &Fields) -> Vec<Constraint> {
    let items = fields.get("constraints").and_then(|f| f.list_up_to(limits::LIST_PER_APP_MAX));
    items.unwrap_or_default().iter().filter_map(read_one).collect()
}

fn read_one(item: &Field) -> Option<Constraint> {
    let parts = item.list()?;
    if !(2..=3).contains(&parts.len()) {
        item.rule(format!(
            "has {} parts; expected 2 or 3: [field, operator] or [field, operator, value]",
            parts.len()
        ));
        return None;
    }
    let field = parts[0].text();
    if field.is_some_and(str::is_empty) {
        parts[0].rule("is empty; expected `hostname`, `@zone`, `@region` or the name of a node's attribute");
    }
    let operator = read_operator(&parts[1]);
    let value = match parts.get(2) {
        Some(part) => Some(part.text()?.to_owned()).filter(|value| !value.is_empty()),
        None => None,
    };
    let operator = operator?;
    if let Err(problem) = check_value(operator, value.as_deref()) {
        parts.get(2).unwrap_or(item).rule(problem);
    }
    Some(Constraint { field: field?.to_owned(), operator, value })
}

fn read_operator(part: &Field) -> Option<ConstraintOperator> {
    let text = part.text()?;
    let found =
        OPERATORS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, operator)| *operator);
    if found.is_none() {
        let all: Vec<&str> = OPERATORS.iter().map(|(word, _)| *word).collect();
        part.rule(format!("is {}; expected one of {}", quoted(text), all.join(", ")));
    }
    found
}

fn check_value(operator: ConstraintOperator, value: Option<&str>) -> Result<(), String> {
    use ConstraintOperator::{Cluster, GroupBy, Is, Like, MaxPer, Unique, Unlike};
    let shown = quoted(value.unwrap_or_default());
    match (operator, value) {
        (Unique, Some(_)) => Err(format!("is {shown}; expected no value with UNIQUE")),
        (GroupBy, Some(text)) if text.parse::<u32>().is_err() => {
            Err(format!("is {shown}; expected a whole number, the count of distinct values, or nothing"))
        }
        (MaxPer, None) => {
            Err("has no value; expected a whole number with MAX_PER, as text, e.g. \"2\"".to_owned())
        }
        (MaxPer, Some(text)) if text.parse::<u32>().is_err() => {
            Err(format!("is {shown}; expected a whole number with MAX_PER, as text, e.g. \"2\""))
        }
        (Like | Unlike, None) => Err("has no value; expected a regular expression".to_owned()),
        (Like | Unlike, Some(text)) => whole_text_pattern(text)
            .map(drop)
            .map_err(|e| format!("is {shown}; expected a regular expression ({e})")),
        (Is, None) => Err("has no value; expected one with IS".to_owned()),
        (Is, Some(text)) if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(&b)) => {
            Err(format!("is {shown}; expected letters, digits and `_`, `/`, `.`, `-` only"))
        }
        (Unique | Cluster | GroupBy | MaxPer | Is, _) => Ok(()),
    }
}
