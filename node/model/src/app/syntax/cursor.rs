//! A place in a text, and what a person sees there.

use super::SyntaxFault;
use crate::app::fault::quoted;

/// Bytes of a number or bare word that a fault repeats.
const WORD_BYTES_MAX: usize = 40;

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub fn bump_if(&mut self, wanted: char) -> bool {
        let fits = self.peek() == Some(wanted);
        if fits {
            self.at += wanted.len_utf8();
        }
        fits
    }

    /// Moves over ASCII digits; false if there was none.
    pub fn skip_digits(&mut self) -> bool {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count > 0
    }

    pub fn skip_blanks(&mut self) {
        self.at += self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    /// Moves over bytes that stand for themselves inside a string.
    pub fn skip_plain(&mut self) {
        self.at += self.rest().bytes().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count();
    }

    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The letters, digits and underscores here, if it begins with a letter: `True`, `Id`.
    pub fn word(&self) -> Option<&'a str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        (word.len() <= WORD_BYTES_MAX && word.starts_with(char::is_alphabetic)).then_some(word)
    }

    /// Line and column of the byte offset `at`, which is a character boundary.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
    }

    /// The fault that something other than `expected` stands here.
    pub fn fault(&self, expected: &str) -> SyntaxFault {
        self.fault_at(self.at, expected, self.found())
    }

    pub fn fault_at(&self, at: usize, expected: &str, found: String) -> SyntaxFault {
        let (line, column) = self.place(at);
        SyntaxFault { line, column, expected: expected.to_owned(), found }
    }

    /// What stands here, in words.
    fn found(&self) -> String {
        let rest = self.rest();
        match self.peek() {
            None => "the end of the text".to_owned(),
            Some('"') => {
                let inner: String = rest[1..].chars().take_while(|&c| c != '"' && c != '\n').collect();
                format!("the string {}", quoted(&inner))
            }
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some('/') if rest.starts_with("//") || rest.starts_with("/*") => {
                "a comment, which JSON does not have".to_owned()
            }
            Some(quote @ ('“' | '”' | '„' | '‘' | '’' | '\'')) => {
                format!("`{quote}`, which is not the straight double quote `\"`")
            }
            Some('\u{feff}') => "an invisible byte order mark (U+FEFF)".to_owned(),
            Some(c) if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
            Some(c) if c.is_whitespace() => {
                format!("the blank U+{:04X}, which JSON does not know", u32::from(c))
            }
            Some(c) if c.is_ascii_digit() || c == '-' => {
                let end =
                    rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
                format!("the number {}", &rest[..end.min(WORD_BYTES_MAX)])
            }
            Some(c) => self.word().map_or(format!("`{c}`"), |word| format!("`{word}`")),
        }
    }
}
