//! What every request passes before a page sees it, and every answer afterwards: origin check, claim and login
//! redirects, security headers. The pages below it may take a [`Visit`] for granted.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State as Extract};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use model::auth::{Verb, authorize};

use crate::session::{self, Session};
use crate::{Backend, local_path};

/// Put into the extensions of a request by the listener that took it; without it a request counts as plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViaTls(pub bool);

/// Who asks, from where. In the extensions of every request.
#[derive(Debug, Clone)]
pub struct Visit {
    pub session: Option<Session>,
    /// What a form must carry: the session's token, before the login one tied to a cookie of its own.
    pub csrf: String,
    pub client_ip: String,
    pub tls: bool,
    pub uri: Uri,
    /// `host:port` as the browser wrote it.
    pub host: String,
    /// `light`, `dark`, or empty: as the system likes it.
    pub theme: &'static str,
    /// A script fetches the moving part of a page that is already open.
    pub is_refresh: bool,
}

impl Visit {
    /// The address of this node as the visitor reaches it, without a path.
    pub fn base_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.host)
    }
}

/// Ties the forms before the login to the browser they were sent to.
const VISIT_COOKIE: &str = "meseta_visit";
/// Which colours this browser likes.
pub const THEME_COOKIE: &str = "meseta_theme";
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub async fn guard(
    Extract(backend): Extract<Arc<dyn Backend>>,
    mut request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) && is_cross_site(request.headers()) {
        return (StatusCode::FORBIDDEN, crate::strings::CROSS_SITE).into_response();
    }
    let state = backend.state();
    let (visit, fresh_cookie) = visit_of(&request, &state, backend.now());
    let answer = match redirect(state.is_claimed(), &visit, request.uri().path()) {
        Some(to) if visit.is_refresh => {
            (StatusCode::UNAUTHORIZED, [(HeaderName::from_static("hx-redirect"), to)]).into_response()
        }
        Some(to) => Redirect::to(&to).into_response(),
        None if !is_allowed(&visit, &request) => {
            (StatusCode::FORBIDDEN, crate::strings::NOT_ALLOWED_TEXT).into_response()
        }
        None => {
            request.extensions_mut().insert(visit);
            next.run(request).await
        }
    };
    finish(answer, fresh_cookie)
}

fn visit_of(request: &Request, state: &model::State, now: model::Timestamp) -> (Visit, Option<HeaderValue>) {
    let headers = request.headers();
    let tls = request.extensions().get::<ViaTls>().is_some_and(|via| via.0);
    let session = cookie(headers, session::COOKIE).and_then(|cookie| session::verify(state, cookie, now));
    let visit_token = cookie(headers, VISIT_COOKIE).filter(|v| v.len() == 2 * session::TOKEN_BYTES);
    let mut fresh_cookie = None;
    let csrf = match (&session, visit_token) {
        (Some(session), _) => session.csrf.clone(),
        (None, Some(token)) => token.to_owned(),
        (None, None) => {
            let token = session::hex(&rand::random::<[u8; session::TOKEN_BYTES]>());
            fresh_cookie = Some(set_cookie(VISIT_COOKIE, &token, tls, None));
            token
        }
    };
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let visit = Visit {
        session,
        csrf,
        client_ip: client.map(|c| c.0.ip().to_canonical().to_string()).unwrap_or_default(),
        tls,
        uri: request.uri().clone(),
        host: headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
        theme: match cookie(headers, THEME_COOKIE) {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        },
        is_refresh: headers.contains_key("hx-request"),
    };
    (visit, fresh_cookie)
}

/// The one place where the console asks what its visitor may do; without a session there are only claim and login.
fn is_allowed(visit: &Visit, request: &Request) -> bool {
    let verb = if matches!(*request.method(), Method::GET | Method::HEAD) { Verb::Read } else { Verb::Write };
    visit.session.as_ref().is_none_or(|session| authorize(&session.actor(), verb, request.uri().path()))
}

/// Where a browser must go first: an unclaimed cluster has one page, a claimed one asks for a login.
fn redirect(claimed: bool, visit: &Visit, path: &str) -> Option<String> {
    if path.starts_with("/assets/") || path == "/theme" {
        return None;
    }
    if !claimed {
        return (path != "/claim" && path != "/claim/restore").then(|| "/claim".to_owned());
    }
    if visit.session.is_some() || path == "/login" {
        return None;
    }
    let wanted = visit.uri.path_and_query().map_or("/", |p| p.as_str());
    match local_path(wanted) {
        Some(next) if next != "/" && next != "/claim" && next != "/logout" => {
            Some(format!("/login?next={}", encode(next)))
        }
        _ => Some("/login".to_owned()),
    }
}

/// Percent-encodes everything but unreserved characters and `/`.
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte as char)
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// A browser says where a request comes from; a page of another site has no business sending forms here.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if text(HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"))
    {
        return true;
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let host = text(header::HOST).unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// `max_age_s` of `None` lasts as long as the browser; 0 removes the cookie. The value must be plain ASCII.
pub fn set_cookie(name: &str, value: &str, tls: bool, max_age_s: Option<u64>) -> HeaderValue {
    let secure = if tls { "; Secure" } else { "" };
    let age = max_age_s.map(|s| format!("; Max-Age={s}")).unwrap_or_default();
    HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"))
        .expect("cookie values are hexadecimal digits and dots")
}

pub fn finish(mut answer: Response, fresh_cookie: Option<HeaderValue>) -> Response {
    let headers = answer.headers_mut();
    if let Some(cookie) = fresh_cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    let defaults = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_origins_are_told_apart() {
        let check = |pairs: &[(&'static str, &'static str)], refused: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_cross_site(&headers), refused, "{pairs:?}");
        };
        check(&[("host", "node:8080")], false);
        check(&[("host", "node:8080"), ("origin", "http://node:8080")], false);
        check(
            &[("host", "Node:8080"), ("origin", "http://node:8080"), ("sec-fetch-site", "same-origin")],
            false,
        );
        check(&[("host", "node:8080"), ("origin", "http://node:8100")], true);
        check(&[("host", "node:8080"), ("origin", "http://evil.example")], true);
        check(&[("host", "node:8080"), ("origin", "null")], true);
        check(&[("host", "node:8080"), ("sec-fetch-site", "cross-site")], true);
        check(&[("host", "node:8080"), ("sec-fetch-site", "same-site")], true);
    }
}
