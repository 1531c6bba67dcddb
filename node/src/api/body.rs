//! Reads request bodies, never more than the limit, whatever `Content-Type` says.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::limits::REQUEST_BODY_BYTES_MAX;

use super::error::ApiError;

/// What is read of a body that is refused for its announced length.
const DRAINED_BYTES_MAX: usize = 16 * REQUEST_BODY_BYTES_MAX;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A whole body as UTF-8 text, at most [`REQUEST_BODY_BYTES_MAX`] bytes.
#[derive(Debug)]
pub struct Text(pub String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > REQUEST_BODY_BYTES_MAX) {
            drain(request.into_body()).await;
            return Err(ApiError::too_large(REQUEST_BODY_BYTES_MAX));
        }
        let bytes = read(request.into_body()).await?;
        let text = String::from_utf8(bytes.into());
        text.map(Self).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            ApiError::syntax(format!("byte {at} of the body is not UTF-8"))
        })
    }
}

/// Takes what a client still sends of a body that is refused, within bounds: a connection that is closed on unread bytes
/// is reset, and many clients then never see the answer.
async fn drain(mut body: Body) {
    let all = async {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Whoever is slower than this has his answer cut off.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, all).await;
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, REQUEST_BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(REQUEST_BODY_BYTES_MAX)),
        Err(error) => Err(ApiError::bad_request(format!("The request body ended early: {error}"))),
    }
}

/// A body of one of our own small shapes, e.g. `{"ids": […]}`.
pub fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::invalid(vec![super::error::PathErrors {
            path: "/".into(),
            errors: vec![error.to_string()],
        }]),
        _ => ApiError::syntax(error.to_string()),
    })
}
