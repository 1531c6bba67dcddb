//! Backups that the cluster makes by itself: the leader writes them to its own DATA, a file each.
//!
//! Every server runs it; only the leader's does anything. It sleeps until the schedule or the leadership changes, or
//! the next one is due.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Proposal};
use model::backup::{BackupNote, Schedule};
use model::{Command, State};
use tokio_util::sync::CancellationToken;

use super::backups;
use crate::durable;

/// Wait after a backup that could not be remembered: it would be due again at once.
const RETRY: Duration = Duration::from_secs(10);

pub async fn run(cluster: Cluster, folder: PathBuf, shutdown: CancellationToken) {
    let mut states = cluster.watch();
    let mut leadership = cluster.leadership();
    loop {
        let leads = leadership.borrow_and_update().is_self;
        let state = states.borrow_and_update().clone();
        let due = state.backup_due().filter(|_| leads);
        let rest = match (due, &state.backup_schedule) {
            (Some(due), Some(schedule)) if due <= cluster.now() => {
                let note = make(&state, schedule.clone(), &folder).await;
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
            changed = states.changed(), if rest != Some(RETRY) => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = rested => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn make(state: &Arc<State>, schedule: Schedule, folder: &Path) -> BackupNote {
    let made = backups::write(state.clone(), schedule.passphrase.clone()).await;
    let size = made.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let (name, folder) = (backups::name(state), folder.to_owned());
    let kept = match made {
        Ok(bytes) => {
            let work = move || keep(&folder, &name, &bytes, schedule.keep);
            let kept = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
            kept.map_err(|error| error.to_string())
        }
        Err(error) => Err(error),
    };
    let secrets = schedule.passphrase.is_some();
    BackupNote { at: state.now, index: state.index, bytes: size, secrets, scheduled: true, error: kept.err() }
}

/// Writes one file and forgets all but the newest `count`.
fn keep(folder: &Path, name: &str, bytes: &[u8], count: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    durable::write(&folder.join(name), bytes)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "backup") {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(count as usize);
    files.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("backups");
        let names = |folder: &Path| {
            let mut names: Vec<String> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        keep(&inner, "a.backup", b"1", 2).unwrap();
        fs::write(inner.join("a note"), "of a person").unwrap();
        for name in ["b.backup", "c.backup", "d.backup"] {
            keep(&inner, name, b"2", 2).unwrap();
        }
        assert_eq!(names(&inner), ["a note", "c.backup", "d.backup"]);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(keep(&file, "a.backup", b"1", 2).is_err(), "there is no folder");
    }
}
