//! Which key a member is known by, and which are dead.

use std::sync::Arc;

use super::State;
use super::membership::invalid;
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::membership::{Member, is_fingerprint};
use crate::{NodeId, Timestamp};

/// The feature level from which on members change their keys.
pub const KEYS_FROM: u32 = 6;

impl State {
    /// The members named make new keys, each as soon as it hears of it.
    pub(super) fn renew_keys(&mut self, nodes: &[NodeId]) -> Result<Outcome, Reject> {
        if let Some(unknown) = nodes.iter().find(|node| !self.members.contains_key(*node)) {
            return Err(Reject::NodeUnknown { node: *unknown });
        }
        for node in nodes {
            if let Some(member) = self.members.get(node) {
                let after = Member { renews_key: true, ..(**member).clone() };
                self.members.insert(*node, Arc::new(after));
            }
        }
        Ok(Outcome::Done)
    }

    /// A member is known by the key it made at `since`; those it had before are dead. Said again it changes nothing, but
    /// that it is certified by the present authority, if it is that of this number.
    pub(super) fn register_key(
        &mut self,
        node: NodeId,
        fingerprint: &str,
        since: Timestamp,
        authority: Option<u32>,
    ) -> Result<Outcome, Reject> {
        let Some(member) = self.members.get(&node) else {
            return Err(Reject::NodeUnknown { node });
        };
        if member.fingerprint == fingerprint {
            self.note_certified(node, authority);
            return Ok(Outcome::Done);
        }
        if !is_fingerprint(fingerprint) {
            return Err(invalid("/fingerprint", "is no SHA-256; expected 64 lower-case hexadecimal digits"));
        }
        let is_taken = self.members.values().any(|other| other.fingerprint == fingerprint);
        if is_taken || self.removed.contains_key(fingerprint) {
            return Err(invalid("/fingerprint", "is of another node's key"));
        }
        if since <= member.key_since {
            return Err(invalid("/since", "is not after the present key was made"));
        }
        let fingerprint = fingerprint.to_owned();
        let after = Member { fingerprint, key_since: since, renews_key: false, ..(**member).clone() };
        self.members.insert(node, Arc::new(after));
        self.emit(EventKind::NodeKeyChanged { node });
        self.note_certified(node, authority);
        Ok(Outcome::Done)
    }

    /// Why somebody who shows this key in the name of `node` is not heard; `None` if it is. Who is behind may not know
    /// the newest key of another yet, so only what is older than the key known here is dead.
    pub fn refuses_key(&self, node: NodeId, fingerprint: &str, since: Timestamp) -> Option<&'static str> {
        let was_removed = || self.removed.values().any(|removed| *removed == node);
        match self.members.get(&node) {
            _ if self.removed.contains_key(fingerprint) => Some("this node was removed from the cluster"),
            None if was_removed() => Some("this node was removed from the cluster"),
            Some(member) if since < member.key_since => {
                Some("this key was replaced by a newer one of the node")
            }
            _ => None,
        }
    }
}
