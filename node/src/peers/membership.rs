//! That this node belongs to a cluster, as a file in STATE: needed before the log, which says the same, can be opened.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use cluster::{Assignment, Start};
use model::{ClusterId, NodeId};
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
    /// To be told what happens by those that hold the log, instead of holding it.
    #[serde(default)]
    pub is_worker: bool,
    /// Members that were known when this node came in.
    #[serde(default)]
    pub contacts: Vec<Contact>,
}

/// A member, and where it listens for others, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub node: NodeId,
    pub addresses: Vec<SocketAddr>,
}

impl Membership {
    /// Of the node that began the cluster.
    pub fn first(cluster: ClusterId, certificate: String, authority: String) -> Self {
        let (joined, is_worker, contacts) = (false, false, Vec::new());
        Self { format: FORMAT, cluster, joined, certificate, authority, is_worker, contacts }
    }

    pub fn joined(
        cluster: ClusterId,
        certificate: String,
        authority: String,
        contacts: Vec<Contact>,
    ) -> Self {
        Self { joined: true, contacts, ..Self::first(cluster, certificate, authority) }
    }

    /// How the log is to be opened.
    pub fn start(&self) -> Start {
        match (self.joined, self.is_worker) {
            (_, true) => Start::Work(self.cluster),
            (true, false) => Start::Join(self.cluster),
            (false, false) => Start::Alone,
        }
    }

    /// From the next start on. Who held the log once and gave it up gets it from others, as one that joined.
    pub fn assign(&mut self, assignment: Assignment) {
        self.is_worker = assignment == Assignment::Worker;
        self.joined = true;
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
        let contact = Contact { node: NodeId(1), addresses: vec!["192.0.2.1:7300".parse().unwrap()] };
        let membership = Membership::joined(ClusterId(7), "a".to_owned(), "b".to_owned(), vec![contact]);
        save(dir.path(), &membership).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(membership));
        fs::write(dir.path().join(FILE), "{\"format\":1").unwrap();
        assert!(format!("{:#}", load(dir.path()).unwrap_err()).contains("is damaged"));
    }

    #[test]
    fn what_a_build_before_workers_wrote_holds_the_log() {
        let text =
            r#"{"format":1,"cluster":"0000000000000007","joined":false,"certificate":"a","authority":"b"}"#;
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &Membership::first(ClusterId(7), "a".to_owned(), "b".to_owned())).unwrap();
        let cluster =
            serde_json::from_slice::<serde_json::Value>(&fs::read(dir.path().join(FILE)).unwrap()).unwrap();
        let text = text.replace("\"0000000000000007\"", &cluster["cluster"].to_string());
        fs::write(dir.path().join(FILE), text).unwrap();
        let mut known = load(dir.path()).unwrap().unwrap();
        assert_eq!(known.start(), Start::Alone);
        known.assign(Assignment::Worker);
        assert_eq!(known.start(), Start::Work(ClusterId(7)));
        known.assign(Assignment::Server);
        assert_eq!(known.start(), Start::Join(ClusterId(7)), "its own log is gone");
    }
}
