//! An unclaimed node taken into the cluster by the code on its screen: what is said about it and to it.

use std::net::{IpAddr, SocketAddr};

use model::Origin;
use model::auth::Actor;
use serde::{Deserialize, Serialize};

use crate::{InviteError, JoinError};

/// Where a node's console and API listen without TLS, unless it was told another port.
pub const CONSOLE_PORT: u16 = 8080;

/// A node of this network that belongs to nobody, as it announces itself: what it says of itself is not proven.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UnclaimedNode {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub version: String,
}

/// Who is to be taken in, by the code that a person read off its screen.
#[derive(Clone)]
pub struct Adoption {
    pub address: SocketAddr,
    pub code: String,
    pub actor: Actor,
    pub origin: Origin,
}

/// Why a node was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    #[error("the code is not the one on the node's screen")]
    WrongCode,
    #[error("too many wrong codes; try again in {seconds} s")]
    TooManyTries { seconds: u64 },
    #[error("that node belongs to a cluster already")]
    AlreadyClaimed,
    #[error("the node does not answer: {0}")]
    Unreachable(String),
    #[error("the node's answer cannot be used: {0}")]
    Odd(String),
    #[error("the node could not join: {0}")]
    NotJoined(String),
    #[error(transparent)]
    Invite(InviteError),
}

// === Between a member and the node, see `peers::adoption` of the node's program ===

/// Who the unclaimed node says it is: the fingerprint of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    pub format: u32,
    /// Fingerprint of the cluster's authority.
    pub authority: String,
    #[serde(with = "base64_text")]
    pub half: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub format: u32,
    pub session: String,
    #[serde(with = "base64_text")]
    pub half: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    pub session: String,
    #[serde(with = "base64_text")]
    pub sealed: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    #[serde(with = "base64_text")]
    pub sealed: Vec<u8>,
}

/// The node's side of it.
#[async_trait::async_trait]
pub trait Adoptable: Send + Sync {
    fn identity(&self) -> Result<Identity, JoinError>;
    fn begin(&self, begin: &Begin, origin: &Origin) -> Result<Begun, JoinError>;
    /// Joins. What came of it is told sealed: only who knows the code hears it.
    async fn finish(&self, finish: &Finish, origin: &Origin) -> Result<Finished, JoinError>;
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(|_| de::Error::custom("expected base64"))
    }
}
