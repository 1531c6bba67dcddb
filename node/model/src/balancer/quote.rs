//! One word of HAProxy's configuration language out of any text, and texts as sentences repeat them.

/// The text as one word that HAProxy reads back unchanged; `None` if no word can hold it: control characters end
/// lines.
pub fn word(text: &str) -> Option<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return None;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:,=+@".contains(&b);
    if text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    // Nothing has a meaning between single quotes; a quote itself stands outside of them.
    Some(format!("'{}'", text.replace('\'', r"'\''")))
}

/// At most the beginning of a value, on one line, for a sentence.
pub fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 60;
    let text: String = value.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    let rest = if value.chars().nth(CHARS_MAX).is_some() { "…" } else { "" };
    format!("`{text}{rest}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_they_must_be() {
        for (text, expect) in [
            ("/health", Some("/health")),
            ("/a?b=1&c", Some("'/a?b=1&c'")),
            ("it's", Some(r"'it'\''s'")),
            (r#"/$HOME "x" \ #"#, Some(r#"'/$HOME "x" \ #'"#)),
            ("a\nb", None),
            ("a\u{85}b", None),
            ("", None),
        ] {
            assert_eq!(word(text).as_deref(), expect, "{text:?}");
        }
    }

    #[test]
    fn values_are_shown_short_and_on_one_line() {
        assert_eq!(shown("a\nb"), r"`a\nb`");
        assert_eq!(shown(&"x".repeat(70)), format!("`{}…`", "x".repeat(60)));
    }
}
