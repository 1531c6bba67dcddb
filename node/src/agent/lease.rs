//! This node's lease: as long as it holds one, exclusive tasks may run here ([`model::lease`]).
//!
//! Init holds the deadline of each, so that they end in time whatever becomes of this program. A node that runs none
//! asks nobody for anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use cluster::Cluster;
use model::lease::{LEASE_MS, RENEW_MS};
use model::{NodeId, State, TaskId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::init_link::InitLink;
use crate::init::clock;
use crate::init::protocol::ToInit;

/// Wait after a renewal that failed.
const RETRY: Duration = Duration::from_millis(250);

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

pub struct Holder {
    pub cluster: Cluster,
    pub init: InitLink,
    pub node: NodeId,
    pub lease: watch::Sender<Lease>,
}

impl Holder {
    pub async fn run(self, shutdown: CancellationToken) {
        let mut states = self.cluster.watch();
        loop {
            let concerns = Concerns::of(&states.borrow_and_update(), self.node);
            let rest = self.keep(&concerns).await;
            let is_news = |state: &Arc<State>| Concerns::of(state, self.node) != concerns;
            tokio::select! {
                changed = states.wait_for(is_news) => if changed.is_err() { return },
                () = after(rest) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Answers after which time it is to be done again; `None` if only once something has changed.
    async fn keep(&self, concerns: &Concerns) -> Option<Duration> {
        if concerns.exclusive.is_empty() {
            self.tell(Lease::Unheld);
            return None;
        }
        if !concerns.has_others {
            self.tell(Lease::Alone);
            self.push(&concerns.exclusive, None).await;
            return None;
        }
        match self.renew().await {
            Ok(()) => Some(Duration::from_millis(RENEW_MS)),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the lease for exclusive tasks was not renewed");
                Some(RETRY)
            }
        }
    }

    async fn renew(&self) -> anyhow::Result<()> {
        // Before the question: an answer that took long is worth less.
        let end = clock::now() + LEASE_MS;
        let state = self.cluster.read().await.context("the cluster's state")?;
        let member = state.members.get(&self.node).context("this node is no member")?;
        ensure!(member.lost_since.is_none(), "the cluster counts this node as lost");
        self.tell(Lease::Until(end));
        // What is no longer this node's is not in a fresh state, and ends by its last deadline at the latest.
        self.push(&Concerns::of(&state, self.node).exclusive, Some(end)).await;
        Ok(())
    }

    async fn push(&self, tasks: &BTreeSet<TaskId>, at_boottime_ms: Option<u64>) {
        for task in tasks {
            self.init.send(ToInit::Deadline { task: task.clone(), at_boottime_ms }).await;
        }
    }

    fn tell(&self, lease: Lease) {
        self.lease.send_if_modified(|before| std::mem::replace(before, lease) != lease);
    }
}

/// What of the state decides whether a lease is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Concerns {
    /// Live tasks of this node of which no second one may run.
    exclusive: BTreeSet<TaskId>,
    has_others: bool,
}

impl Concerns {
    fn of(state: &State, node: NodeId) -> Self {
        let apps = state.apps.values().filter(|app| app.is_exclusive());
        let tasks = apps.flat_map(|app| app.tasks.values()).filter(|task| task.node == node);
        Self { exclusive: tasks.map(|task| task.id.clone()).collect(), has_others: state.members.len() > 1 }
    }
}

async fn after(rest: Option<Duration>) {
    match rest {
        Some(rest) => tokio::time::sleep(rest).await,
        None => std::future::pending().await,
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
