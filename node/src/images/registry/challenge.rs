//! What a registry that wants a token says of where to get one: the header `WWW-Authenticate`. Pure.

/// Of a header no more is looked at.
const HEADER_BYTES_MAX: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token for nobody in particular is to be had there.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// Name and password, which this node has not.
    Other(String),
}

impl Challenge {
    pub fn parse(header: &str) -> Self {
        let header = &header[..header.floor_char_boundary(HEADER_BYTES_MAX)];
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let other = || Self::Other(scheme.chars().filter(char::is_ascii_graphic).take(40).collect());
        if !scheme.eq_ignore_ascii_case("bearer") {
            return other();
        }
        let fields = fields(rest);
        let field =
            |name: &str| fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        match field("realm") {
            Some(realm) => Self::Bearer { realm, service: field("service"), scope: field("scope") },
            None => other(),
        }
    }
}

/// `a="b, c",d=e`; inside quotes a backslash makes the next character plain.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let name: String = std::iter::from_fn(|| chars.next_if(|c| *c != '=')).collect();
        if chars.next().is_none() {
            return fields;
        }
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_some() {
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => value.extend(chars.next()),
                    c => value.push(c),
                }
            }
            while chars.next().is_some_and(|c| c != ',') {}
        } else {
            while let Some(c) = chars.next().filter(|c| *c != ',') {
                value.push(c);
            }
        }
        let name = name.trim_matches([' ', ',']).to_owned();
        fields.push((name, value.trim_end().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/nginx:pull,push"),
                ),
            ),
            (
                r#"bearer realm="https://a/t" , service=b, scope="x""#,
                bearer("https://a/t", Some("b"), Some("x")),
            ),
            (r#"Bearer service="only""#, Challenge::Other("Bearer".to_owned())),
            (r#"Basic realm="Registry""#, Challenge::Other("Basic".to_owned())),
            ("", Challenge::Other(String::new())),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(header in "\\PC{0,80}") {
            Challenge::parse(&header);
            Challenge::parse(&format!("Bearer realm={header}"));
        }
    }
}
