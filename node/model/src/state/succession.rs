//! One certificate authority after the other: whoever was removed has seen the key of the one before.

use std::collections::BTreeSet;

use super::State;
use super::membership::invalid;
use crate::NodeId;
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::membership::{Authority, Succession};

/// The feature level from which on the authority can be replaced.
pub const SUCCESSION_FROM: u32 = 7;

impl State {
    /// Begins with `next`, whose number is given here. One succession at a time; asking again for the same one changes
    /// nothing.
    pub(super) fn replace_authority(&mut self, next: &Authority) -> Result<Outcome, Reject> {
        let Some(present) = &self.authority else {
            return Err(invalid("/authority", "there is none yet: the cluster has not been claimed"));
        };
        match &self.succession {
            Some(Succession::Trust { next: coming, .. }) if coming.certificate == next.certificate => {
                return Ok(Outcome::Done);
            }
            Some(_) => {
                return Err(invalid("/authority", "is being replaced already; wait until that is over"));
            }
            None => {}
        }
        let next = Authority { number: present.number + 1, ..next.clone() };
        self.succession = Some(Succession::Trust { next, pending: self.everybody() });
        self.emit(EventKind::AuthorityReplacing);
        Ok(Outcome::Done)
    }

    /// Of another authority than the coming one it changes nothing: that is over.
    pub(super) fn trust_authority(&mut self, node: NodeId, number: u32) -> Result<Outcome, Reject> {
        if !self.members.contains_key(&node) {
            return Err(Reject::NodeUnknown { node });
        }
        if let Some(Succession::Trust { next, pending }) = &mut self.succession
            && next.number == number
        {
            pending.remove(&node);
            self.go_on();
        }
        Ok(Outcome::Done)
    }

    /// `node` shows a certificate of the authority of that number.
    pub(super) fn note_certified(&mut self, node: NodeId, authority: Option<u32>) {
        let is_present = authority.is_some() && authority == self.authority.as_ref().map(|now| now.number);
        if let Some(Succession::Certify { pending, .. }) = &mut self.succession
            && is_present
        {
            pending.remove(&node);
            self.go_on();
        }
    }

    /// Who comes in now is certified by the present authority, but has heard of no other.
    pub(super) fn expect_of_newcomer(&mut self, node: NodeId) {
        if let Some(Succession::Trust { pending, .. }) = &mut self.succession {
            pending.insert(node);
        }
    }

    pub(super) fn expect_nothing_of(&mut self, node: NodeId) {
        if let Some(succession) = &mut self.succession {
            succession.pending_mut().remove(&node);
            self.go_on();
        }
    }

    /// Takes the next step, if this one waits for nobody any more.
    fn go_on(&mut self) {
        if self.succession.as_ref().is_none_or(|succession| !succession.pending().is_empty()) {
            return;
        }
        match self.succession.take() {
            Some(Succession::Trust { next, .. }) => {
                if let Some(before) = self.authority.replace(next) {
                    let (before, pending) = (before.certificate, self.everybody());
                    self.succession = Some(Succession::Certify { before, pending });
                }
                // They name the authority by which a newcomer knows the cluster: that one shows itself no more.
                for token in std::mem::take(&mut self.join_tokens).values() {
                    self.emit(EventKind::JoinTokenRevoked { name: token.name.clone() });
                }
            }
            Some(Succession::Certify { .. }) => self.emit(EventKind::AuthorityReplaced),
            None => {}
        }
    }

    fn everybody(&self) -> BTreeSet<NodeId> {
        self.members.keys().copied().collect()
    }
}
