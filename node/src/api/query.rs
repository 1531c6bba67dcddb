//! Query strings as Marathon's clients write them: `force=True`, repeated keys, `status[]`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;

/// The decoded pairs of a query, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let uri = axum::http::Uri::builder().path_and_query(format!("/?{text}")).build();
        let pairs = uri.ok().and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok());
        let pairs = pairs.ok_or_else(|| ApiError::bad_request("The query string cannot be read"))?;
        Ok(Self(pairs.0))
    }

    pub fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// All values of `key` and `key[]`.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let matches = move |name: &str| name == key || name.strip_suffix("[]") == Some(key);
        self.0.iter().filter(move |(name, _)| matches(name)).map(|(_, value)| value.as_str())
    }

    /// `true` or `false` in any case; absent or empty means `default`.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(key).map(str::to_ascii_lowercase).as_deref() {
            None | Some("") => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(ApiError::bad_request(format!("{key} must be true or false, not {other:?}"))),
        }
    }

    pub fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let number = text.parse().ok();
        number
            .map(Some)
            .ok_or_else(|| ApiError::bad_request(format!("{key} must be a whole number, not {text:?}")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::parse(parts.uri.query().unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_numbers_and_repeated_keys() {
        let query = Query::parse("force=True&scale=&status[]=running&status=staging&limit=10&id=a%2Fb")
            .expect("read");
        assert_eq!(query.flag("force", false), Ok(true));
        assert_eq!(query.flag("scale", true), Ok(true));
        assert_eq!(query.flag("absent", false), Ok(false));
        assert!(query.flag("limit", false).is_err());
        assert_eq!(query.all("status").collect::<Vec<_>>(), ["running", "staging"]);
        assert_eq!(query.number("limit"), Ok(Some(10)));
        assert!(query.number("force").is_err());
        assert_eq!(query.get("id"), Some("a/b"));
    }
}
