//! Finds the first place where a text stops being JSON and says what was expected there.
//!
//! serde_json decides the same question but answers a person poorly ("expected `:`"), and it accepts a key given
//! twice. This scanner reads nothing into a tree; its verdict equals serde_json's (a property test), so whatever
//! passes here is then read by serde_json.

mod cursor;
mod literal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use super::fault::quoted;
use crate::limits;
use cursor::Cursor;

/// One fault of syntax. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct SyntaxFault {
    pub line: usize,
    pub column: usize,
    pub expected: String,
    pub found: String,
}

/// Where the scanner stands inside an open array or object.
enum Open<'a> {
    Array,
    /// Keys so far with their places, and the key whose value is being read.
    Object {
        keys: HashMap<Cow<'a, str>, usize>,
        key: Cow<'a, str>,
    },
}

/// Checks that `text` is one JSON value, no deeper than [`limits::JSON_DEPTH_MAX`], with each key once per object.
/// A fault of syntax is told before a double key, wherever the two stand.
pub fn check(text: &str) -> Result<(), SyntaxFault> {
    match scan(text)? {
        Some(double_key) => Err(double_key),
        None => Ok(()),
    }
}

/// The first key given twice, if the text is JSON.
fn scan(text: &str) -> Result<Option<SyntaxFault>, SyntaxFault> {
    let mut scanner = Scanner { cursor: Cursor::new(text), open: Vec::new(), double_key: None };
    loop {
        let opened = scanner.value()?;
        if !opened && !scanner.next_place()? {
            break;
        }
    }
    scanner.cursor.skip_blanks();
    if !scanner.cursor.at_end() {
        return Err(scanner.cursor.fault("the end of the text after the closing bracket or value"));
    }
    Ok(scanner.double_key)
}

struct Scanner<'a> {
    cursor: Cursor<'a>,
    open: Vec<Open<'a>>,
    double_key: Option<SyntaxFault>,
}

impl<'a> Scanner<'a> {
    /// Reads a scalar or empty container (false), or opens a container and stands before its first value (true).
    fn value(&mut self) -> Result<bool, SyntaxFault> {
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            Some('{') => self.open_object(),
            Some('[') => self.open_array(),
            _ => literal::scalar(&mut self.cursor, || wanted_value(self.open.last())).map(|()| false),
        }
    }

    fn open_object(&mut self) -> Result<bool, SyntaxFault> {
        self.check_depth()?;
        self.cursor.bump();
        self.cursor.skip_blanks();
        if self.cursor.bump_if('}') {
            return Ok(false);
        }
        self.open.push(Open::Object { keys: HashMap::new(), key: Cow::Borrowed("") });
        self.key("a key in double quotes or `}` after `{`")?;
        Ok(true)
    }

    fn open_array(&mut self) -> Result<bool, SyntaxFault> {
        self.check_depth()?;
        self.cursor.bump();
        self.cursor.skip_blanks();
        if self.cursor.bump_if(']') {
            return Ok(false);
        }
        self.open.push(Open::Array);
        Ok(true)
    }

    fn check_depth(&self) -> Result<(), SyntaxFault> {
        if self.open.len() < limits::JSON_DEPTH_MAX {
            return Ok(());
        }
        Err(self.cursor.fault(&format!("at most {} levels of brackets", limits::JSON_DEPTH_MAX)))
    }

    /// Reads a key and its colon; the innermost open container is an object.
    fn key(&mut self, expected: &str) -> Result<(), SyntaxFault> {
        self.cursor.skip_blanks();
        if self.cursor.peek() != Some('"') {
            return Err(self.cursor.fault(&match self.cursor.word() {
                Some(word) => format!("a key in double quotes: {}", quoted(word)),
                None => expected.to_owned(),
            }));
        }
        let at = self.cursor.offset();
        let name = literal::string(&mut self.cursor)?;
        let shown = quoted(&name);
        if let Some(Open::Object { keys, key }) = self.open.last_mut() {
            match keys.get(&name) {
                // Only the first is told, so only for it is the place worth counting out.
                Some(&first) if self.double_key.is_none() => {
                    let found =
                        format!("a second {shown} (the first is on line {})", self.cursor.place(first).0);
                    self.double_key = Some(self.cursor.fault_at(at, "each key once", found));
                }
                Some(_) => {}
                None => drop(keys.insert(name.clone(), at)),
            }
            *key = name;
        }
        self.cursor.skip_blanks();
        if !self.cursor.bump_if(':') {
            return Err(self.cursor.fault(&format!("`:` after the key {shown}")));
        }
        Ok(())
    }

    /// After a value: closes what ends here and stops before the next value. False when the outermost value is over.
    fn next_place(&mut self) -> Result<bool, SyntaxFault> {
        while let Some(open) = self.open.last() {
            self.cursor.skip_blanks();
            let (close, expected) = match open {
                Open::Array => (']', "`,` or `]` after the item of the array".to_owned()),
                Open::Object { key, .. } => {
                    ('}', format!("`,` or `}}` after the value of the key {}", quoted(key)))
                }
            };
            if self.cursor.bump_if(close) {
                self.open.pop();
            } else if self.cursor.bump_if(',') {
                if close == '}' {
                    self.key("a key in double quotes after `,`")?;
                } else {
                    self.refuse_trailing_comma()?;
                }
                return Ok(true);
            } else {
                return Err(self.cursor.fault(&expected));
            }
        }
        Ok(false)
    }

    fn refuse_trailing_comma(&mut self) -> Result<(), SyntaxFault> {
        self.cursor.skip_blanks();
        if self.cursor.peek() == Some(']') {
            return Err(self.cursor.fault("another item of the array after `,`"));
        }
        Ok(())
    }
}

fn wanted_value(open: Option<&Open>) -> String {
    match open {
        None => "a JSON value".to_owned(),
        Some(Open::Array) => "an item of the array".to_owned(),
        Some(Open::Object { key, .. }) => format!("a value for the key {}", quoted(key)),
    }
}
