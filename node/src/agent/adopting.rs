//! The effect around `peers::adoption`: this node takes in another, or is taken in.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use bytes::Bytes;
use console::adoption::{AdoptError, Adoptable, Adoption, Begin, Begun, Finish, Finished, Identity};
use console::{Invitation, JoinError};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use model::{Command, Origin};
use rand::Rng;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::backend::NodeBackend;
use super::{joining, roster};
use crate::api::clock::monotonic_ms;
use crate::peers::adoption::{Asking, FORMAT, Fault, Shared};
use crate::peers::key::fingerprint;
use crate::peers::token::Token;

/// For an answer; the last one comes only after the node has joined.
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long an exchange may rest half done.
const SESSION_MS: u64 = 60_000;
/// How long the token that is handed over lets in, if the answer of the node is lost.
const TOKEN_MS: u64 = 300_000;
const JOINED: &str = "joined";

// === The member ===

/// Takes in the node at `adoption.address` if the code is the one on its screen.
pub async fn adopt(backend: &NodeBackend, adoption: Adoption) -> Result<(), AdoptError> {
    let Adoption { address, code, actor, origin } = adoption;
    let state = backend.cluster.state();
    let authority = roster::authority_fingerprint(&state).map_err(AdoptError::Invite)?;
    let identity: Identity = call(address, Method::GET, "", None).await?;
    let (asking, begin) = Asking::begin(&code, &authority, &identity.key);
    let begun: Begun = call(address, Method::POST, "/begin", Some(to_json(&begin)?)).await?;
    if begun.format != FORMAT {
        return Err(AdoptError::Odd(Fault::Format(begun.format).to_string()));
    }
    let name = format!("adopts {address} {:08x}", rand::rng().random::<u32>());
    let invitation = Invitation {
        name: name.clone(),
        uses: 1,
        expires_at: backend.cluster.now().plus_ms(TOKEN_MS),
        actor: actor.clone(),
        origin: origin.clone(),
    };
    let token = roster::invite(backend, invitation).await.map_err(AdoptError::Invite)?;
    let outcome = hand_over(address, asking, &begun, &token).await;
    // Used or not, it has done its work. If it stays it expires.
    let revoke = Command::DeleteJoinToken { name };
    let proposal =
        cluster::Proposal { actor, origin, request_id: None, expected_version: None, command: revoke };
    if let Err(error) = backend.submit(proposal).await {
        tracing::warn!(%error, "the token of an adoption stays until it expires");
    }
    match outcome?.as_str() {
        JOINED => Ok(()),
        reason => Err(AdoptError::NotJoined(reason.to_owned())),
    }
}

async fn hand_over(
    address: SocketAddr,
    asking: Asking,
    begun: &Begun,
    token: &str,
) -> Result<String, AdoptError> {
    let odd = |fault: Fault| AdoptError::Odd(fault.to_string());
    let (shared, finish) = asking.finish(begun, token).map_err(odd)?;
    let finished: Finished = call(address, Method::POST, "/finish", Some(to_json(&finish)?)).await?;
    shared.open_outcome(&finished).map_err(|_| AdoptError::WrongCode)
}

fn to_json(message: &impl serde::Serialize) -> Result<Bytes, AdoptError> {
    serde_json::to_vec(message).map(Bytes::from).map_err(|error| AdoptError::Odd(error.to_string()))
}

/// One question to the node's API, without TLS: what is secret in it is sealed.
async fn call<T: DeserializeOwned>(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<T, AdoptError> {
    let unreachable = |error: &dyn std::fmt::Display| AdoptError::Unreachable(error.to_string());
    let exchange = async {
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        // It ends with the answer.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to an unclaimed node ended");
            }
        });
        let request = Request::builder()
            .method(method)
            .uri(format!("/meseta/v1/adopt{path}"))
            .header(HOST, address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| AdoptError::Odd(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, wait, body.map_err(|error| AdoptError::Odd(error.to_string()))?.to_bytes()))
    };
    let late = || AdoptError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
    let (status, wait, body) = timeout(PATIENCE, exchange).await.map_err(|_| late())??;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| AdoptError::Odd(error.to_string()));
    }
    Err(refusal(status, wait, &body))
}

fn refusal(status: StatusCode, wait: Option<u64>, body: &[u8]) -> AdoptError {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let said: String = body["message"].as_str().unwrap_or_default().chars().take(200).collect();
    match status {
        StatusCode::FORBIDDEN => AdoptError::WrongCode,
        StatusCode::CONFLICT => AdoptError::AlreadyClaimed,
        StatusCode::TOO_MANY_REQUESTS => AdoptError::TooManyTries { seconds: wait.unwrap_or(1) },
        StatusCode::NOT_FOUND => AdoptError::Odd("it is no node of this kind".to_owned()),
        status => AdoptError::Odd(format!("{status} {said}")),
    }
}

// === The node that is taken in ===

/// The exchange under way; another one takes its place.
#[derive(Default)]
pub struct Adoptee(Mutex<Option<Session>>);

struct Session {
    id: String,
    /// As the member says; it is part of the key.
    authority: String,
    shared: Shared,
    until_ms: u64,
}

#[async_trait::async_trait]
impl Adoptable for NodeBackend {
    fn identity(&self) -> Result<Identity, JoinError> {
        joining::is_free(self)?;
        Ok(Identity { key: fingerprint(&self.joining.key) })
    }

    /// Each exchange is a guess at the code.
    fn begin(&self, begin: &Begin, origin: &Origin) -> Result<Begun, JoinError> {
        joining::is_free(self)?;
        self.claim.take_try(&origin.client_ip).map_err(|seconds| JoinError::TooManyTries { seconds })?;
        let key = fingerprint(&self.joining.key);
        let (shared, half) = Shared::answer(self.claim.code(), &key, begin)
            .map_err(|fault| JoinError::BadToken(fault.to_string()))?;
        let id = format!("{:032x}", rand::rng().random::<u128>());
        let until_ms = monotonic_ms() + SESSION_MS;
        let authority = begin.authority.clone();
        let mut session = self.adoptee.0.lock().unwrap_or_else(PoisonError::into_inner);
        *session = Some(Session { id: id.clone(), authority, shared, until_ms });
        Ok(Begun { format: FORMAT, session: id, half })
    }

    async fn finish(&self, finish: &Finish, origin: &Origin) -> Result<Finished, JoinError> {
        joining::is_free(self)?;
        let session = {
            let mut session = self.adoptee.0.lock().unwrap_or_else(PoisonError::into_inner);
            session.take_if(|session| session.id == finish.session)
        };
        let session = session.filter(|session| session.until_ms > monotonic_ms());
        let session =
            session.ok_or_else(|| JoinError::BadToken("the exchange has ended; begin anew".into()))?;
        let token = session.shared.open_token(finish).map_err(|_| JoinError::WrongCode)?;
        self.claim.forgive(&origin.client_ip);
        let outcome = match Token::parse(&token) {
            Ok(token) if token.authority != session.authority => {
                Err("the token is of another cluster".into())
            }
            Ok(token) => joining::take_in(self, &token, origin).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Ok(session.shared.seal_outcome(outcome.as_ref().err().map_or(JOINED, String::as_str)))
    }
}
