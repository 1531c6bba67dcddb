//! `/claim/restore`: a blank node begins from a backup that is sent to it.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::claim;
use crate::context::{Context, status_of};
use crate::multipart::{BACKUP_FORM_BYTES_MAX, Form, FormError};
use crate::{Restoration, RestoreError, session, strings as t};

pub async fn form() -> Redirect {
    Redirect::to("/claim")
}

/// On success the accounts are those of the backup: the person logs in with one of them.
pub async fn submit(context: Context, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut form = match Form::read(&parts.headers, body, BACKUP_FORM_BYTES_MAX).await {
        Ok(form) => form,
        Err(error) => {
            let status = match error {
                // Whatever this is, no page of ours sent it.
                FormError::NoForm | FormError::Malformed => {
                    return context.problem(StatusCode::FORBIDDEN, t::STALE_FORM, t::STALE_FORM_TEXT);
                }
                FormError::Slow => StatusCode::REQUEST_TIMEOUT,
                FormError::Busy => StatusCode::SERVICE_UNAVAILABLE,
                FormError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            };
            return context.problem(status, t::BAD_FORM, crate::view::words::sentence(&error.to_string()));
        }
    };
    if !session::is_masked(form.text("csrf"), &context.visit.csrf) {
        return context.problem(StatusCode::FORBIDDEN, t::STALE_FORM, t::STALE_FORM_TEXT);
    }
    let code = form.text("code").trim().to_owned();
    let restoration = Restoration {
        passphrase: form.text("passphrase").to_owned(),
        password: form.text("password").to_owned(),
        file: form.take("file"),
        code: code.clone(),
        origin: context.origin(),
    };
    match context.backend.restore(restoration).await {
        Ok(()) => Redirect::to("/login").into_response(),
        Err(error) => (status(&error), claim::not_restored(&context, &code, &error)).into_response(),
    }
}

fn status(error: &RestoreError) -> StatusCode {
    match error {
        RestoreError::WrongCode => StatusCode::FORBIDDEN,
        RestoreError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
        RestoreError::AlreadyClaimed => StatusCode::CONFLICT,
        RestoreError::Unavailable(error) => status_of(error),
        RestoreError::BadPassword
        | RestoreError::PasswordMissing
        | RestoreError::PassphraseMissing
        | RestoreError::WrongPassphrase
        | RestoreError::BadFile(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
