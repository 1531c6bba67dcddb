//! Backups of the cluster, and this node's beginning from one.

use std::sync::Arc;

use console::{
    Backend, BackupError, BackupFile, BackupWish, ClaimError, Request, Restoration, RestoreError, Unavailable,
};
use model::auth::{Actor, Role, SessionKey, User};
use model::backup::{BackupNote, Key};
use model::command::Reject;
use model::{ClusterId, Command, State, limits};
use tokio::sync::Mutex;

use super::backend::{ADMINISTRATOR, NodeBackend};
use crate::api::auth::password;
use crate::backup::file::{self, ReadError};
use crate::backup::seal::{self, Lock};

/// Of the files' names.
const EXTENSION: &str = ".backup";
const NO_KEY: &str = "no key could be made of the passphrase";
/// A key takes 19 MiB to make, and a state may be large: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub async fn make(backend: &NodeBackend, wish: BackupWish) -> Result<BackupFile, BackupError> {
    let lengths = limits::PASSPHRASE_BYTES_MIN..=limits::PASSPHRASE_BYTES_MAX;
    if wish.passphrase.as_ref().is_some_and(|passphrase| !lengths.contains(&passphrase.len())) {
        return Err(BackupError::BadPassphrase);
    }
    let state = match wish.stale {
        true => backend.state(),
        false => backend.read().await.map_err(BackupError::Unavailable)?,
    };
    let secrets = wish.passphrase.is_some();
    let locker = wish.passphrase.clone().map_or(Locker::None, Locker::Passphrase);
    let made = write(state.clone(), locker).await;
    let note = BackupNote {
        at: state.now,
        index: state.index,
        bytes: made.as_ref().map_or(0, |bytes| bytes.len() as u64),
        secrets,
        error: made.as_ref().err().cloned(),
        ..BackupNote::default()
    };
    tracing::info!(actor = ?wish.actor, client = wish.origin.client_ip, ?note, "a backup");
    // Without a majority there is nobody to remember it.
    if !wish.stale {
        remember(backend, wish, note).await;
    }
    let name = name(&state);
    made.map(|bytes| BackupFile { name, bytes }).map_err(BackupError::Failed)
}

/// What a file is locked with.
pub enum Locker {
    None,
    Passphrase(String),
    Key(Key),
}

pub async fn write(state: Arc<State>, locker: Locker) -> Result<Vec<u8>, String> {
    let work = move || {
        let lock = match &locker {
            Locker::None => None,
            Locker::Passphrase(text) => {
                Some(Lock::of_passphrase(text, rand::random(), rand::random()).ok_or(NO_KEY)?)
            }
            Locker::Key(key) => Some(Lock::of_key(key, rand::random())),
        };
        file::write(&state, lock.as_ref()).map_err(|error| error.to_string())
    };
    alone(work).await.flatten()
}

/// The key of a schedule, with fresh salt.
pub async fn key(passphrase: String) -> Result<Key, String> {
    alone(move || seal::key(&passphrase, rand::random()).ok_or_else(|| NO_KEY.to_owned())).await.flatten()
}

/// `Err` if it dies.
async fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let _one = ONE_AT_A_TIME.lock().await;
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// The file is good without it.
async fn remember(backend: &NodeBackend, wish: BackupWish, note: BackupNote) {
    let command = Command::NoteBackup { note };
    let BackupWish { actor, origin, .. } = wish;
    let request = Request { actor, origin, request_id: None, expected_version: None, command };
    match backend.propose(request).await {
        Ok(applied) => {
            if let Err(reject) = applied.result {
                tracing::warn!(%reject, "the backup is not remembered");
            }
        }
        Err(error) => tracing::warn!(%error, "the backup is not remembered"),
    }
}

/// Sorts by time, and holds nothing that a file system may not have in a name.
pub fn name(state: &State) -> String {
    let at: String = state.now.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    format!("{}{at}{EXTENSION}", stem(state))
}

/// What the names of all files of this cluster begin with.
pub fn stem(state: &State) -> String {
    format!("meseta-{}-", state.cluster.map(|id| id.to_string()).unwrap_or_default())
}

/// Whether `name` is one that [`name`] gave to a file of the cluster with that stem.
pub fn is_name(name: &str, stem: &str) -> bool {
    let at = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(EXTENSION));
    at.is_some_and(|at| !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The code is looked at first: without it nobody learns anything of the file, nor keeps the node busy with it.
pub async fn restore(backend: &NodeBackend, wish: Restoration) -> Result<(), RestoreError> {
    let _one_at_a_time = backend.joining.lock.lock().await;
    if backend.cluster.state().is_claimed() || backend.joining.joined.is_cancelled() {
        return Err(RestoreError::AlreadyClaimed);
    }
    backend.claim.check(&wish.code, &wish.origin.client_ip).map_err(|error| match error {
        ClaimError::TooManyTries { seconds } => RestoreError::TooManyTries { seconds },
        _ => RestoreError::WrongCode,
    })?;
    let admin = administrator(backend, &wish.password).await?;
    let Restoration { passphrase, file, origin, .. } = wish;
    let backup = read(file, passphrase).await?;
    if admin.is_none() && backup.users.is_empty() {
        return Err(RestoreError::PasswordMissing);
    }
    let key: [u8; 32] = rand::random();
    let command = Command::Restore {
        cluster: ClusterId(rand::random()),
        backup: Box::new(backup),
        admin,
        session_key: SessionKey(key.iter().map(|byte| format!("{byte:02x}")).collect()),
    };
    let request =
        Request { actor: Actor::Claimant, origin, request_id: None, expected_version: None, command };
    match backend.propose(request).await.map_err(RestoreError::Unavailable)?.result {
        Ok(_) => Ok(()),
        Err(Reject::AlreadyClaimed) => Err(RestoreError::AlreadyClaimed),
        Err(Reject::FeatureLevel { .. }) => {
            let reason = "this node has not come up all the way; try again in a moment";
            Err(RestoreError::Unavailable(Unavailable::Failed(reason.to_owned())))
        }
        Err(other) => Err(RestoreError::BadFile(other.to_string())),
    }
}

async fn administrator(backend: &NodeBackend, password: &str) -> Result<Option<User>, RestoreError> {
    if password.is_empty() {
        return Ok(None);
    }
    if !(limits::PASSWORD_BYTES_MIN..=limits::PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Err(RestoreError::BadPassword);
    }
    let failed =
        |error: password::HashError| RestoreError::Unavailable(Unavailable::Failed(error.to_string()));
    let password_hash = password::hash_password(password.to_owned()).await.map_err(failed)?;
    let (name, role) = (ADMINISTRATOR.to_owned(), Role::Administrator);
    Ok(Some(User { name, password_hash, role, created_at: backend.cluster.now() }))
}

async fn read(file: Vec<u8>, passphrase: String) -> Result<State, RestoreError> {
    let work = move || {
        let passphrase = Some(passphrase.as_str()).filter(|text| !text.is_empty());
        file::read(&file, passphrase)
    };
    let read = alone(work).await.map_err(|error| RestoreError::Unavailable(Unavailable::Failed(error)))?;
    read.map(|(_, state)| state).map_err(|error| match error {
        ReadError::Locked => RestoreError::PassphraseMissing,
        ReadError::WrongPassphrase => RestoreError::WrongPassphrase,
        other => RestoreError::BadFile(other.to_string()),
    })
}
