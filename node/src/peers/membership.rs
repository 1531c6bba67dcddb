//! That this node belongs to a cluster, as a file in STATE: needed before the log, which says the same, can be opened.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use model::ClusterId;
use serde::{Deserialize, Serialize};

use crate::durable;

const FILE: &str = "membership.json";
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    format: u32,
    pub cluster: ClusterId,
    /// Let in by others, so that its log comes from them; else it began the cluster.
    pub joined: bool,
    /// PEM.
    pub certificate: String,
    /// The authority's certificate, PEM.
    pub authority: String,
}

impl Membership {
    /// Of the node that began the cluster.
    pub fn first(cluster: ClusterId, certificate: String, authority: String) -> Self {
        Self { format: FORMAT, cluster, joined: false, certificate, authority }
    }

    pub fn joined(cluster: ClusterId, certificate: String, authority: String) -> Self {
        Self { joined: true, ..Self::first(cluster, certificate, authority) }
    }
}

/// `None` for a node that belongs to no cluster but its own. A damaged file is an error: a member that forgot it would
/// begin a cluster of its own.
pub fn load(state: &Path) -> anyhow::Result<Option<Membership>> {
    let path = state.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let membership: Membership =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    if membership.format != FORMAT {
        bail!("{} has format {}, this program knows {FORMAT}", path.display(), membership.format);
    }
    Ok(Some(membership))
}

pub fn save(state: &Path, membership: &Membership) -> anyhow::Result<()> {
    let path = state.join(FILE);
    let bytes = serde_json::to_vec_pretty(membership)?;
    durable::write(&path, &bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_is_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let membership = Membership::joined(ClusterId(7), "a".to_owned(), "b".to_owned());
        save(dir.path(), &membership).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(membership));
        fs::write(dir.path().join(FILE), "{\"format\":1").unwrap();
        assert!(format!("{:#}", load(dir.path()).unwrap_err()).contains("is damaged"));
    }
}
