//! GET and POST /meseta/v1/recover: what giving up a lost majority would cost, and doing it.

use axum::Json;
use axum::extract::{Extension, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::{Prospects, RecoverError, Recovery};
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body::{self, Text};
use crate::api::error::{ApiError, PathErrors};

pub async fn prospects(Extract(api): Extract<Api>) -> Result<Json<Prospects>, ApiError> {
    Ok(Json(api.backend.prospects().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The name of the node that is to go on alone.
    confirm: String,
}

/// The node starts anew; the answer comes before that.
pub async fn recover(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    let Wish { confirm } = body::json(&text)?;
    let Caller { actor, origin, .. } = caller;
    api.backend.recover(Recovery { confirm, actor, origin }).await?;
    let message = "the majority is given up; this node starts anew and goes on alone";
    Ok((StatusCode::ACCEPTED, Json(json!({ "message": message }))).into_response())
}

impl From<RecoverError> for ApiError {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Alone | RecoverError::NoLog | RecoverError::MajorityAnswers => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            RecoverError::NotConfirmed { .. } => {
                Self::invalid(vec![PathErrors { path: "/confirm".into(), errors: vec![error.to_string()] }])
            }
            RecoverError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
