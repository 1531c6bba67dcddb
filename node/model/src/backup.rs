//! What the cluster remembers of its backups.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How a backup went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupNote {
    /// Set when the note is applied.
    pub at: Timestamp,
    /// The last change that is in it.
    pub index: u64,
    /// Of the file.
    pub bytes: u64,
    /// Whether passwords, tokens and secrets are in it.
    pub secrets: bool,
    /// Made by the schedule, not asked for by a person.
    #[serde(default)]
    pub scheduled: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Backups that the cluster makes by itself, to the disk of the node that leads.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub every_hours: u32,
    /// How many are kept on each node.
    pub keep: u32,
    /// Without one, accounts, tokens and secrets are left out.
    pub passphrase: Option<String>,
}

// A passphrase does not appear in logs, panics or assertion messages.
impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { every_hours, keep, passphrase } = self;
        write!(f, "Schedule(every {every_hours} h, keep {keep}, locked {})", passphrase.is_some())
    }
}
