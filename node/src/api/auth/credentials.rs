//! Reads the `Authorization` header.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    Basic { name: String, password: String },
    Bearer(String),
}

/// `None` if there is no such header; an error says what is wrong with it.
pub fn read(headers: &HeaderMap) -> Result<Option<Credentials>, &'static str> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| "the Authorization header is not ASCII")?;
    let (scheme, rest) = text.trim().split_once(' ').ok_or("the Authorization header has no credentials")?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credentials::Bearer(rest.trim().to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err("the Authorization scheme must be Basic or Bearer");
    }
    let encoded = rest.trim();
    let bytes = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded));
    let bytes = bytes.map_err(|_| "the Basic credentials are not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "the Basic credentials are not UTF-8")?;
    let (name, password) = text.split_once(':').ok_or("the Basic credentials have no colon")?;
    Ok(Some(Credentials::Basic { name: name.to_owned(), password: password.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let basic = |name: &str, password: &str| {
            Ok(Some(Credentials::Basic { name: name.into(), password: password.into() }))
        };
        for (header, expected) in [
            ("Basic YWRtaW46c2VjcmV0", basic("admin", "secret")),
            ("basic  YWRtaW46YTpi", basic("admin", "a:b")),
            ("Basic YWRtaW46", basic("admin", "")),
            ("Bearer abc", Ok(Some(Credentials::Bearer("abc".into())))),
            ("Basic ???", Err("the Basic credentials are not base64")),
            ("Basic YWRtaW4=", Err("the Basic credentials have no colon")),
            ("Digest x", Err("the Authorization scheme must be Basic or Bearer")),
            ("Basic", Err("the Authorization header has no credentials")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header.parse().expect("a header"));
            assert_eq!(read(&headers), expected, "{header}");
        }
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }
}
