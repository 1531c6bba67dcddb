//! The only way a state changes.

use super::State;
use crate::command::{Applied, Envelope, Outcome};

impl State {
    /// Applies the committed command at log index `index`. Total: every envelope of a known format has an answer,
    /// and a rejected command changes nothing but index and time.
    pub fn apply(&mut self, index: u64, envelope: &Envelope) -> Applied {
        self.index = index;
        self.now = self.now.max(envelope.at);
        Applied { index, result: Ok(Outcome::Done) }
    }
}
