//! Who this node is: drawn once per installation and kept in STATE.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use model::NodeId;
use serde::{Deserialize, Serialize};

use crate::api::auth::code;
use crate::durable;

const FORMAT: u32 = 1;
const FILE: &str = "identity.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    format: u32,
    pub node: NodeId,
    /// What a person must type to claim this node. Kept over restarts, so that a note taken from the screen holds.
    pub claim_code: String,
}

/// Reads the identity, or makes one on a pristine folder. A damaged file is an error: a node that took a new id
/// over an old log would be a stranger with somebody's memory.
pub fn load_or_create(state: &Path) -> anyhow::Result<Identity> {
    fs::create_dir_all(state).with_context(|| format!("making {}", state.display()))?;
    let path = state.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => {
            let identity: Identity =
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
            if identity.format != FORMAT {
                bail!("{} has format {}, this program knows {FORMAT}", path.display(), identity.format);
            }
            Ok(identity)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let identity =
                Identity { format: FORMAT, node: NodeId(rand::random()), claim_code: code::generate() };
            durable::write(&path, &serde_json::to_vec_pretty(&identity)?)
                .with_context(|| format!("writing {}", path.display()))?;
            Ok(identity)
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_drawn_once_and_survives() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        let second = load_or_create(dir.path()).unwrap();
        assert_eq!((first.node, first.claim_code), (second.node, second.claim_code));
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"{\"format\":1,").unwrap();
        let error = format!("{:#}", load_or_create(dir.path()).unwrap_err());
        assert!(error.contains("is damaged"), "{error}");
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"{\"format\":1,");
    }
}
