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
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
