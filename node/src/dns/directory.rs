//! The zone as this node has it now: swapped whole at each state, read without waiting.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use cluster::{Cluster, Leadership};
use model::zone::{self, View, Zone};
use model::{NodeId, State};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub struct Directory {
    zone: ArcSwap<Zone>,
    /// Held by whoever makes the next zone.
    turn: Mutex<()>,
    cluster: Cluster,
}

impl Directory {
    pub fn new(cluster: Cluster, node: NodeId) -> Self {
        let leader = cluster.leadership().borrow().leader;
        let zone = zone::records(&cluster.state(), View { node, leader }, Arc::default());
        Self { zone: ArcSwap::from_pointee(zone), turn: Mutex::new(()), cluster }
    }

    pub fn load(&self) -> Guard<Arc<Zone>> {
        self.zone.load()
    }

    /// Brings the zone up to this node's state.
    pub fn refresh(&self) -> Arc<Zone> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.zone.load_full();
        let state = self.cluster.state();
        let leader = self.cluster.leadership().borrow().leader.or(old.view().leader);
        let view = View { leader, ..old.view() };
        if old.index() == state.index && old.view() == view {
            return old;
        }
        let next = Arc::new(old.next(&state, view));
        if next.serial() != old.serial() {
            let change = next.last_change();
            tracing::debug!(serial = next.serial(), added = change.added, removed = change.removed, "zone");
        }
        self.zone.store(next.clone());
        next
    }

    /// Until shutdown, at each move of the state or of the leadership.
    pub async fn follow(
        &self,
        mut states: watch::Receiver<Arc<State>>,
        mut leadership: watch::Receiver<Leadership>,
        shutdown: CancellationToken,
    ) {
        loop {
            states.mark_unchanged();
            leadership.mark_unchanged();
            self.refresh();
            // Cancel safety: `changed` may be dropped at any time.
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            }
        }
    }
}
