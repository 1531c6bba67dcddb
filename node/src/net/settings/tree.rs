//! The texts that settings come in, YAML or JSON, as a tree that knows its lines. Bounded: size, depth, no references
//! (which could blow a small text up), no tags.

use saphyr_parser::{Event, Parser};

/// No seed needs more, and everything is held in memory.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 12;
const VALUES_MAX: usize = 5_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A fault and the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    pub line: usize,
    pub what: String,
}

impl Fault {
    pub fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// An open list or map.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(String, Node)>, Option<String>),
}

/// The first document of `text`; an empty one is an empty map.
pub fn parse(text: &str) -> Result<Node, Fault> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Fault::new(1, format!("the text has {} bytes, at most {TEXT_BYTES_MAX}", text.len())));
    }
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| Fault::new(e.marker().line().max(1), e.info()))?;
        let line = span.start.line().max(1);
        let done = match event {
            Event::Scalar(text, ..) => Some(Node { line, value: Value::Text(text.into_owned()) }),
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => Some(match open.pop() {
                Some(Open::List(line, items)) => Node { line, value: Value::List(items) },
                Some(Open::Map(line, pairs, _)) => Node { line, value: Value::Map(pairs) },
                None => return Err(Fault::new(line, "an end without a beginning")),
            }),
            Event::Alias(_) => return Err(Fault::new(line, "references are not read here")),
            Event::StreamEnd | Event::DocumentEnd => break,
            _ => None,
        };
        if open.len() > DEPTH_MAX {
            return Err(Fault::new(line, format!("nested deeper than {DEPTH_MAX}")));
        }
        let Some(node) = done else { continue };
        values += 1;
        if values > VALUES_MAX {
            return Err(Fault::new(line, format!("more than {VALUES_MAX} values")));
        }
        match open.last_mut() {
            None => return Ok(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, pairs, key)) => match (key.take(), node) {
                (Some(name), node) => pairs.push((name, node)),
                (None, Node { value: Value::Text(name), .. }) => *key = Some(name),
                (None, Node { line, .. }) => return Err(Fault::new(line, "a key that is not a word")),
            },
        }
    }
    Ok(Node { line: 1, value: Value::Map(Vec::new()) })
}

impl Node {
    pub fn map(&self, what: &str) -> Result<&[(String, Node)], Fault> {
        match &self.value {
            Value::Map(pairs) => Ok(pairs),
            // `key:` with nothing behind it.
            Value::Text(text) if is_null(text) => Ok(&[]),
            _ => Err(self.fault(format!("{what}: expected keys and values"))),
        }
    }

    pub fn list(&self, what: &str) -> Result<&[Node], Fault> {
        match &self.value {
            Value::List(items) => Ok(items),
            Value::Text(text) if is_null(text) => Ok(&[]),
            _ => Err(self.fault(format!("{what}: expected a list"))),
        }
    }

    /// A list, or one value in its place.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    pub fn text(&self, what: &str) -> Result<&str, Fault> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.fault(format!("{what}: expected one value"))),
        }
    }

    pub fn flag(&self, what: &str) -> Result<bool, Fault> {
        match self.text(what)? {
            "true" | "True" | "yes" | "on" => Ok(true),
            "false" | "False" | "no" | "off" => Ok(false),
            other => Err(self.fault(format!("{what} is `{other}`, expected true or false"))),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::new(self.line, what)
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn yaml_and_json_alike_with_lines() {
        let yaml = parse("a: 1\nb:\n  - x\n  - 'y z'\n").unwrap();
        assert_eq!(yaml.get("b").unwrap().items()[1].text("b").unwrap(), "y z");
        assert_eq!(yaml.get("b").unwrap().items()[1].line, 4);
        let json = parse("{\"a\": \"1\",\n \"b\": [\"x\", \"y z\"]}").unwrap();
        assert_eq!(json.get("b").unwrap().items()[1].text("b").unwrap(), "y z");
        assert_eq!(json.get("b").unwrap().items()[1].line, 2);
        assert_eq!(parse("").unwrap().map("it").unwrap(), []);
    }

    #[test]
    fn what_could_grow_is_refused() {
        let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
        assert_eq!(parse(bomb).unwrap_err().line, 2);
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert!(parse(&deep).unwrap_err().what.contains("nested"));
        assert!(parse(&"x".repeat(TEXT_BYTES_MAX + 1)).is_err());
        assert!(parse(&"- a\n".repeat(VALUES_MAX + 1)).is_err());
    }

    #[test]
    fn a_fault_names_its_line() {
        assert!(parse("a: 1\nb: 'x\n").unwrap_err().line >= 2);
        assert_eq!(parse("a: 1\nb: 2\n- c\n").unwrap_err().line, 3);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z0-9:\\-\\[\\]{}&*!|>'\"#,% \n\t]{0,300}") {
            let _ = parse(&text);
        }
    }
}
