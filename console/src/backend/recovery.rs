//! Going on alone on a node whose majority is lost for good, and what that may cost.

use std::net::IpAddr;

use model::auth::Actor;
use model::{NodeId, Origin, Timestamp};
use serde::Serialize;

use super::Unavailable;
use super::members::{as_dates, as_text};

/// What a recovery on the answering node would begin from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prospects {
    /// This node, whose name confirms the recovery.
    pub node: String,
    /// The last change that this node has. Later ones are lost.
    pub last_change: u64,
    #[serde(serialize_with = "as_text")]
    pub last_change_at: Timestamp,
    /// When others of the cluster were last heard of here: what was acknowledged after that may be lost. `None` if they
    /// were not since this node's start.
    #[serde(serialize_with = "as_dates")]
    pub last_contact: Option<Timestamp>,
    /// Who would be removed.
    pub gone: Vec<Gone>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gone {
    #[serde(serialize_with = "as_text")]
    pub id: NodeId,
    pub name: String,
    pub addresses: Vec<IpAddr>,
    /// Live tasks on it, as far as this node knows; they are launched here.
    pub tasks: usize,
}

/// The wish of somebody who has seen the prospects.
#[derive(Debug, Clone)]
pub struct Recovery {
    pub confirm: String,
    pub actor: Actor,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    #[error("this node is a cluster of one: there is nobody to give up")]
    Alone,
    #[error("this node holds no log that it could go on with: recover on one that leads, votes or follows")]
    NoLog,
    #[error("the majority answers: nothing is lost, and nodes that are gone can be removed as usual")]
    MajorityAnswers,
    #[error("type the name of this node, {name}, to confirm")]
    NotConfirmed { name: String },
    #[error(transparent)]
    Unavailable(Unavailable),
}
