//! Who belongs to the cluster, how they prove it, and how others come in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{NodeId, Timestamp};

/// Port on which members listen for each other, unless they were told another.
pub const PEER_PORT: u16 = 7300;

/// A node that was lost this often within [`FLAP_WINDOW_MS`] is quarantined: each time its tasks were moved for nothing.
pub const FLAPS_MAX: usize = 3;
pub const FLAP_WINDOW_MS: u64 = 600_000;

/// The cluster's certificate authority, made once it is claimed. Every server has it, so that each can admit others
/// and renew its own certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS #8. Whoever has it can pose as any member.
    pub key: String,
    /// Counts the authorities that this cluster has had; the first is 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub number: u32,
}

fn is_first(number: &u32) -> bool {
    *number == 0
}

/// Another authority takes the place of the present one, in two steps, so that no member is a stranger to another at any
/// time. Each step ends once no member is `pending` any more; one that is away holds it up until it is back or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Succession {
    /// `next` certifies nobody yet: first everybody trusts it.
    Trust { next: Authority, pending: BTreeSet<NodeId> },
    /// The new one certifies. Certificates of the one `before` count as long as somebody may show one.
    Certify {
        /// The certificate of the one before, PEM. Its key is gone.
        before: String,
        pending: BTreeSet<NodeId>,
    },
}

impl Succession {
    /// Who has not done yet what this step is about.
    pub fn pending(&self) -> &BTreeSet<NodeId> {
        match self {
            Self::Trust { pending, .. } | Self::Certify { pending, .. } => pending,
        }
    }

    pub(crate) fn pending_mut(&mut self) -> &mut BTreeSet<NodeId> {
        match self {
            Self::Trust { pending, .. } | Self::Certify { pending, .. } => pending,
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(redacted)")
    }
}

/// A node that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Of its key: see [`is_fingerprint`].
    pub fingerprint: String,
    /// Cluster time at which that key was made; 0 if a program before [`crate::state::KEYS_FROM`] let it in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_since: Timestamp,
    /// It is to make a new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renews_key: bool,
    /// Where others reach it, best first; as it said when it was admitted, later as it registers.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub admitted_at: Timestamp,
    /// Cluster time since when it does not answer the leader; `None` while it does.
    pub lost_since: Option<Timestamp>,
    /// Since when nothing exclusive runs there any more, its lease being over; `None` while it answers. See
    /// [`crate::lease`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced_at: Option<Timestamp>,
    /// When it was lost lately, oldest first; see [`FLAPS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Timestamp>,
    /// What the operator lets it do.
    #[serde(default, skip_serializing_if = "Availability::is_active")]
    pub availability: Availability,
    /// The operator's name for it, in place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those the operator gave it, beside its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

fn is_zero(at: &Timestamp) -> bool {
    *at == Timestamp::default()
}

/// Whether a node is given tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    #[default]
    Active,
    /// No new ones; those it has stay.
    Cordoned,
    /// No new ones, and those it has are replaced elsewhere, by the upgrade strategy of their apps.
    Draining,
    /// As cordoned, by the cluster itself: it was lost again and again. A person lifts it.
    Quarantined,
}

impl Availability {
    pub fn is_active(&self) -> bool {
        *self == Self::Active
    }
}

/// What is to become of a member; what says nothing stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeChange {
    pub availability: Option<Availability>,
    pub name: Option<String>,
    /// Set, or with `None` taken away.
    pub attributes: BTreeMap<String, Option<String>>,
}

impl Member {
    /// Where it listens for other members, best first.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(*address, self.port)).collect()
    }
}

/// What lets a node in that nobody stands before. Only the hash of its secret is kept; the token is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub name: String,
    /// Hexadecimal SHA-256 of the secret.
    pub secret_sha256: String,
    /// How many more nodes it lets in.
    pub uses_left: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinToken({}, redacted)", self.name)
    }
}

/// What a node brings that wants to come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applicant {
    pub node: NodeId,
    pub fingerprint: String,
    pub addresses: Vec<IpAddr>,
    pub port: u16,
}

/// True for 64 lower-case hexadecimal digits: a SHA-256, of a public key's SubjectPublicKeyInfo (RFC 5280) in DER where
/// it names a member.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
