//! What is kept on disk: layers, each unpacked once, and what images are made of.
//!
//! `layers/HEX/fs` is a layer by the digest of its archive, `names/HEX.json` an image by its name, `work/` whatever is
//! not finished. Things are finished in `work` and then moved into place, so that a layer that is there is whole; what
//! a crash leaves in `work` is removed at the next start.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};

use super::manifest::ImageConfig;
use super::reference::{Digest, Reference};

const FORMAT: u32 = 1;

/// An image that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    format: u32,
    /// Everything filled in.
    pub reference: String,
    /// Of what the name stood for when it was pulled: an index or a manifest.
    pub digest: Digest,
    pub config: ImageConfig,
    /// The lowest first, each once.
    pub layers: Vec<Digest>,
    /// When a task last had it.
    pub used_at: Timestamp,
}

impl Image {
    pub fn new(
        reference: &Reference,
        digest: Digest,
        config: ImageConfig,
        diffs: &[Digest],
        at: Timestamp,
    ) -> Self {
        Self {
            format: FORMAT,
            reference: reference.to_string(),
            digest,
            config,
            layers: once_each(diffs),
            used_at: at,
        }
    }
}

/// Of a layer that comes twice only the upper one counts; overlayfs refuses the same folder twice.
fn once_each(diffs: &[Digest]) -> Vec<Digest> {
    let mut seen = HashSet::new();
    let mut layers: Vec<Digest> = diffs.iter().rev().filter(|diff| seen.insert(*diff)).cloned().collect();
    layers.reverse();
    layers
}

pub struct Store {
    root: PathBuf,
    work_count: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    images: BTreeMap<String, Arc<Image>>,
    layers: HashSet<Digest>,
    /// How many pulls and launches under way need a layer.
    pins: HashMap<Digest, usize>,
}

/// Keeps layers from being removed for as long as it lives.
pub struct Pin {
    store: Arc<Store>,
    layers: Vec<Digest>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut inner = self.store.lock();
        for layer in &self.layers {
            if let Some(count) = inner.pins.get_mut(layer) {
                *count -= 1;
                if *count == 0 {
                    inner.pins.remove(layer);
                }
            }
        }
    }
}

/// A folder for something unfinished; removed with what is in it unless it was moved into place.
pub struct Work(PathBuf);

impl Work {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.0.display(), "unfinished work stays until the next start");
            }
            _ => {}
        }
    }
}

impl Store {
    /// Opens the store below `root`, makes what is missing, and drops what is not whole.
    pub fn open(root: &Path) -> io::Result<Self> {
        let store = Self { root: root.to_owned(), work_count: AtomicU64::new(0), inner: Mutex::default() };
        match fs::remove_dir_all(store.work()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in [store.layers(), store.names(), store.work()] {
            fs::create_dir_all(&folder)?;
        }
        // Only the node may look into it: layers hold programs that become root for whoever starts them.
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let mut inner = Inner::default();
        for entry in fs::read_dir(store.layers())? {
            let name = entry?.file_name();
            inner.layers.extend(name.to_str().and_then(|hex| Digest::parse(&format!("sha256:{hex}"))));
        }
        for entry in fs::read_dir(store.names())? {
            let path = entry?.path();
            match read_image(&path) {
                Ok(image) if image.layers.iter().all(|layer| inner.layers.contains(layer)) => {
                    inner.images.insert(image.reference.clone(), Arc::new(image));
                }
                Ok(image) => {
                    tracing::warn!(image = image.reference, "a layer is missing; it will be pulled again")
                }
                Err(error) => tracing::warn!(%error, path = %path.display(), "an image's file is not used"),
            }
        }
        *store.lock() = inner;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    fn name_path(&self, reference: &str) -> PathBuf {
        self.names().join(format!("{}.json", Digest::of(reference.as_bytes()).hex()))
    }

    /// The folders of the image's root, best first.
    pub fn folders(&self, image: &Image) -> Vec<PathBuf> {
        image.layers.iter().rev().map(|layer| self.layers().join(layer.hex()).join("fs")).collect()
    }

    pub fn find(&self, reference: &Reference) -> Option<Arc<Image>> {
        self.lock().images.get(&reference.to_string()).cloned()
    }

    pub fn images(&self) -> Vec<Arc<Image>> {
        self.lock().images.values().cloned().collect()
    }

    pub fn has_layer(&self, layer: &Digest) -> bool {
        self.lock().layers.contains(layer)
    }

    /// Layers that are to stay for a task or a pull, whether they are here or not.
    pub fn pinned(&self) -> HashSet<Digest> {
        self.lock().pins.keys().cloned().collect()
    }

    /// From now on these layers stay, those that are here and those that come.
    pub fn pin(self: &Arc<Self>, layers: &[Digest]) -> Pin {
        let mut inner = self.lock();
        for layer in layers {
            *inner.pins.entry(layer.clone()).or_default() += 1;
        }
        Pin { store: self.clone(), layers: layers.to_vec() }
    }

    pub fn new_work(&self) -> io::Result<Work> {
        let path = self.work().join(self.work_count.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&path)?;
        Ok(Work(path))
    }

    /// Moves `work`, which holds the unpacked layer as `fs`, into place; durable when this returns.
    pub fn put_layer(&self, work: &Work, layer: &Digest) -> io::Result<()> {
        let parent = File::open(self.layers())?;
        // All of the new files at once; one by one it would take far longer.
        nix::unistd::syncfs(&parent)?;
        fs::rename(work.path(), self.layers().join(layer.hex()))?;
        parent.sync_all()?;
        self.lock().layers.insert(layer.clone());
        Ok(())
    }

    /// Remembers what a name stands for; durable when this returns.
    pub fn put_image(&self, image: Image) -> io::Result<Arc<Image>> {
        let path = self.name_path(&image.reference);
        let work = self.new_work()?;
        let fresh = work.path().join("image.json");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(&image)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(self.names())?.sync_all()?;
        let image = Arc::new(image);
        self.lock().images.insert(image.reference.clone(), image.clone());
        Ok(image)
    }

    /// Notes that an image is of use. Not written at once: losing it in a crash makes the image look older, no more.
    pub fn touch(&self, reference: &str, at: Timestamp) {
        if let Some(image) = self.lock().images.get_mut(reference) {
            Arc::make_mut(image).used_at = at.max(image.used_at);
        }
    }

    /// Writes down when an image was last of use.
    pub fn keep_touch(&self, reference: &str) -> io::Result<()> {
        let image = self.lock().images.get(reference).cloned();
        image.map_or(Ok(()), |image| self.put_image((*image).clone()).map(drop))
    }

    pub fn remove_image(&self, reference: &str) -> io::Result<()> {
        self.lock().images.remove(reference);
        fs::remove_file(self.name_path(reference))
    }

    /// Removes all layers that no image has, nobody pins, and `used` does not name. Returns how many.
    pub fn remove_idle_layers(&self, used: &HashSet<Digest>) -> io::Result<usize> {
        let mut doomed = Vec::new();
        {
            let mut inner = self.lock();
            let of_images: HashSet<Digest> =
                inner.images.values().flat_map(|i| i.layers.iter().cloned()).collect();
            let is_idle = |layer: &&Digest| {
                !of_images.contains(*layer) && !used.contains(*layer) && !inner.pins.contains_key(*layer)
            };
            let idle: Vec<Digest> = inner.layers.iter().filter(is_idle).cloned().collect();
            for layer in idle {
                // Out of place in one step, so that a crash leaves no half of it; the slow part follows.
                let work = self.new_work()?;
                fs::rename(self.layers().join(layer.hex()), work.path().join("fs"))?;
                inner.layers.remove(&layer);
                doomed.push(work);
            }
        }
        Ok(doomed.len())
    }

    /// Free and total bytes of the file system.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let stat = statvfs(&self.root)?;
        Ok((stat.blocks_available() * stat.fragment_size(), stat.blocks() * stat.fragment_size()))
    }
}

fn read_image(path: &Path) -> io::Result<Image> {
    let image: Image = serde_json::from_slice(&fs::read(path)?)?;
    match image.format {
        FORMAT => Ok(image),
        other => Err(io::Error::other(format!("format {other} where {FORMAT} was expected"))),
    }
}

/// The layers in `lowers` that belong to a store.
pub fn layers_of(lowers: &[PathBuf]) -> impl Iterator<Item = Digest> {
    let hex = |path: &PathBuf| path.parent()?.file_name()?.to_str().map(|hex| format!("sha256:{hex}"));
    lowers.iter().filter_map(hex).filter_map(|text| Digest::parse(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(store: &Store, name: &str) -> Digest {
        let digest = Digest::of(name.as_bytes());
        let work = store.new_work().unwrap();
        fs::create_dir(work.path().join("fs")).unwrap();
        store.put_layer(&work, &digest).unwrap();
        digest
    }

    fn image(name: &str, layers: &[Digest]) -> Image {
        let reference = Reference::parse(name).unwrap();
        Image::new(&reference, Digest::of(b"manifest"), ImageConfig::default(), layers, Timestamp(5))
    }

    #[test]
    fn what_was_finished_is_there_after_a_start_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (a, b) = (layer(&store, "a"), layer(&store, "b"));
        let kept = store.put_image(image("kept", &[a.clone(), b.clone(), a.clone()])).unwrap();
        assert_eq!(kept.layers, [b.clone(), a.clone()]);
        store.put_image(image("torn", &[Digest::of(b"never came")])).unwrap();
        let half = store.new_work().unwrap();
        fs::write(half.path().join("blob"), "half").unwrap();
        std::mem::forget(half);
        fs::write(dir.path().join("names/x.json"), "{").unwrap();
        drop(store);

        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.images(), std::slice::from_ref(&kept));
        assert!(store.has_layer(&a) && store.has_layer(&b));
        assert_eq!(fs::read_dir(dir.path().join("work")).unwrap().count(), 0);
        let folders = store.folders(&kept);
        assert!(folders.iter().all(|folder| folder.is_dir()), "{folders:?}");
        assert_eq!(layers_of(&folders).collect::<Vec<_>>(), [a, b]);
    }

    #[test]
    fn a_layer_stays_while_anything_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let (named, pinned, used, idle) =
            (layer(&store, "named"), layer(&store, "pinned"), layer(&store, "used"), layer(&store, "idle"));
        store.put_image(image("app", std::slice::from_ref(&named))).unwrap();
        let pin = store.pin(std::slice::from_ref(&pinned));
        let pin_again = store.pin(std::slice::from_ref(&pinned));
        let running = HashSet::from([used.clone()]);
        assert_eq!(store.remove_idle_layers(&running).unwrap(), 1);
        assert!(!store.has_layer(&idle) && !dir.path().join("layers").join(idle.hex()).exists());
        drop(pin);
        assert_eq!(store.remove_idle_layers(&running).unwrap(), 0);
        drop(pin_again);
        assert_eq!(store.remove_idle_layers(&HashSet::new()).unwrap(), 2);
        assert!(store.has_layer(&named));
        store.remove_image("docker.io/library/app:latest").unwrap();
        assert_eq!(store.remove_idle_layers(&HashSet::new()).unwrap(), 1);
    }
}
