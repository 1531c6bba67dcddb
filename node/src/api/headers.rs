//! The headers of every answer.

use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

use super::Api;

const LEADER: HeaderName = HeaderName::from_static("x-marathon-leader");

/// Nothing may be cached or framed; `X-Marathon-Leader` names the leader's plain API.
pub async fn add(Extract(api): Extract<Api>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "0"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_XSS_PROTECTION, "1; mode=block"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let leader = api
        .backend
        .leader()
        .and_then(|leader| HeaderValue::try_from(format!("http://{}", leader.address)).ok());
    if let Some(leader) = leader {
        headers.insert(LEADER, leader);
    }
    response
}
