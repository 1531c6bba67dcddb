//! Every refusal of the HTTP APIs, in the words and shapes that Marathon's clients key on.
//!
//! Handlers return `Result<_, ApiError>`; nothing else in the API writes an error body.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use console::{ClaimError, JoinError, LoginError, SandboxError, Unavailable};
use model::{DeploymentId, Reject};
use serde::Serialize;

/// A refusal: status, body and the few headers that belong to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub status: StatusCode,
    pub body: ErrorBody,
    retry_after_s: Option<u64>,
    challenge: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorBody {
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<DeploymentRef>,
}

/// A sentence when the body is not JSON at all, else a list of faults.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Details {
    Text(String),
    Faults(Vec<PathErrors>),
}

/// All faults of one place, e.g. `/upgradeStrategy/minimumHealthCapacity`; the whole object is `/`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathErrors {
    pub path: String,
    pub errors: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentRef {
    pub id: DeploymentId,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let body = ErrorBody { message: message.into(), details: None, deployments: Vec::new() };
        Self { status, body, retry_after_s: None, challenge: false }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub fn no_app(id: &str) -> Self {
        Self::not_found(format!("App '{id}' does not exist"))
    }

    pub fn no_task(id: &str) -> Self {
        Self::not_found(format!("Task '{id}' does not exist"))
    }

    /// The body is not JSON; `text` says where and what was expected.
    pub fn syntax(text: String) -> Self {
        let mut error = Self::bad_request("Invalid JSON");
        error.body.details = Some(Details::Text(text));
        error
    }

    /// The body is JSON, but breaks rules: all of them at once.
    pub fn invalid(faults: Vec<PathErrors>) -> Self {
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Object is not valid");
        error.body.details = Some(Details::Faults(faults));
        error
    }

    pub fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The request body is larger than {limit} bytes"))
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    }

    /// 401 with the challenge that makes browsers and clients send credentials.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self { challenge: true, ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }

    pub fn too_many_tries(message: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }
}

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        match error {
            Unavailable::NoSpace(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
            Unavailable::TooLarge { limit } => Self::too_large(limit),
            Unavailable::NoLeader(_) | Unavailable::Unknown | Unavailable::Failed(_) => {
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<Reject> for ApiError {
    fn from(reject: Reject) -> Self {
        let message = reject.to_string();
        match reject {
            Reject::AppLocked { deployments } => {
                let mut error = Self::new(StatusCode::CONFLICT, message);
                error.body.deployments = deployments.into_iter().map(|id| DeploymentRef { id }).collect();
                error
            }
            Reject::AlreadyClaimed
            | Reject::AppExists { .. }
            | Reject::VersionMoved { .. }
            | Reject::FeatureLevel { .. }
            | Reject::StalePlan { .. } => Self::new(StatusCode::CONFLICT, message),
            Reject::AppUnknown { .. } | Reject::NodeUnknown { .. } => Self::not_found(message),
            Reject::NotClaimed => Self::forbidden(message),
            // Marathon's answer to max_running_deployments; other limits are faults of the request.
            Reject::Limit { ref what, .. } if what.contains("deployment") => Self::forbidden(message),
            Reject::Limit { .. } => {
                Self::invalid(vec![PathErrors { path: "/".into(), errors: vec![message] }])
            }
            Reject::Invalid { path, message } => {
                Self::invalid(vec![PathErrors { path, errors: vec![message] }])
            }
        }
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::unauthorized(error.to_string()),
            LoginError::TooManyTries { seconds } => Self::too_many_tries(error.to_string(), seconds),
        }
    }
}

impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::WrongCode => Self::forbidden(error.to_string()),
            ClaimError::TooManyTries { seconds } => Self::too_many_tries(error.to_string(), seconds),
            ClaimError::AlreadyClaimed => Self::new(StatusCode::CONFLICT, error.to_string()),
            ClaimError::BadPassword => {
                Self::invalid(vec![PathErrors { path: "/password".into(), errors: vec![error.to_string()] }])
            }
            ClaimError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        let message = error.to_string();
        match error {
            JoinError::WrongCode | JoinError::Refused(_) => Self::forbidden(message),
            JoinError::TooManyTries { seconds } => Self::too_many_tries(message, seconds),
            JoinError::AlreadyClaimed => Self::new(StatusCode::CONFLICT, message),
            JoinError::BadToken(_) => {
                Self::invalid(vec![PathErrors { path: "/token".into(), errors: vec![message] }])
            }
            JoinError::Unreachable(_) | JoinError::Failed(_) => Self::unavailable(message),
        }
    }
}

impl From<SandboxError> for ApiError {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::NotFound => Self::not_found(error.to_string()),
            SandboxError::Elsewhere(_) => Self::new(StatusCode::MISDIRECTED_REQUEST, error.to_string()),
            SandboxError::Refused(_) => Self::forbidden(error.to_string()),
            SandboxError::Busy => Self::unavailable(error.to_string()),
            SandboxError::Io(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.challenge {
            let basic = HeaderValue::from_static(r#"Basic realm="Meseta", charset="UTF-8""#);
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}
