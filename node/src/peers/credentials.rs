//! What this node shows to others and trusts of them, and keeping it up with the state: its first certificate, new keys.
//!
//! A new key counts here from the moment its certificate is written down. It is shown at once, and only then does the state
//! hear of it, from which on the one before is dead; whoever is killed in between says it again at its next start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::{Cluster, Proposal};
use model::membership::{Authority, Member, Succession};
use model::state::{KEYS_FROM, SUCCESSION_FROM};
use model::{Command, NodeId, State, Timestamp};
use rcgen::KeyPair;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::authority::{self, AuthorityError};
use super::key::{self, fingerprint};
use super::membership::{self, Membership, Trusted};
use super::tls::{self, Caller, TlsError};

/// A key is replaced when it is older.
const KEY_LIFE_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Between two looks at the age of the key: cluster time may jump.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// Wait after a change that failed.
const RETRY: Duration = Duration::from_secs(2);

/// Ready to be used for connections.
pub struct Credentials {
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
    /// Certificates of the authorities whose word counts, PEM.
    pub trusted: BTreeSet<String>,
    /// Since when others have the key that is known here: what is older is an impostor's.
    pub known: BTreeMap<NodeId, Timestamp>,
}

/// `None` until this node belongs to a cluster that takes in others.
pub type Held = watch::Receiver<Option<Arc<Credentials>>>;

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Keeps this node's credentials. Made before the cluster is opened, because opening needs a way to the others.
pub struct Keeper {
    state_dir: PathBuf,
    node: NodeId,
    key: KeyPair,
    fingerprint: String,
    /// As it is on disk, unless another part of the agent has changed there what does not matter here.
    membership: Option<Membership>,
    held: watch::Sender<Option<Arc<Credentials>>>,
}

impl Keeper {
    /// With what an earlier start, or joining, left on disk.
    pub fn new(
        state_dir: PathBuf,
        node: NodeId,
        key: KeyPair,
        membership: Option<Membership>,
    ) -> Result<Self, CredentialsError> {
        let first = membership.as_ref().map(|known| from(known, &key, BTreeMap::new())).transpose()?;
        let fingerprint = fingerprint(&key);
        Ok(Self {
            state_dir,
            node,
            key,
            fingerprint,
            membership,
            held: watch::Sender::new(first.map(Arc::new)),
        })
    }

    pub fn held(&self) -> Held {
        self.held.subscribe()
    }

    pub async fn run(mut self, cluster: Cluster, shutdown: CancellationToken) {
        let mut states = cluster.watch();
        loop {
            let state = states.borrow_and_update().clone();
            if let Err(error) = self.keep(&cluster, &state).await {
                tracing::error!(error = format!("{error:#}"), "this node's key or certificate");
                tokio::select! {
                    () = sleep(RETRY) => continue,
                    () = shutdown.cancelled() => return,
                }
            }
            tokio::select! {
                changed = timeout(LOOK, states.changed()) => if let Ok(Err(_)) = changed { return },
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn keep(&mut self, cluster: &Cluster, state: &State) -> anyhow::Result<()> {
        let (Some(authority), Some(id)) = (&state.authority, state.cluster) else { return Ok(()) };
        let Some(member) = state.members.get(&self.node) else { return Ok(()) };
        if self.membership.is_none() {
            // Its first member has no other source of a certificate.
            let certificate = authority::issue(authority, self.node, &self.key, member.key_since)?;
            self.adopt(Membership::first(id, certificate, Trusted::of(authority)))?;
        }
        self.know(state);
        if state.feature_level < KEYS_FROM {
            return Ok(());
        }
        self.trust(state)?;
        let membership = self.membership()?;
        let is_registered = self.fingerprint == member.fingerprint;
        let is_superseded = membership.authority_number < authority.number;
        if is_registered && (is_superseded || is_due(member, cluster.now())) {
            // Never as old as the one before, whatever the clocks say.
            self.renew(authority, cluster.now().max(member.key_since.plus_ms(1)))?;
        }
        if let Some(command) = self.to_be_said(state, member)? {
            tracing::info!(?command, "others are to hear of what this node shows and trusts");
            cluster.propose(Proposal::of_system(command)).await?.result?;
        }
        Ok(())
    }

    /// What of this node's key and trust the state does not know yet.
    fn to_be_said(&self, state: &State, member: &Member) -> anyhow::Result<Option<Command>> {
        let (node, membership) = (self.node, self.membership()?);
        let number = membership.authority_number;
        let is_by_present = state.authority.as_ref().is_some_and(|authority| authority.number == number);
        let is_certified = match &state.succession {
            Some(Succession::Trust { next, pending }) if pending.contains(&node) => {
                return Ok(Some(Command::TrustAuthority { node, number: next.number }));
            }
            Some(Succession::Certify { pending, .. }) => is_by_present && pending.contains(&node),
            _ => false,
        };
        if self.fingerprint == member.fingerprint && !is_certified {
            return Ok(None);
        }
        let since = certified(&membership.certificate)?.since;
        let authority = (is_by_present && state.feature_level >= SUCCESSION_FROM).then_some(number);
        let fingerprint = self.fingerprint.clone();
        Ok(Some(Command::RegisterKey { node, fingerprint, since, authority }))
    }

    /// Takes note of which authorities count.
    fn trust(&mut self, state: &State) -> anyhow::Result<()> {
        let membership = self.membership()?;
        let also_trusted = membership.to_be_trusted(state);
        if also_trusted == membership.also_trusted {
            return Ok(());
        }
        tracing::info!(also = also_trusted.as_ref().map(|also| also.number), "which authorities count");
        let mut membership = self.on_disk()?;
        membership.also_trusted = also_trusted;
        self.adopt(membership)
    }

    /// Takes note of since when others have their keys.
    fn know(&self, state: &State) {
        let known: BTreeMap<_, _> =
            state.members.iter().map(|(node, member)| (*node, member.key_since)).collect();
        self.held.send_if_modified(|held| {
            let Some(now) = held.as_ref().filter(|held| held.known != known) else { return false };
            let (client, server, trusted) = (now.client.clone(), now.server.clone(), now.trusted.clone());
            *held = Some(Arc::new(Credentials { client, server, trusted, known }));
            true
        });
    }

    /// Makes a key that counts from here on, and shows it.
    fn renew(&mut self, authority: &Authority, since: Timestamp) -> anyhow::Result<()> {
        let next = key::make_next(&self.state_dir)?;
        let mut membership = self.on_disk()?;
        membership.certificate = authority::issue(authority, self.node, &next, since)?;
        if membership.authority_number < authority.number {
            let present = Trusted::of(authority);
            let before = std::mem::replace(&mut membership.authority, present.certificate);
            let number = std::mem::replace(&mut membership.authority_number, present.number);
            membership.also_trusted = Some(Trusted { number, certificate: before });
        }
        membership::save(&self.state_dir, &membership)?;
        key::take_over(&self.state_dir)?;
        self.fingerprint = fingerprint(&next);
        self.key = next;
        self.show(membership)?;
        tracing::info!("this node has a new key");
        Ok(())
    }

    fn adopt(&mut self, membership: Membership) -> anyhow::Result<()> {
        membership::save(&self.state_dir, &membership)?;
        Ok(self.show(membership)?)
    }

    fn show(&mut self, membership: Membership) -> Result<(), CredentialsError> {
        let known = self.held.borrow().as_ref().map(|held| held.known.clone()).unwrap_or_default();
        let credentials = from(&membership, &self.key, known)?;
        self.membership = Some(membership);
        self.held.send_replace(Some(Arc::new(credentials)));
        Ok(())
    }

    fn membership(&self) -> anyhow::Result<&Membership> {
        self.membership.as_ref().context("this node belongs to no cluster")
    }

    fn on_disk(&self) -> anyhow::Result<Membership> {
        membership::load(&self.state_dir)?.context("this node belongs to no cluster")
    }
}

/// A member that a program before the change of keys let in has had its key since then.
fn is_due(member: &Member, now: Timestamp) -> bool {
    member.renews_key || now.ms_since(member.key_since.max(member.admitted_at)) > KEY_LIFE_MS
}

/// Whom a certificate names, in PEM.
pub fn certified(certificate: &str) -> anyhow::Result<Caller> {
    let certificate = authority::certificate(certificate)?;
    tls::caller(&[certificate]).context("this node's certificate names no node")
}

fn from(
    membership: &Membership,
    key: &KeyPair,
    known: BTreeMap<NodeId, Timestamp>,
) -> Result<Credentials, CredentialsError> {
    let chain =
        [authority::certificate(&membership.certificate)?, authority::certificate(&membership.authority)?];
    let also = membership.also_trusted.as_ref().map(|also| authority::certificate(&also.certificate));
    let (client, server) = tls::configs(chain, also.transpose()?, key)?;
    let also = membership.also_trusted.iter().map(|also| also.certificate.clone());
    let trusted = also.chain([membership.authority.clone()]).collect();
    Ok(Credentials { client: Arc::new(client), server: Arc::new(server), trusted, known })
}

#[cfg(test)]
mod tests {
    use model::{ClusterId, testing};

    use super::*;

    fn member(key_since: u64, admitted_at: u64, renews_key: bool) -> Member {
        let mut lab = testing::Lab::new();
        lab.must(Command::RaiseFeatureLevel { level: model::command::FEATURE_LEVEL });
        lab.must(testing::found());
        let member = (*lab.state.members[&NodeId(1)]).clone();
        let (key_since, admitted_at) = (Timestamp(key_since), Timestamp(admitted_at));
        Member { key_since, admitted_at, renews_key, ..member }
    }

    #[test]
    fn a_key_is_due_when_it_is_old_or_a_person_says_so() {
        let now = Timestamp(KEY_LIFE_MS + 1_000);
        assert!(!is_due(&member(1_000, 0, false), now));
        assert!(is_due(&member(999, 0, false), now));
        assert!(is_due(&member(1_000, 0, true), now));
        assert!(!is_due(&member(0, 1_000, false), now), "let in before keys were changed");
    }

    /// However far a change got, this node can speak, and says what the state does not know yet.
    #[test]
    fn a_new_key_is_shown_and_found_again_at_the_next_start() {
        let (dir, authority) = (tempfile::tempdir().unwrap(), authority::create().unwrap());
        let key = key::load_or_create(dir.path(), None).unwrap();
        let before = fingerprint(&key);
        let certificate = authority::issue(&authority, NodeId(1), &key, Timestamp(7)).unwrap();
        let membership = Membership::first(ClusterId(5), certificate, Trusted::of(&authority));
        let mut keeper = Keeper::new(dir.path().to_owned(), NodeId(1), key, None).unwrap();
        keeper.adopt(membership).unwrap();
        let shown = keeper.held.borrow().clone().unwrap();
        keeper.renew(&authority, Timestamp(9)).unwrap();
        assert_ne!(fingerprint(&keeper.key), before);
        assert!(!Arc::ptr_eq(&shown.client, &keeper.held.borrow().as_ref().unwrap().client));
        let kept = membership::load(dir.path()).unwrap().unwrap();
        let caller = certified(&kept.certificate).unwrap();
        assert_eq!((caller.node, caller.since), (NodeId(1), Timestamp(9)));
        let found = key::load_or_create(dir.path(), Some(&caller.fingerprint)).unwrap();
        assert_eq!(fingerprint(&found), fingerprint(&keeper.key));
    }
}
