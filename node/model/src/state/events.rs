//! The bounded ring of events. Ids come from the log index, so they are the same on every node.

use std::sync::Arc;

use super::State;
use crate::event::{Event, EventId, EventKind};
use crate::limits;

impl State {
    /// Appends what the command at `self.index` caused.
    pub(super) fn emit(&mut self, kind: EventKind) {
        let n = match self.events.back() {
            Some(last) if last.id.index == self.index => last.id.n + 1,
            _ => 0,
        };
        let id = EventId { index: self.index, n };
        self.events.push_back(Arc::new(Event { id, at: self.now, kind }));
        while self.events.len() > limits::EVENTS_KEPT_MAX {
            self.events.pop_front();
        }
    }

    /// Kept events later than `after`, oldest first; all of them for `None`.
    pub fn events_after(&self, after: Option<EventId>) -> impl Iterator<Item = &Arc<Event>> {
        let from = match after {
            None => 0,
            // Ids ascend, so the first later one is found by bisection.
            Some(id) => {
                self.events.binary_search_by(|event| event.id.cmp(&id)).map_or_else(|at| at, |at| at + 1)
            }
        };
        self.events.iter().skip(from)
    }
}
