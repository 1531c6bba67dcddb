//! Taking in unclaimed nodes: what a person asks of a member, and what a member asks of the node (`peers::adoption`).

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{Extension, FromRequest, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use console::JoinError;
use console::adoption::{
    AdoptError, Adoptable, Adoption, Begin, Begun, CONSOLE_PORT, Finish, Finished, Identity,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::auth::{Caller, caller_without_login};
use crate::api::body::{self, Text};
use crate::api::error::ApiError;

/// GET /meseta/v1/unclaimed-nodes
pub async fn list(Extract(api): Extract<Api>) -> Json<Value> {
    Json(json!({ "nodes": api.backend.unclaimed() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    address: IpAddr,
    #[serde(default = "port")]
    port: u16,
    code: String,
}

fn port() -> u16 {
    CONSOLE_PORT
}

/// POST /meseta/v1/unclaimed-nodes
pub async fn adopt(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    let Wish { address, port, code } = body::json(&text)?;
    let (actor, origin) = (caller.actor.clone(), caller.origin.clone());
    let adoption = Adoption { address: SocketAddr::new(address, port), code, actor, origin };
    api.backend.adopt(adoption).await.map_err(refusal)?;
    Ok((StatusCode::CREATED, Json(json!({ "adopted": address }))).into_response())
}

fn refusal(error: AdoptError) -> ApiError {
    let message = error.to_string();
    match error {
        AdoptError::WrongCode => ApiError::forbidden(message),
        AdoptError::TooManyTries { seconds } => ApiError::too_many_tries(message, seconds),
        AdoptError::AlreadyClaimed => ApiError::new(StatusCode::CONFLICT, message),
        AdoptError::Unreachable(_) | AdoptError::Odd(_) | AdoptError::NotJoined(_) => {
            ApiError::new(StatusCode::BAD_GATEWAY, message)
        }
        AdoptError::Invite(console::InviteError::Rejected(reject)) => reject.into(),
        AdoptError::Invite(console::InviteError::Unavailable(unavailable)) => unavailable.into(),
    }
}

// === Before any login ===

fn adoptable(api: &Api) -> Result<&dyn Adoptable, ApiError> {
    let absent = || JoinError::Failed("this node cannot be taken in".to_owned());
    Ok(api.backend.adoptable().ok_or_else(absent)?)
}

/// GET /meseta/v1/adopt
pub async fn identity(Extract(api): Extract<Api>) -> Result<Json<Identity>, ApiError> {
    Ok(Json(adoptable(&api)?.identity()?))
}

/// POST /meseta/v1/adopt/begin
pub async fn begin(Extract(api): Extract<Api>, request: Request) -> Result<Json<Begun>, ApiError> {
    let origin = caller_without_login(&request)?;
    let Text(text) = Text::from_request(request, &()).await?;
    let begin: Begin = body::json(&text)?;
    Ok(Json(adoptable(&api)?.begin(&begin, &origin)?))
}

/// POST /meseta/v1/adopt/finish. The node starts anew as a member; the answer comes before that.
pub async fn finish(Extract(api): Extract<Api>, request: Request) -> Result<Json<Finished>, ApiError> {
    let origin = caller_without_login(&request)?;
    let Text(text) = Text::from_request(request, &()).await?;
    let finish: Finish = body::json(&text)?;
    Ok(Json(adoptable(&api)?.finish(&finish, &origin).await?))
}
