//! How long a node may run exclusive tasks without hearing from the cluster, and when others may take them over.
//!
//! A node looks at its own clock, then reads the state freshly (ReadIndex: a majority confirms the leader after the
//! question was asked). If that state has the node as a member that answers, it holds the lease until [`LEASE_MS`]
//! after its look; its init kills exclusive tasks at that moment unless the deadline was moved on before. A node that
//! is lost gets no further lease, because the state says so. So no lease ends later than [`LEASE_MS`] after the loss
//! was committed, whoever led then, and a leader that has waited [`FENCE_WAIT_MS`] since it saw the loss knows that
//! nothing exclusive runs there any more. Only the speed of clocks counts, never what they show.
//!
//! A machine that is frozen whole, its clock too, and resumed later defeats every lease; what the task writes to can
//! refuse it by `MESETA_EPOCH`, which grows with every launch.

use std::collections::BTreeSet;

use crate::{NodeId, State, TaskId};

/// A majority that is silent for this long costs a node its exclusive tasks. Long enough for elections and slow disks.
pub const LEASE_MS: u64 = 10_000;
/// Between two looks of a node that runs exclusive tasks.
pub const RENEW_MS: u64 = 2_500;
/// Two clocks that differ by 5 % in speed are broken.
const DRIFT_PERCENT: u64 = 5;
/// From the deadline until the last process is dead: init's wake-up and the kernel's work on a busy machine.
const KILL_MS_MAX: u64 = 2_000;
/// From the moment a leader sees a loss until the node's exclusive tasks may run elsewhere.
pub const FENCE_WAIT_MS: u64 = LEASE_MS + LEASE_MS * DRIFT_PERCENT / 100 + KILL_MS_MAX;

/// What a node holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lease {
    #[default]
    Unheld,
    /// There is no other node that could run what runs here.
    Alone,
    /// Milliseconds of CLOCK_BOOTTIME.
    Until(u64),
}

impl Lease {
    /// The deadline of an exclusive task that is started at `now`; `None` if none may be started.
    pub fn deadline(self, now: u64) -> Option<Option<u64>> {
        match self {
            Self::Unheld => None,
            Self::Alone => Some(None),
            Self::Until(end) => (end > now).then_some(Some(end)),
        }
    }
}

/// What of the state decides whether a lease is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concerns {
    /// Live tasks of this node of which no second one may run.
    pub exclusive: BTreeSet<TaskId>,
    pub has_others: bool,
}

impl Concerns {
    pub fn of(state: &State, node: NodeId) -> Self {
        let apps = state.apps.values().filter(|app| app.is_exclusive());
        let tasks = apps.flat_map(|app| app.tasks.values()).filter(|task| task.node == node);
        Self { exclusive: tasks.map(|task| task.id.clone()).collect(), has_others: state.members.len() > 1 }
    }
}

/// Why a node got no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this node is no member")]
    NoMember,
    #[error("the cluster counts this node as lost")]
    Lost,
}

/// The exclusive tasks of which `node` may move the deadlines on, by a state that was read freshly. What is no longer this
/// node's is not among them, and ends by its last deadline at the latest.
pub fn renewed(state: &State, node: NodeId) -> Result<BTreeSet<TaskId>, Refused> {
    let member = state.members.get(&node).ok_or(Refused::NoMember)?;
    match member.lost_since {
        None => Ok(Concerns::of(state, node).exclusive),
        Some(_) => Err(Refused::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_started_without_a_lease_that_lasts() {
        assert_eq!(Lease::Unheld.deadline(5), None);
        assert_eq!(Lease::Alone.deadline(5), Some(None));
        assert_eq!(Lease::Until(9).deadline(5), Some(Some(9)));
        assert_eq!(Lease::Until(5).deadline(5), None);
    }
}
