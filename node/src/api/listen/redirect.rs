//! Leads browsers from the plain port to TLS. Programs are served where they came.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};

use crate::api::auth::host_of;

pub fn browsers_to_tls(router: Router, https_public: u16) -> Router {
    router.layer(from_fn_with_state(https_public, redirect))
}

async fn redirect(State(https_public): State<u16>, request: Request, next: Next) -> Response {
    match target(&request, https_public) {
        // 307: the answer may change once an operator opens the plain port, so browsers must not remember it.
        Some(target) => Redirect::temporary(&target).into_response(),
        None => next.run(request).await,
    }
}

/// Where to send this request, if it is a browser's page load from another machine.
fn target(request: &Request, https_public: u16) -> Option<String> {
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD) && wants_html(request.headers());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer_is_local = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    if !is_page || peer_is_local {
        return None;
    }
    let authority: Authority = host_of(request.headers(), request.uri())?.parse().ok()?;
    if is_loopback(authority.host()) {
        return None;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Some(format!("https://{}:{https_public}{path}", authority.host()))
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|a| a.contains("text/html")))
}

/// A forwarded port of a VM or an SSH tunnel: nobody listens in on the way to oneself.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn only_page_loads_from_elsewhere() {
        let check = |method: &str, accept: &str, host: &str, peer: &str, expected: Option<&str>| {
            let request = Request::builder().method(method).uri("/apps?x=1").header("host", host);
            let mut request = request.header("accept", accept).body(Body::empty()).expect("a request");
            let peer: SocketAddr = peer.parse().expect("an address");
            request.extensions_mut().insert(ConnectInfo(peer));
            assert_eq!(target(&request, 8463).as_deref(), expected, "{method} {accept} {host} {peer}");
        };
        let (html, far) = ("text/html,*/*;q=0.8", "10.0.0.9:5555");
        check("GET", html, "10.0.0.1:8080", far, Some("https://10.0.0.1:8463/apps?x=1"));
        check("GET", html, "[fd00::1]:8080", far, Some("https://[fd00::1]:8463/apps?x=1"));
        check("GET", html, "node1", far, Some("https://node1:8463/apps?x=1"));
        check("POST", html, "10.0.0.1:8080", far, None);
        check("GET", "*/*", "10.0.0.1:8080", far, None);
        check("GET", html, "127.0.0.1:8080", far, None);
        check("GET", html, "localhost:8080", far, None);
        check("GET", html, "[::1]:8080", far, None);
        check("GET", html, "10.0.0.1:8080", "[::ffff:127.0.0.1]:5555", None);
    }
}
