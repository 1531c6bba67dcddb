//! Label selectors in Marathon's grammar: comma is AND; terms are `name`, `name==v`, `name!=v`, `name in (a,b)`,
//! `name notin (a,b)`; a backslash escapes; every term requires the label to be there.

use std::collections::BTreeMap;

/// All terms must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    label: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Terms of one selector.
const TERMS_MAX: usize = 32;

impl Selector {
    /// The error says what was expected and at which character, counted from 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { chars: text.chars().collect(), at: 0 };
        let mut terms = Vec::new();
        loop {
            terms.push(reader.term()?);
            match reader.next_visible() {
                None => return Ok(Self(terms)),
                Some(',') if terms.len() < TERMS_MAX => reader.at += 1,
                Some(',') => return Err(format!("more than {TERMS_MAX} terms")),
                Some(_) => return Err(reader.expected("`,` or the end")),
            }
        }
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| {
            labels.get(&term.label).is_some_and(|value| match &term.test {
                Test::Exists => true,
                Test::In(values) => values.contains(value),
                Test::NotIn(values) => !values.contains(value),
            })
        })
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn term(&mut self) -> Result<Term, String> {
        let label = self.word("a label name")?;
        let test = if self.accept("==") {
            Test::In(vec![self.word("a value")?])
        } else if self.accept("!=") {
            Test::NotIn(vec![self.word("a value")?])
        } else if self.accept("notin") {
            Test::NotIn(self.set()?)
        } else if self.accept("in") {
            Test::In(self.set()?)
        } else {
            Test::Exists
        };
        Ok(Term { label, test })
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        if !self.accept("(") {
            return Err(self.expected("`(`"));
        }
        let mut values = vec![self.word("a value")?];
        while self.accept(",") {
            values.push(self.word("a value")?);
        }
        if self.accept(")") { Ok(values) } else { Err(self.expected("`,` or `)`")) }
    }

    /// Anything but blanks and the characters of the grammar, unless escaped.
    fn word(&mut self, what: &str) -> Result<String, String> {
        self.next_visible();
        let mut word = String::new();
        while let Some(&c) = self.chars.get(self.at) {
            match c {
                '\\' => {
                    self.at += 1;
                    let escaped = *self.chars.get(self.at).ok_or_else(|| self.expected("a character"))?;
                    word.push(escaped);
                }
                ',' | '(' | ')' | '=' | '!' => break,
                c if c.is_whitespace() => break,
                c => word.push(c),
            }
            self.at += 1;
        }
        if word.is_empty() { Err(self.expected(what)) } else { Ok(word) }
    }

    fn accept(&mut self, token: &str) -> bool {
        self.next_visible();
        let found = token.chars().enumerate().all(|(n, c)| self.chars.get(self.at + n) == Some(&c));
        if found {
            self.at += token.chars().count();
        }
        found
    }

    fn next_visible(&mut self) -> Option<char> {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.chars.get(self.at).copied()
    }

    fn expected(&self, what: &str) -> String {
        format!("expected {what} at character {}", self.at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        let labels = BTreeMap::from([("env".into(), "prod".into()), ("a,b".into(), "x y".into())]);
        for (text, expected) in [
            ("env", true),
            ("foo", false),
            ("env==prod", true),
            ("env == prod", true),
            ("env==test", false),
            ("env!=test", true),
            ("foo!=test", false),
            ("env in (test, prod)", true),
            ("env notin(test,dev)", true),
            ("env notin (prod)", false),
            ("env, foo", false),
            ("env==prod,env!=test", true),
            (r"a\,b==x\ y", true),
        ] {
            let selector = Selector::parse(text).expect(text);
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, expected) in [
            ("", "expected a label name at character 1"),
            ("env==", "expected a value at character 6"),
            ("env in prod", "expected `(` at character 8"),
            ("env in (a", "expected `,` or `)` at character 10"),
            ("env prod", "expected `,` or the end at character 5"),
            (r"env\", "expected a character at character 5"),
        ] {
            assert_eq!(Selector::parse(text), Err(expected.to_owned()), "{text}");
        }
    }
}
