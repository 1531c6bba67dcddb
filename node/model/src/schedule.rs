//! Decides what to launch and kill: pure, from a state and a time.

use crate::command::Action;
use crate::ids::IdSource;
use crate::{State, Timestamp};

/// What should happen next, and when to look again if nothing else happens before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Cluster time of the next back-off expiry.
    pub wake_at: Option<Timestamp>,
}

pub fn plan(state: &State, now: Timestamp, ids: &mut IdSource) -> Plan {
    let _ = (state, now, ids);
    Plan::default()
}
