//! An unclaimed node taken into another cluster: by a person who has its code and a token of that cluster, or by a token
//! that the machine's settings bring.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use console::JoinError;
use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use model::Origin;
use tokio_util::sync::CancellationToken;

use super::backend::NodeBackend;
use super::init_link::InitLink;
use crate::init::protocol::ToInit;
use crate::peers::join::{self, Newcomer};
use crate::peers::key::PublicKey;
use crate::peers::token::Token;

/// Wait after no member could be reached: links come up late.
const RETRY: Duration = Duration::from_secs(5);
/// Room for a few events of the folder; what they say is not looked at.
const EVENT_BUFFER_BYTES: usize = 4_096;

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

/// Joins by the token in `file`, which a seed disk may bring at any time, unless somebody claims this node before. Ends
/// once it belongs to a cluster.
pub async fn by_settings(backend: Arc<NodeBackend>, file: PathBuf, init: InitLink) {
    let events = file.parent().map(arrivals);
    let mut events = match events.transpose() {
        Ok(Some(events)) => events,
        Ok(None) => return,
        Err(error) => return tracing::error!(%error, "join tokens of the settings are not seen"),
    };
    let origin = Origin { client_ip: String::new(), uri: "settings".to_owned() };
    // What was refused once is not asked for again, whatever else comes into the folder.
    let mut refused = None;
    while is_free(&backend).is_ok() {
        let token = match read(&file) {
            Ok(token) => token,
            Err(reason) => {
                told(&init, &reason).await;
                None
            }
        };
        if let Some(token) = token.filter(|token| refused.as_ref() != Some(token)) {
            match take_in(&backend, &token, &origin).await {
                Ok(()) => return,
                Err(error) => {
                    told(&init, &error.to_string()).await;
                    if matches!(error, JoinError::Unreachable(_)) {
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                    refused = Some(token);
                }
            }
        }
        if events.next().await.is_none() {
            return;
        }
    }
}

/// What comes into `folder`.
fn arrivals(folder: &Path) -> io::Result<inotify::EventStream<Vec<u8>>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(folder, WatchMask::CREATE | WatchMask::MOVED_TO)?;
    inotify.into_event_stream(vec![0; EVENT_BUFFER_BYTES])
}

/// `None` while there is none.
fn read(file: &Path) -> Result<Option<Token>, String> {
    match std::fs::read_to_string(file) {
        Ok(line) => Token::parse(&line).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// On the machine's screen and in its log.
async fn told(init: &InitLink, reason: &str) {
    tracing::warn!(reason, "not joined by the settings' token");
    let name = "joining a cluster".to_owned();
    init.send(ToInit::Phase { name, done: false, note: reason.to_owned() }).await;
}
