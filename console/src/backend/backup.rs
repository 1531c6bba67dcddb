//! Keeping the cluster's state outside of it, and beginning a cluster from what was kept.

use model::Origin;
use model::auth::Actor;
use model::limits::{PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN};

use super::Unavailable;

/// What a backup is to hold, and who wants it.
#[derive(Debug, Clone)]
pub struct BackupWish {
    /// Without one, passwords, tokens and secrets are left out.
    pub passphrase: Option<String>,
    /// Of what this node has, however old: all there is when the majority is lost.
    pub stale: bool,
    pub actor: Actor,
    pub origin: Origin,
}

/// A file, and what it is best called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    #[error("the passphrase must have {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} characters")]
    BadPassphrase,
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Unavailable(Unavailable),
}

/// A backup for this node, which nobody has claimed. Empty texts are absent.
#[derive(Debug, Clone)]
pub struct Restoration {
    /// This node's own, from its screen.
    pub code: String,
    pub passphrase: String,
    /// Becomes admin's; needed if the backup holds no accounts.
    pub password: String,
    pub file: Vec<u8>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("the claim code is wrong")]
    WrongCode,
    #[error("too many wrong codes; try again in {seconds} s")]
    TooManyTries { seconds: u64 },
    #[error("this node belongs to a cluster already")]
    AlreadyClaimed,
    #[error("the password must have {min} to {max} characters", min = model::limits::PASSWORD_BYTES_MIN, max = model::limits::PASSWORD_BYTES_MAX)]
    BadPassword,
    #[error("the backup holds no passwords: give the one that admin is to have")]
    PasswordMissing,
    #[error("the backup is locked: its passphrase is needed")]
    PassphraseMissing,
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    #[error("{0}")]
    BadFile(String),
    #[error(transparent)]
    Unavailable(Unavailable),
}
