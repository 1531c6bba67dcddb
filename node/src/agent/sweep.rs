//! Removes what tasks left on disk once nobody can ask for it any more: when they fall out of their app's history;
//! and images that are of no use any more.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use cluster::Cluster;
use model::{State, TaskId};
use tokio_util::sync::CancellationToken;

use super::init_link::{InitLink, World};
use crate::config::Paths;
use crate::images::Images;

/// Rest between rounds: each reads the whole folder, and nothing waits for the space to the second.
const REST: Duration = Duration::from_secs(10);
/// Images grow old while nothing happens.
const IMAGES_REST: Duration = Duration::from_secs(600);

pub async fn run(
    cluster: Cluster,
    init: InitLink,
    images: Images,
    keep_images: Duration,
    paths: Paths,
    shutdown: CancellationToken,
) {
    let mut states = cluster.watch();
    let worlds = init.world();
    loop {
        let keep = keep(&states.borrow_and_update(), &worlds.borrow());
        if let Some(keep) = keep {
            let folder = paths.data.join("tasks");
            let swept = tokio::task::spawn_blocking(move || sweep(&folder, &keep)).await;
            if let Ok(Err(error)) = swept {
                tracing::warn!(%error, "old sandboxes were not swept");
            }
        }
        // Bundles are there from before init's first word on, so that this does not wait for it.
        let (of_round, bundles) = (images.clone(), paths.bundles());
        let swept = tokio::task::spawn_blocking(move || of_round.sweep(&bundles, keep_images)).await;
        if let Ok(Err(error)) = swept {
            tracing::warn!(%error, "images were not swept");
        }
        let mut pulled = images.changed();
        let rested = async {
            tokio::time::sleep(REST).await;
            tokio::select! {
                changed = states.changed() => changed,
                // A pull that ended has used space, or found none.
                changed = pulled.changed() => changed,
                () = tokio::time::sleep(keep_images.clamp(REST, IMAGES_REST)) => Ok(()),
            }
        };
        tokio::select! {
            changed = rested => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
    }
}

/// Tasks whose files stay; `None` while init has not said what runs.
fn keep(state: &State, world: &World) -> Option<HashSet<TaskId>> {
    if !world.connected {
        return None;
    }
    let ended = state.apps.values().flat_map(|app| app.history.iter().map(|e| e.task.id.clone()));
    let live = state.task_apps.keys().cloned();
    let known_to_init = world.tasks.keys().chain(world.exits.keys()).cloned();
    Some(ended.chain(live).chain(known_to_init).collect())
}

/// Removes the folders of all tasks but those to keep; names that are no task's are left alone.
fn sweep(folder: &Path, keep: &HashSet<TaskId>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let task = entry.file_name().to_str().and_then(|name| TaskId::parse(name).ok());
        if let Some(task) = task.filter(|task| !keep.contains(task)) {
            tracing::debug!(%task, "removing what it left");
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strangers_go() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.instance-1._app.1", "b.instance-2._app.1", "Not-A-Task"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let keep = HashSet::from([TaskId::parse("a.instance-1._app.1").unwrap()]);
        sweep(dir.path(), &keep).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["Not-A-Task", "a.instance-1._app.1"]);
        sweep(&dir.path().join("none"), &keep).unwrap();
    }
}
