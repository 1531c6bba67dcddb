//! What a browser sees of a node whose cluster state is not open yet: how far it is. The page fetches itself again, so
//! that it becomes the console without a hand and without a script.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};

use crate::context::{Frame, Tab, render};
use crate::view::node::{PhaseBar, phase_bars};
use crate::{BootPhase, assets, guard, strings as t};

/// The boot phases so far.
pub type Progress = Arc<dyn Fn() -> Vec<BootPhase> + Send + Sync>;

#[derive(Template)]
#[template(path = "starting.html")]
struct StartingPage {
    frame: Frame,
    phases: Vec<PhaseBar>,
}

/// Answers every page with 503 and the progress. Style and script are served as ever.
pub fn starting(progress: Progress) -> Router {
    let page = move |uri: Uri| {
        let phases = progress();
        async move { page(&uri, &phases) }
    };
    Router::new()
        .route("/assets/{name}", get(assets::asset))
        .fallback(page)
        .layer(middleware::map_response(|answer: Response| async { guard::finish(answer, None) }))
}

fn page(uri: &Uri, phases: &[BootPhase]) -> Response {
    let frame = Frame {
        title: t::STARTING_TITLE.to_owned(),
        tab: Tab::None,
        who: None,
        csrf: String::new(),
        live: None,
        node_name: String::new(),
        node_path: "/node".to_owned(),
        warning: String::new(),
        product_version: env!("CARGO_PKG_VERSION").to_owned(),
        now: 0,
        theme: "",
        here: uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
        css: assets::css().url(),
        js: assets::js().url(),
    };
    let again = [
        (header::REFRESH, HeaderValue::from_static("1")),
        (header::RETRY_AFTER, HeaderValue::from_static("1")),
    ];
    let page = render(&StartingPage { frame, phases: phase_bars(phases) });
    (StatusCode::SERVICE_UNAVAILABLE, again, page).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn shows_the_phases_and_fetches_itself_again() {
        let phase = BootPhase {
            name: "cluster state".into(),
            start_ms: 10,
            end_ms: None,
            note: "<slow> disk".into(),
        };
        let router = starting(Arc::new(move || vec![phase.clone()]));
        let request = Request::builder().uri("/claim").body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::REFRESH], "1");
        assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let html = String::from_utf8(body.to_vec()).expect("text");
        assert!(html.contains("cluster state") && html.contains("&#60;slow&#62; disk"), "{html}");

        let request = Request::builder().uri(assets::css().url()).body(Body::empty()).expect("a request");
        assert_eq!(router.oneshot(request).await.expect("an answer").status(), StatusCode::OK);
    }
}
