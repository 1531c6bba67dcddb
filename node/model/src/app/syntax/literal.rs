//! Strings, numbers, `true`, `false`, `null`.

use std::borrow::Cow;

use super::SyntaxFault;
use super::cursor::Cursor;

/// Reads one scalar; `wanted` says what belongs here should there be something else.
pub(super) fn scalar(cursor: &mut Cursor, wanted: impl Fn() -> String) -> Result<(), SyntaxFault> {
    match cursor.peek() {
        Some('"') => string(cursor).map(drop),
        Some('-' | '0'..='9') => number(cursor),
        _ => word(cursor, wanted),
    }
}

fn word(cursor: &mut Cursor, wanted: impl Fn() -> String) -> Result<(), SyntaxFault> {
    for known in ["true", "false", "null"] {
        // As serde_json does, the letters alone decide; what follows them is judged as the next thing.
        if cursor.rest().starts_with(known) {
            cursor.advance(known.len());
            return Ok(());
        }
    }
    let expected = match cursor.word().map(str::to_lowercase).as_deref() {
        Some("true") => "`true` in lower case".to_owned(),
        Some("false") => "`false` in lower case".to_owned(),
        Some("null" | "none" | "nil" | "undefined") => "`null`".to_owned(),
        Some("nan" | "inf" | "infinity") => "a finite number".to_owned(),
        Some(_) => format!("{}; texts are written in double quotes", wanted()),
        None => wanted(),
    };
    Err(cursor.fault(&expected))
}

fn number(cursor: &mut Cursor) -> Result<(), SyntaxFault> {
    let start = cursor.offset();
    cursor.bump_if('-');
    if cursor.bump_if('0') {
        if cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(cursor.fault("a number without leading zeros"));
        }
    } else if !cursor.skip_digits() {
        return Err(cursor.fault("a digit after `-`"));
    }
    if cursor.bump_if('.') && !cursor.skip_digits() {
        return Err(cursor.fault("a digit after the decimal point"));
    }
    if matches!(cursor.peek(), Some('e' | 'E')) {
        cursor.bump();
        if !cursor.bump_if('+') {
            cursor.bump_if('-');
        }
        if !cursor.skip_digits() {
            return Err(cursor.fault("a digit of the exponent"));
        }
    }
    let text = cursor.since(start);
    if text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Ok(());
    }
    let shown: String = text.chars().take(40).collect();
    Err(cursor.fault_at(start, "a number that a 64-bit float can hold", format!("the number {shown}")))
}

/// Reads a string, the cursor on its opening quote; returns what it means.
pub(super) fn string<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, SyntaxFault> {
    cursor.bump();
    let start = cursor.offset();
    cursor.skip_plain();
    let mut text = Cow::Borrowed(cursor.since(start));
    loop {
        match cursor.peek() {
            Some('"') => {
                cursor.bump();
                return Ok(text);
            }
            Some('\\') => {
                let meaning = escape(cursor)?;
                text.to_mut().push(meaning);
            }
            // skip_plain stops only at these two, at control characters and at the end.
            _ => {
                return Err(
                    cursor.fault("`\"` at the end of the string (a line break inside is written \\n)")
                );
            }
        }
        let plain = cursor.offset();
        cursor.skip_plain();
        if cursor.offset() > plain {
            text.to_mut().push_str(cursor.since(plain));
        }
    }
}

/// Reads one escape, the cursor on its backslash.
fn escape(cursor: &mut Cursor) -> Result<char, SyntaxFault> {
    let start = cursor.offset();
    cursor.bump();
    let known = match cursor.peek() {
        Some(c @ ('"' | '\\' | '/')) => c,
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return unicode_escape(cursor, start),
        _ => return Err(cursor.fault("one of \" \\ / b f n r t u after a backslash")),
    };
    cursor.bump();
    Ok(known)
}

/// Reads `uXXXX`, for a character beyond U+FFFF also the second half `\uXXXX`; `start` is at the backslash.
fn unicode_escape(cursor: &mut Cursor, start: usize) -> Result<char, SyntaxFault> {
    let first = hex4(cursor)?;
    let lone = |cursor: &Cursor| {
        let found = format!("half of one: `{}`", cursor.since(start));
        Err(cursor.fault_at(start, "a whole character in \\u form (two halves beyond U+FFFF)", found))
    };
    let code = match first {
        0xd800..=0xdbff => {
            if !cursor.rest().starts_with("\\u") {
                return lone(cursor);
            }
            cursor.bump();
            let second = hex4(cursor)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return lone(cursor);
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        }
        code => code,
    };
    char::from_u32(code).map_or_else(|| lone(cursor), Ok)
}

/// Reads `u` and four hexadecimal digits.
fn hex4(cursor: &mut Cursor) -> Result<u32, SyntaxFault> {
    cursor.bump();
    let mut code = 0;
    for _ in 0..4 {
        let Some(digit) = cursor.peek().and_then(|c| c.to_digit(16)) else {
            return Err(cursor.fault("four hexadecimal digits after \\u"));
        };
        code = code * 16 + digit;
        cursor.bump();
    }
    Ok(code)
}
