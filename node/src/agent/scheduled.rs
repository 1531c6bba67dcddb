//! Backups that the cluster makes by itself: the leader makes them and puts them where the schedule says.
//!
//! Every server runs it; only the leader's does anything. It sleeps until the schedule or the leadership changes, or
//! the next one is due. What comes of each goes into the log, and with it the time of the next: soon after a failure,
//! ever later after several.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Proposal};
use model::backup::{BackupNote, Schedule};
use model::{Command, State};
use tokio_util::sync::CancellationToken;

use super::backups::{self, Locker};
use super::shelf::{Item, Kept, Shelf};

/// Wait after a backup that could not be remembered: it would be due again at once.
const RETRY: Duration = Duration::from_secs(10);

pub async fn run(cluster: Cluster, shelf: Shelf, shutdown: CancellationToken) {
    let mut states = cluster.watch();
    let mut leadership = cluster.leadership();
    loop {
        let leads = leadership.borrow_and_update().is_self;
        let state = states.borrow_and_update().clone();
        let due = state.backup_due().filter(|_| leads);
        let rest = match (due, &state.backup_schedule) {
            (Some(due), Some(schedule)) if due <= cluster.now() => {
                let made = make(&state, schedule, &shelf);
                let Some(note) = shutdown.run_until_cancelled(made).await else { return };
                tracing::info!(?note, "a scheduled backup");
                if remember(&cluster, note).await { continue } else { Some(RETRY) }
            }
            (Some(due), _) => Some(Duration::from_millis(due.ms_since(cluster.now()).max(1))),
            (None, _) => None,
        };
        let rested = async {
            match rest {
                Some(rest) => tokio::time::sleep(rest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = states.changed(), if leads && rest != Some(RETRY) => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = rested => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn make(state: &Arc<State>, schedule: &Schedule, shelf: &Shelf) -> BackupNote {
    let locker = match (&schedule.key, &schedule.passphrase) {
        (Some(key), _) => Locker::Key(key.clone()),
        (None, Some(passphrase)) => Locker::Passphrase(passphrase.clone()),
        (None, None) => Locker::None,
    };
    let made = backups::write(state.clone(), locker).await;
    let size = made.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let kept = match made {
        Ok(bytes) => {
            let (name, stem) = (backups::name(state), backups::stem(state));
            shelf.put(Item { name, stem, bytes, keep: schedule.keep }, schedule.bucket.as_ref()).await
        }
        Err(error) => Err(error),
    };
    let (Kept { object, left }, error) = match kept {
        Ok(kept) => (kept, None),
        Err(error) => (Kept::default(), Some(error)),
    };
    let secrets = schedule.is_locked();
    BackupNote {
        at: state.now,
        index: state.index,
        bytes: size,
        secrets,
        scheduled: true,
        object,
        error,
        left,
    }
}

/// As the leader this node is now, or not at all.
async fn remember(cluster: &Cluster, note: BackupNote) -> bool {
    match cluster.propose_leading(Proposal::of_system(Command::NoteBackup { note })).await {
        Ok(applied) => applied.result.inspect_err(|reject| tracing::warn!(%reject, "not remembered")).is_ok(),
        Err(error) => {
            tracing::warn!(%error, "the backup is not remembered");
            false
        }
    }
}
