//! The front doors before the cluster's state is open: pages tell how far the start is, programs get 503. Then the same
//! doors lead to the real router; connections that are open by then go on.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;
use tower::ServiceExt;

/// Sets what the doors lead to from now on.
pub type Ready = watch::Sender<Option<Router>>;

/// A router that answers by itself until the other half is given the real one.
pub fn doors(progress: console::Progress) -> (Ready, Router) {
    let (ready, opened) = watch::channel(None::<Router>);
    let page = console::starting(progress);
    let answer = move |request: Request| {
        let router = opened.borrow().clone();
        let page = page.clone();
        async move {
            match router {
                Some(router) => infallible(router.oneshot(request).await),
                None if wants_page(request.headers()) || request.uri().path().starts_with("/assets/") => {
                    infallible(page.oneshot(request).await)
                }
                None => not_yet(),
            }
        }
    };
    (ready, Router::new().fallback(answer))
}

fn infallible(answer: Result<Response, std::convert::Infallible>) -> Response {
    match answer {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"))
}

fn not_yet() -> Response {
    let message =
        json!({ "message": "This node is starting: its part of the cluster's state is not open yet" });
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], axum::Json(message)).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    async fn status(doors: &Router, path: &str, accept: &str) -> StatusCode {
        let request = Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap();
        doors.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn the_same_doors_lead_to_the_real_router_once_there_is_one() {
        let (ready, doors) = doors(Arc::new(Vec::new));
        for (path, accept) in [("/ping", "*/*"), ("/v2/apps", "application/json"), ("/", "text/html")] {
            assert_eq!(status(&doors, path, accept).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        ready.send_replace(Some(Router::new().route("/ping", get(|| async { "pong" }))));
        assert_eq!(status(&doors, "/ping", "*/*").await, StatusCode::OK);
        assert_eq!(status(&doors, "/else", "text/html").await, StatusCode::NOT_FOUND);
    }
}
