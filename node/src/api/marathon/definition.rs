//! App definitions at the API's edge: the model's parser and writer with the API's errors.

use model::app::{AppFaults, AppSpec, Update};
use model::{AppId, State};

use crate::api::error::{ApiError, Details, PathErrors};
use axum::http::StatusCode;

/// What serialises as an app's superset JSON.
pub type View<'a> = model::app::AppView<'a>;

pub fn view(spec: &AppSpec) -> View<'_> {
    spec.view()
}

/// The app of a POST body.
pub fn create(text: &str) -> Result<AppSpec, ApiError> {
    AppSpec::parse(text).map_err(refusal)
}

/// What a PUT or PATCH body wants of `id`; with `partial`, what it leaves out stays as in `current`.
pub fn update(text: &str, id: &AppId, current: Option<&AppSpec>, partial: bool) -> Result<Update, ApiError> {
    AppSpec::parse_update(text, current, Some(id), partial).map_err(refusal)
}

/// The apps of a PUT or PATCH of several.
pub fn update_many(state: &State, text: &str, partial: bool) -> Result<Vec<AppSpec>, ApiError> {
    let current = |id: &AppId| state.app(id).map(|app| &*app.spec);
    AppSpec::parse_many(text, current, partial).map_err(refusal)
}

fn refusal(faults: AppFaults) -> ApiError {
    let message = faults.message();
    match faults {
        AppFaults::TooLarge { max, .. } => ApiError::too_large(max),
        AppFaults::Syntax(fault) => ApiError::syntax(fault.to_string()),
        AppFaults::Invalid(faults) => {
            let mut error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message);
            let faults = faults.into_iter().map(|f| PathErrors { path: f.path, errors: f.errors });
            error.body.details = Some(Details::Faults(faults.collect()));
            error
        }
    }
}
