//! An unclaimed node taken into another cluster by a person who has its code and a token of that cluster.

use std::path::PathBuf;

use console::JoinError;
use model::Origin;
use tokio_util::sync::CancellationToken;

use super::backend::NodeBackend;
use crate::peers::join::{self, Newcomer};
use crate::peers::key::PublicKey;
use crate::peers::token::Token;

pub struct Joining {
    pub key: PublicKey,
    pub port: u16,
    pub state_dir: PathBuf,
    /// Ends the agent, which starts anew as a member.
    pub joined: CancellationToken,
    /// Held while the node is claimed or joins: it can only do one of both.
    pub lock: tokio::sync::Mutex<()>,
}

/// The code is looked at first: without it nobody learns whether a token is good.
pub async fn join(backend: &NodeBackend, code: &str, token: &str, origin: &Origin) -> Result<(), JoinError> {
    is_free(backend)?;
    backend.claim.check(code, &origin.client_ip).map_err(|error| match error {
        console::ClaimError::TooManyTries { seconds } => JoinError::TooManyTries { seconds },
        _ => JoinError::WrongCode,
    })?;
    let token = Token::parse(token).map_err(|error| JoinError::BadToken(error.to_string()))?;
    take_in(backend, &token, origin).await
}

/// An error if this node belongs to a cluster.
pub fn is_free(backend: &NodeBackend) -> Result<(), JoinError> {
    match backend.cluster.state().is_claimed() || backend.joining.joined.is_cancelled() {
        true => Err(JoinError::AlreadyClaimed),
        false => Ok(()),
    }
}

/// Joins, whoever handed the token over.
pub async fn take_in(backend: &NodeBackend, token: &Token, origin: &Origin) -> Result<(), JoinError> {
    let joining = &backend.joining;
    let _one_at_a_time = joining.lock.lock().await;
    is_free(backend)?;
    let addresses = || backend.machine.addresses();
    let newcomer =
        Newcomer { node: backend.machine.node, key: &joining.key, addresses: &addresses, port: joining.port };
    let joined = join::join_once(token, &newcomer, &joining.state_dir).await;
    joined.map_err(|error| match error {
        join::JoinError::Refused(_) => JoinError::Refused(error.to_string()),
        join::JoinError::Unreachable(_) => JoinError::Unreachable(error.to_string()),
        join::JoinError::Odd(_) => JoinError::Failed(error.to_string()),
    })?;
    tracing::info!(client = origin.client_ip, "joined a cluster; starting anew as its member");
    joining.joined.cancel();
    Ok(())
}
