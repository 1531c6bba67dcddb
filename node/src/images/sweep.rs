//! Removes images that are of no use any more, and those unused for longest when space is short; never one in use.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use model::Timestamp;

use super::store::{Store, layers_of};
use super::{Images, reference::Digest};
use crate::oci::meta::Meta;

/// Space is short below this part of the file system, but never above this many bytes.
const SHORT_PART: u64 = 10;
const SHORT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// How far the note of an image's last use may lag behind.
const TOUCH_LAG_MS: u64 = 60 * 60 * 1000;

impl Images {
    /// One round, in a thread that may block. `bundles` is where the bundles of all tasks lie.
    pub fn sweep(&self, bundles: &Path, keep: Duration) -> std::io::Result<()> {
        let store = &self.puller.store;
        let (_, total) = store.space()?;
        let short = (total / SHORT_PART).min(SHORT_BYTES_MAX);
        // In this order: what is neither pinned nor in a bundle yet is used later than now, and so not old.
        let now = self.cluster.now();
        let mut used = store.pinned();
        used.extend(used_layers(bundles)?);
        sweep(store, &used, now, keep, || store.space().is_ok_and(|(free, _)| free < short))
    }
}

/// Layers that containers have as their root, by what is on the disk: this survives the agent.
fn used_layers(bundles: &Path) -> std::io::Result<HashSet<Digest>> {
    let mut used = HashSet::new();
    let entries = match std::fs::read_dir(bundles) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(used),
        entries => entries?,
    };
    for entry in entries {
        match Meta::read(&entry?.path()) {
            Ok(meta) => used.extend(layers_of(&meta.overlay.lowers)),
            // Being written (then its layers are pinned), or being removed.
            Err(error) => tracing::debug!(%error, "a bundle without its file"),
        }
    }
    Ok(used)
}

fn sweep(
    store: &Store,
    used: &HashSet<Digest>,
    now: Timestamp,
    keep: Duration,
    is_short: impl Fn() -> bool,
) -> std::io::Result<()> {
    let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    let mut idle = Vec::new();
    for image in store.images() {
        let is_used = !image.layers.is_empty() && image.layers.iter().all(|layer| used.contains(layer));
        if is_used && image.used_at.0.saturating_add(TOUCH_LAG_MS) < now.0 {
            store.touch(&image.reference, now);
            store.keep_touch(&image.reference)?;
        }
        if !is_used {
            idle.push(image);
        }
    }
    // The oldest first.
    idle.sort_by_key(|image| image.used_at);
    for image in idle {
        let is_old = image.used_at.0.saturating_add(keep_ms) < now.0;
        if !is_old && !is_short() {
            break;
        }
        tracing::info!(image = image.reference, is_old, "removing an image");
        store.remove_image(&image.reference)?;
        store.remove_idle_layers(used)?;
    }
    store.remove_idle_layers(used).map(drop)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::manifest::ImageConfig;
    use super::super::reference::Reference;
    use super::super::store::Image;
    use super::*;

    fn add(store: &Store, name: &str, used_at: u64) -> Digest {
        let digest = Digest::of(name.as_bytes());
        let work = store.new_work().unwrap();
        std::fs::create_dir(work.path().join("fs")).unwrap();
        store.put_layer(&work, &digest).unwrap();
        let reference = Reference::parse(name).unwrap();
        let layers = [digest.clone()];
        store
            .put_image(Image::new(
                &reference,
                digest.clone(),
                ImageConfig::default(),
                &layers,
                Timestamp(used_at),
            ))
            .unwrap();
        digest
    }

    fn names(store: &Store) -> Vec<String> {
        let short = |name: &str| name.trim_start_matches("docker.io/library/").replace(":latest", "");
        store.images().iter().map(|image| short(&image.reference)).collect()
    }

    #[test]
    fn the_old_go_and_the_oldest_when_space_is_short_but_none_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let day = 24 * 60 * 60 * 1000;
        let keep = Duration::from_millis(7 * day);
        let runs = add(&store, "runs", 0);
        let [old, young] = [("old", day), ("young", 9 * day)].map(|(name, at)| add(&store, name, at));
        add(&store, "younger", 9 * day + 1);
        let used = HashSet::from([runs.clone()]);

        sweep(&store, &used, Timestamp(10 * day), keep, || false).unwrap();
        assert_eq!(names(&store), ["runs", "young", "younger"]);
        assert!(!store.has_layer(&old));
        // A running task's image is not old, however long ago it was started.
        sweep(&store, &HashSet::new(), Timestamp(10 * day), keep, || false).unwrap();
        assert_eq!(names(&store), ["runs", "young", "younger"]);

        // Short of space until one image is gone.
        let rounds = Cell::new(0);
        let is_short = || rounds.replace(rounds.get() + 1) < 1;
        sweep(&store, &used, Timestamp(10 * day), keep, is_short).unwrap();
        assert_eq!(names(&store), ["runs", "younger"]);
        assert!(!store.has_layer(&young));
        sweep(&store, &used, Timestamp(10 * day), keep, || true).unwrap();
        assert_eq!(names(&store), ["runs"]);
        assert!(store.has_layer(&runs));
    }
}
