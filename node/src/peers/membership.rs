//! That this node belongs to a cluster, as a file in STATE: needed before the log, which says the same, can be opened.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use cluster::{Assignment, Start};
use model::membership::{Authority, Succession};
use model::{ClusterId, NodeId, State};
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
    /// The certificate of the authority that made it, PEM.
    pub authority: String,
    /// Its number: what a state says in which an earlier one certifies is of the past.
    #[serde(default)]
    pub authority_number: u32,
    /// While one authority takes the place of another: the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also_trusted: Option<Trusted>,
    /// To be told what happens by those that hold the log, instead of holding it.
    #[serde(default)]
    pub is_worker: bool,
    /// Members that were known when this node came in.
    #[serde(default)]
    pub contacts: Vec<Contact>,
}

/// An authority as those know it who have not its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    pub number: u32,
    /// PEM.
    pub certificate: String,
}

impl Trusted {
    pub fn of(authority: &Authority) -> Self {
        Self { number: authority.number, certificate: authority.certificate.clone() }
    }

    /// Which is trusted beside the one that certifies.
    pub fn beside(authority: &Authority, succession: &Succession) -> Self {
        match succession {
            Succession::Trust { next, .. } => Self::of(next),
            Succession::Certify { before, .. } => {
                Self { number: authority.number.saturating_sub(1), certificate: before.clone() }
            }
        }
    }
}

/// A member, and where it listens for others, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub node: NodeId,
    pub addresses: Vec<SocketAddr>,
}

impl Membership {
    /// Of the node that began the cluster.
    pub fn first(cluster: ClusterId, certificate: String, authority: Trusted) -> Self {
        Self {
            format: FORMAT,
            cluster,
            joined: false,
            certificate,
            authority: authority.certificate,
            authority_number: authority.number,
            also_trusted: None,
            is_worker: false,
            contacts: Vec::new(),
        }
    }

    pub fn joined(
        cluster: ClusterId,
        certificate: String,
        authority: Trusted,
        also_trusted: Option<Trusted>,
        contacts: Vec<Contact>,
    ) -> Self {
        Self { joined: true, also_trusted, contacts, ..Self::first(cluster, certificate, authority) }
    }

    /// Which authority is to be trusted beside the one that made the certificate. A state that is behind what is written
    /// here, as after a start, takes nothing away: others may show already what it has not heard of.
    pub fn to_be_trusted(&self, state: &State) -> Option<Trusted> {
        let Some(authority) = &state.authority else { return self.also_trusted.clone() };
        let own = self.authority_number;
        match &state.succession {
            _ if authority.number < own => self.also_trusted.clone(),
            _ if authority.number > own => Some(Trusted::of(authority)),
            Some(succession) => Some(Trusted::beside(authority, succession)),
            None => self.also_trusted.clone().filter(|also| also.number > own),
        }
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

    fn trusted(number: u32) -> Trusted {
        Trusted { number, certificate: format!("authority {number}") }
    }

    /// As a member sees a whole succession, and then starts anew with a state of before.
    #[test]
    fn what_is_trusted_follows_the_state_and_a_state_of_the_past_takes_nothing_away() {
        let authority = |number: u32| {
            let Trusted { number, certificate } = trusted(number);
            Authority { certificate, key: "key".to_owned(), number }
        };
        let state =
            |number, succession| State { authority: Some(authority(number)), succession, ..State::default() };
        let pending = std::collections::BTreeSet::from([NodeId(1)]);
        let before = state(0, None);
        let trust = state(0, Some(Succession::Trust { next: authority(1), pending: pending.clone() }));
        let certify = state(1, Some(Succession::Certify { before: trusted(0).certificate, pending }));
        let after = state(1, None);

        let mut own = Membership::first(ClusterId(7), "a".to_owned(), trusted(0));
        assert_eq!(own.to_be_trusted(&before), None);
        assert_eq!(own.to_be_trusted(&trust), Some(trusted(1)));
        own.also_trusted = Some(trusted(1));
        for behind in [&before, &State::default(), &certify] {
            assert_eq!(own.to_be_trusted(behind), Some(trusted(1)));
        }
        (own.authority_number, own.also_trusted) = (1, Some(trusted(0)));
        for behind in [&before, &trust, &certify] {
            assert_eq!(own.to_be_trusted(behind), Some(trusted(0)));
        }
        assert_eq!(own.to_be_trusted(&after), None);
    }

    #[test]
    fn comes_back_and_is_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let contact = Contact { node: NodeId(1), addresses: vec!["192.0.2.1:7300".parse().unwrap()] };
        let also = Some(trusted(1));
        let membership = Membership::joined(ClusterId(7), "a".to_owned(), trusted(0), also, vec![contact]);
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
        save(dir.path(), &Membership::first(ClusterId(7), "a".to_owned(), trusted(0))).unwrap();
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
