//! Paths that a redirect may lead to.

/// `text` if it is a path of this console, with or without query; `None` for anything that a browser could read as
/// another site (`//host`, `/\host`, a scheme) or that does not belong into a header.
pub fn local_path(text: &str) -> Option<&str> {
    let mut bytes = text.bytes();
    let is_path = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    let is_plain = text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (is_path && is_plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_paths_of_this_console() {
        for good in ["/", "/apps/prod/db", "/apps?q=a", "/tasks/a.instance-1._app.1?x=%2F"] {
            assert_eq!(local_path(good), Some(good));
        }
        for bad in [
            "",
            "apps",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\\b",
            "/a\r\nSet-Cookie: x",
            "javascript:alert(1)",
            "/\tevil",
            " /",
            "/é",
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
    }
}
