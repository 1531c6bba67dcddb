//! Addresses, paths and exit codes; talking to a server is tested beside the API.

use super::client::path;
use super::*;
use axum::http::StatusCode;

#[test]
fn urls() {
    for (url, good) in [
        ("http://127.0.0.1:8080", true),
        ("http://localhost:8080/", true),
        ("http://[::1]:8080", true),
        ("http://node1:8080", false),
        ("https://127.0.0.1:8443", false),
        ("127.0.0.1:8080", false),
    ] {
        assert_eq!(Client::new(url, "admin", None).is_ok(), good, "{url}");
    }
}

#[test]
fn ids_stay_in_their_path() {
    assert_eq!(path("/v2/apps", "/prod/db"), "/v2/apps/prod/db");
    assert_eq!(path("/v2/apps", "a?force=true#x y"), "/v2/apps/a%3Fforce%3Dtrue%23x%20y");
}

#[test]
fn exits() {
    let refused = |status| CtlError::Refused { status, message: String::new() }.exit();
    assert_eq!(refused(StatusCode::CONFLICT), Exit::Failure);
    assert_eq!(refused(StatusCode::SERVICE_UNAVAILABLE), Exit::TryAgain);
    assert_eq!(CtlError::Config(String::new()).exit(), Exit::BadConfig);
}
