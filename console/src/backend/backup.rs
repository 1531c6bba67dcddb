//! Keeping the cluster's state outside of it, and beginning a cluster from what was kept.

use model::auth::Actor;
use model::backup::{Bucket, Fault, Faults, Locking, Plan, passphrase_fault};
use model::limits::{PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN};
use model::{Command, Origin};

use super::{Backend, Unavailable};

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

/// A schedule of backups as it is asked for, with a passphrase that is kept nowhere.
#[derive(Debug, Clone)]
pub struct PlanWish {
    pub every_hours: u32,
    pub keep: u32,
    pub passphrase: Passphrase,
    /// An empty secret key stays what it is.
    pub bucket: Option<Bucket>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Passphrase {
    /// As before.
    Keep,
    /// The files are not locked, and nothing secret is in them.
    Without,
    New(String),
}

// A passphrase does not appear in logs, panics or assertion messages.
impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Without => "Without",
            Self::New(_) => "New(redacted)",
        })
    }
}

/// Why there is no such schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// All there are.
    Faults(Vec<Fault>),
    Unavailable(Unavailable),
}

impl PlanWish {
    /// What is to be proposed. Takes the time that a key takes to be made.
    pub async fn command(self, backend: &dyn Backend) -> Result<Command, PlanError> {
        let Self { every_hours, keep, passphrase, bucket } = self;
        let (locking, passphrase) = match passphrase {
            Passphrase::Keep => (Locking::Keep, None),
            Passphrase::Without => (Locking::Open, None),
            Passphrase::New(text) => (Locking::Open, Some(text)),
        };
        let mut plan = Plan { every_hours, keep, locking, bucket };
        let checked = plan.schedule(backend.state().backup_schedule.as_ref());
        let mut faults = checked.err().map(|Faults(faults)| faults).unwrap_or_default();
        faults.extend(passphrase.as_deref().and_then(passphrase_fault));
        if !faults.is_empty() {
            return Err(PlanError::Faults(faults));
        }
        if let Some(text) = passphrase {
            plan.locking = Locking::Key(backend.backup_key(text).await.map_err(PlanError::Unavailable)?);
        }
        Ok(Command::PlanBackups { plan: Box::new(plan) })
    }
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
