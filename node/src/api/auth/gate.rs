//! The one middleware before `/v2`, `/metrics` and `/meseta/v1`: same site, claimed, known, allowed.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use model::Origin;
use model::auth::{Actor, Verb, authorize};
use model::ids::RequestId;
use sha2::{Digest, Sha256};

use super::credentials::{self, Credentials};
use crate::api::Api;
use crate::api::error::ApiError;

/// Characters of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;

/// Who asks; every handler behind the gate finds it as an extension.
#[derive(Debug, Clone)]
pub struct Caller {
    pub actor: Actor,
    pub origin: Origin,
    pub request_id: Option<RequestId>,
}

impl Caller {
    /// For one command of several that come from the same request: a retry must find the answer of the same part.
    pub fn for_part(&self, part: &str) -> Self {
        let id = self.request_id.map(|id| short_digest(&id.to_string(), part.as_bytes()));
        Self { request_id: id, ..self.clone() }
    }
}

pub async fn gate(State(api): State<Api>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    refuse_cross_site(request.headers(), request.uri())?;
    let origin = origin_of(&request);
    if !api.backend.state().is_claimed() {
        return Err(ApiError::forbidden(
            "This cluster is not claimed yet: open its address in a browser, enter the claim code that the node's \
             screen shows at /claim, and set a password",
        ));
    }
    let actor = authenticate(&api, request.headers(), &origin.client_ip).await?;
    let verb = match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Verb::Read,
        _ => Verb::Write,
    };
    if !authorize(&actor, verb, request.uri().path()) {
        return Err(ApiError::forbidden("Your role does not allow this"));
    }
    let request_id = request_id(request.headers(), &actor)?;
    request.extensions_mut().insert(Caller { actor, origin, request_id });
    Ok(next.run(request).await)
}

/// For the few requests that come before any login: the same-site rule and where the request came from.
pub fn caller_without_login(request: &Request) -> Result<Origin, ApiError> {
    refuse_cross_site(request.headers(), request.uri())?;
    Ok(origin_of(request))
}

fn origin_of(request: &Request) -> Origin {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let client_ip = peer.map_or_else(String::new, |peer| peer.0.ip().to_canonical().to_string());
    Origin { client_ip, uri: request.uri().path().to_owned() }
}

/// Browsers remember Basic credentials and would send them along with a request of any other site's page.
fn refuse_cross_site(headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let refused = || Err(ApiError::forbidden("Requests from pages of other sites are refused"));
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return refused();
    }
    let Some(origin) = text("origin") else {
        return Ok(());
    };
    let origin_host = origin.split_once("://").map_or("", |(_, host)| host);
    if origin_host.is_empty()
        || !host_of(headers, uri).is_some_and(|host| host.eq_ignore_ascii_case(origin_host))
    {
        return refused();
    }
    Ok(())
}

async fn authenticate(api: &Api, headers: &HeaderMap, client_ip: &str) -> Result<Actor, ApiError> {
    match credentials::read(headers).map_err(ApiError::unauthorized)? {
        None => Err(ApiError::unauthorized(
            "Credentials are required: Basic name and password, or a Bearer token",
        )),
        Some(Credentials::Basic { name, password }) => {
            Ok(api.verified.login(&*api.backend, &name, &password, client_ip).await?)
        }
        Some(Credentials::Bearer(token)) => {
            // A token has too much entropy to be guessed and its hash is found by a map: no slow check, no limiter.
            let state = api.backend.state();
            let found = state.tokens.get(&hex(&Sha256::digest(&token)));
            let alive = found.filter(|t| t.expires_at.is_none_or(|at| at > api.backend.now()));
            let token = alive.ok_or_else(|| ApiError::unauthorized("The token is unknown or has expired"))?;
            Ok(Actor::Token { name: token.name.clone(), role: token.role })
        }
    }
}

/// One client's key must not find another's answer, so the actor is part of the id.
fn request_id(headers: &HeaderMap, actor: &Actor) -> Result<Option<RequestId>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let message = format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    }
    let who = match actor {
        Actor::System => "system:",
        Actor::Claimant => "claimant:",
        Actor::User { name, .. } => &format!("user:{name}:"),
        Actor::Token { name, .. } => &format!("token:{name}:"),
    };
    Ok(Some(short_digest(who, key.as_bytes())))
}

fn short_digest(prefix: &str, text: &[u8]) -> RequestId {
    let digest = Sha256::new_with_prefix(prefix).chain_update(text).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    RequestId(u128::from_be_bytes(id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The host a request names, for links back to us: HTTP/2 has it in the URI.
pub fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    named.map(str::to_owned).or_else(|| uri.authority().map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_and_programs_may_ask() {
        let check = |pairs: &[(&'static str, &str)], allowed: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a header"));
            }
            assert_eq!(
                refuse_cross_site(&headers, &Uri::from_static("/v2/apps")).is_ok(),
                allowed,
                "{pairs:?}"
            );
        };
        check(&[("host", "10.0.0.1:8080")], true);
        check(&[("host", "10.0.0.1:8080"), ("sec-fetch-site", "none")], true);
        check(&[("host", "10.0.0.1:8080"), ("sec-fetch-site", "same-origin")], true);
        check(&[("host", "10.0.0.1:8080"), ("sec-fetch-site", "cross-site")], false);
        check(&[("host", "10.0.0.1:8080"), ("sec-fetch-site", "same-site")], false);
        check(&[("host", "10.0.0.1:8080"), ("origin", "http://10.0.0.1:8080")], true);
        check(&[("host", "10.0.0.1:8080"), ("origin", "http://10.0.0.1")], false);
        check(&[("host", "10.0.0.1:8080"), ("origin", "https://evil.example")], false);
        check(&[("host", "10.0.0.1:8080"), ("origin", "null")], false);
    }

    #[test]
    fn the_key_and_the_actor_make_the_request_id() {
        let user = |name: &str| Actor::User { name: name.into(), role: model::auth::Role::Administrator };
        let id = |key: &str, actor: &Actor| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", key.parse().expect("a header"));
            request_id(&headers, actor)
        };
        assert_eq!(id("a", &user("x")), id("a", &user("x")));
        assert_ne!(id("a", &user("x")), id("a", &user("y")));
        assert_ne!(id("a", &user("x")), id("b", &user("x")));
        assert!(id(&"k".repeat(200), &user("x")).is_ok());
        assert!(id(&"k".repeat(201), &user("x")).is_err());
        assert_eq!(request_id(&HeaderMap::new(), &user("x")), Ok(None));
    }
}
