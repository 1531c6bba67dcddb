//! The nodes of the cluster, and letting in another.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::auth::Actor;
use model::command::Reject;
use model::membership::Availability;
use model::{NodeId, Origin, Timestamp};
use serde::Serialize;

use super::Unavailable;

/// What a member does for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Leads, as far as the answering node knows.
    Leader,
    /// Counts for the majority.
    Voter,
    /// Has all of the log without a vote.
    Learner,
    /// Is told what happens by those that have the log.
    Worker,
    /// Let in, and nothing was heard of it yet.
    New,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberReach {
    Up,
    /// It does not answer the leader.
    Lost,
    /// Let in, and has not come up yet.
    Joining,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    #[serde(serialize_with = "as_text")]
    pub id: NodeId,
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub role: MemberRole,
    pub reach: MemberReach,
    /// Cluster time since when it does not answer.
    #[serde(serialize_with = "as_dates")]
    pub lost_since: Option<Timestamp>,
    /// Cluster time since when nothing exclusive runs on it, lost as it is.
    #[serde(serialize_with = "as_dates")]
    pub fenced_at: Option<Timestamp>,
    #[serde(serialize_with = "as_text")]
    pub admitted_at: Timestamp,
    /// Cluster time at which its key was made.
    #[serde(serialize_with = "as_text")]
    pub key_since: Timestamp,
    /// Of the program it runs; empty before it has come up.
    pub product_version: String,
    /// Live tasks on it.
    pub tasks: usize,
    pub availability: Availability,
    /// Cluster times at which it was lost lately, oldest first: why it is quarantined.
    #[serde(serialize_with = "as_texts")]
    pub losses: Vec<Timestamp>,
    /// Its own and those the operator gave it.
    pub attributes: BTreeMap<String, String>,
    pub is_self: bool,
}

/// A number of 64 bits loses digits in a browser.
pub(super) fn as_text<S: serde::Serializer>(
    value: &impl std::fmt::Display,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn as_texts<S: serde::Serializer>(values: &[Timestamp], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(ToString::to_string))
}

pub(super) fn as_dates<S: serde::Serializer>(value: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    value.map(|at| at.to_string()).serialize(to)
}

/// Why this node, which nobody has claimed, did not join a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The code is this node's own, from its screen: who types it stands before it.
    #[error("the claim code is wrong")]
    WrongCode,
    #[error("too many wrong codes; try again in {seconds} s")]
    TooManyTries { seconds: u64 },
    #[error("this node belongs to a cluster already")]
    AlreadyClaimed,
    #[error("{0}")]
    BadToken(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Failed(String),
}

/// What lets in `uses` nodes until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub name: String,
    pub uses: u32,
    pub expires_at: Timestamp,
    pub actor: Actor,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    #[error(transparent)]
    Rejected(Reject),
    #[error(transparent)]
    Unavailable(Unavailable),
}
