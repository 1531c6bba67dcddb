//! This node's lease: as long as it holds one, exclusive tasks may run here ([`model::lease`]).
//!
//! Init holds the deadline of each, so that they end in time whatever becomes of this program. A node that runs none
//! asks nobody for anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::Cluster;
use model::lease::{self, Concerns, LEASE_MS, Lease, RENEW_MS};
use model::{NodeId, State, TaskId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::init_link::InitLink;
use crate::init::clock;
use crate::init::protocol::ToInit;

/// Wait after a renewal that failed.
const RETRY: Duration = Duration::from_millis(250);

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
        let exclusive = lease::renewed(&state, self.node)?;
        self.tell(Lease::Until(end));
        self.push(&exclusive, Some(end)).await;
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

async fn after(rest: Option<Duration>) {
    match rest {
        Some(rest) => tokio::time::sleep(rest).await,
        None => std::future::pending().await,
    }
}
