//! One pull: name → manifest → configuration → the layers that are not here yet.
//!
//! A blob is written to disk first and unpacked only once its digest is right, so that nothing unknown is ever parsed
//! as an archive, and a transfer that breaks goes on where it stopped.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use model::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::manifest::{self, CONFIG_BYTES_MAX, Descriptor, Document, Manifest, ManifestError};
use super::reach::Reach;
use super::reference::{Digest, Reference, Version};
use super::registry::{self, RegistryError, Repository};
use super::store::{Image, Pin, Store, Work};
use super::unpack::{self, Limits, UnpackError};

/// Waits before a request that failed by bad luck is made again.
const RETRIES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// A transfer that gets on a little each time is still given up some time.
const TRIES_MAX: usize = 50;
const TRANSFERS_MAX: usize = 3;
const ENTRIES_MAX: u64 = 1_000_000;
const LAYER_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Space that layers leave free: a part of the file system, and no more than this.
const RESERVE_PART: u64 = 50;
const RESERVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("the registry {registry}: {source}")]
    Registry {
        registry: String,
        #[source]
        source: RegistryError,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("layer {}: {source}", short(.layer))]
    Layer {
        layer: Digest,
        #[source]
        source: UnpackError,
    },
    #[error("{step}: {source}")]
    Disk {
        step: &'static str,
        #[source]
        source: io::Error,
    },
}

impl PullError {
    /// Whether room on the disk would have helped.
    pub fn is_space(&self) -> bool {
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        match self {
            Self::Disk { source, .. } => is_full(source),
            Self::Layer { source: UnpackError::NoSpace { .. }, .. } => true,
            Self::Layer {
                source: UnpackError::Write { source, .. } | UnpackError::Io { source, .. },
                ..
            } => is_full(source),
            _ => false,
        }
    }
}

/// Enough of a digest to find it.
fn short(digest: &Digest) -> String {
    format!("sha256:{}", &digest.hex()[..12])
}

/// How far a pull has come, for people.
#[derive(Debug, Default)]
pub struct Progress {
    pub received: AtomicU64,
    pub total: AtomicU64,
}

/// What all pulls of a node share.
pub struct Puller {
    pub store: Arc<Store>,
    reach: Reach,
    transfers: Semaphore,
    unpacks: Semaphore,
    /// Layers under way: two images that share one fetch it once.
    layers: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// Ends the thread that unpacks when nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Puller {
    pub fn new(store: Arc<Store>, reach: Reach) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            reach,
            transfers: Semaphore::new(TRANSFERS_MAX),
            unpacks: Semaphore::new(processors),
            layers: Mutex::default(),
        }
    }

    /// Makes the image of that name be here as the registry has it now, and keeps it here for as long as the pin lives.
    pub async fn pull(
        &self,
        reference: &Reference,
        now: Timestamp,
        progress: &Progress,
    ) -> Result<(Arc<Image>, Pin), PullError> {
        let way = self.reach.to(&reference.registry);
        let registry = match way.endpoint.host == reference.registry {
            true => reference.registry.clone(),
            false => format!("{} (asked at {})", reference.registry, way.endpoint.host),
        };
        let at = |source| PullError::Registry { registry: registry.clone(), source };
        let repository = Repository::new(way, &reference.repository);
        if let Some(image) = self.store.find(reference)
            && retry(|| repository.digest_of(&reference.version)).await.map_err(&at)?
                == Some(image.digest.clone())
        {
            let pin = self.store.pin(&image.layers);
            return Ok((image, pin));
        }
        let (digest, manifest) = find_manifest(&repository, &reference.version, &at).await?;
        let what = "its configuration";
        let config =
            retry(|| repository.blob(&manifest.config, CONFIG_BYTES_MAX, what)).await.map_err(&at)?;
        let (config, diffs) = manifest::parse_config(&config, manifest.layers.len())?;
        let pin = self.store.pin(&diffs);
        let missing: Vec<(&Descriptor, &Digest)> = {
            let mut seen = std::collections::HashSet::new();
            let both = manifest.layers.iter().zip(&diffs);
            both.filter(|(_, diff)| !self.store.has_layer(diff) && seen.insert(*diff)).collect()
        };
        progress.total.store(missing.iter().map(|(blob, _)| blob.size).sum(), Ordering::Relaxed);
        try_join_all(
            missing.into_iter().map(|(blob, diff)| self.layer(&repository, blob, diff, &at, progress)),
        )
        .await?;
        let image = Image::new(reference, digest, config, &diffs, now);
        let store = self.store.clone();
        let image = blocking(move || store.put_image(image))
            .await
            .map_err(|source| PullError::Disk { step: "noting the image", source })?;
        Ok((image, pin))
    }

    async fn layer(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        diff: &Digest,
        at: &impl Fn(RegistryError) -> PullError,
        progress: &Progress,
    ) -> Result<(), PullError> {
        let lock = {
            let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
            layers.retain(|_, lock| Arc::strong_count(lock) > 1);
            layers.entry(diff.clone()).or_default().clone()
        };
        let _alone = lock.lock().await;
        if self.store.has_layer(diff) {
            progress.received.fetch_add(blob.size, Ordering::Relaxed);
            return Ok(());
        }
        let disk = |step| move |source| PullError::Disk { step, source };
        let work = self.store.new_work().map_err(disk("making room for a layer"))?;
        let file = work.path().join("blob");
        {
            // Both are open for as long as the node is.
            let _turn = self.transfers.acquire().await;
            fetch(repository, blob, &file, at, progress, self.reserve()).await?;
        }
        let _turn = self.unpacks.acquire().await;
        let cancelled = Arc::new(AtomicBool::new(false));
        let _cancel = CancelOnDrop(cancelled.clone());
        let (store, diff, reserve) = (self.store.clone(), diff.clone(), self.reserve());
        let layer = blob.digest.clone();
        let place = move || place(&store, work, &diff, reserve, &cancelled);
        blocking(move || Ok(place()))
            .await
            .map_err(disk("unpacking a layer"))?
            .map_err(|source| PullError::Layer { layer, source })
    }

    fn reserve(&self) -> u64 {
        self.store.space().map_or(0, |(_, total)| (total / RESERVE_PART).min(RESERVE_BYTES_MAX))
    }
}

/// The digest of what the name stands for, and the manifest for this platform.
async fn find_manifest(
    repository: &Repository,
    version: &Version,
    at: &impl Fn(RegistryError) -> PullError,
) -> Result<(Digest, Manifest), PullError> {
    let found = retry(|| repository.manifest(version)).await.map_err(at)?;
    let digest = found.digest;
    let chosen = match Document::parse(&found.bytes)? {
        Document::Manifest(manifest) => return Ok((digest, manifest)),
        Document::Index(chosen) => Version::Digest(chosen.digest),
    };
    let found = retry(|| repository.manifest(&chosen)).await.map_err(at)?;
    match Document::parse(&found.bytes)? {
        Document::Manifest(manifest) => Ok((digest, manifest)),
        Document::Index(_) => Err(ManifestError::NoImage("an index within an index".to_owned()).into()),
    }
}

/// In a thread that may block: from the blob in `work` to the layer in its place.
fn place(
    store: &Store,
    work: Work,
    diff: &Digest,
    reserve: u64,
    cancelled: &Arc<AtomicBool>,
) -> Result<(), UnpackError> {
    let failed = |step| move |source| UnpackError::Io { step, source };
    let (blob, root) = (work.path().join("blob"), work.path().join("fs"));
    std::fs::create_dir(&root).map_err(failed("making the layer's folder"))?;
    let file = std::fs::File::open(&blob).map_err(failed("opening the layer's archive"))?;
    let limits = Limits { entries: ENTRIES_MAX, bytes: LAYER_BYTES_MAX, reserve };
    unpack::unpack(file, &root, diff, limits, cancelled)?;
    std::fs::remove_file(&blob).map_err(failed("removing the layer's archive"))?;
    store.put_layer(&work, diff).map_err(failed("putting the layer into its place"))
}

/// Writes a blob to `path` and checks size and digest; goes on where a broken transfer stopped.
async fn fetch(
    repository: &Repository,
    blob: &Descriptor,
    path: &Path,
    at: &impl Fn(RegistryError) -> PullError,
    progress: &Progress,
    reserve: u64,
) -> Result<(), PullError> {
    let disk = |source| PullError::Disk { step: "writing a layer's archive", source };
    let mut file = File::create(path).await.map_err(disk)?;
    let mut part = Part { hash: Sha256::new(), bytes: 0 };
    let (mut tries, mut fruitless) = (0, 0);
    let what = || format!("layer {}", short(&blob.digest));
    loop {
        let before = part.bytes;
        let error = match transfer(repository, blob, &mut file, &mut part, progress, reserve).await {
            Ok(()) if part.bytes == blob.size => break,
            Ok(()) => RegistryError::Broken(format!("it sent {} of {} bytes", part.bytes, blob.size)),
            Err(TransferError::Registry(error)) => error,
            Err(TransferError::Disk(error)) => return Err(disk(error)),
            Err(TransferError::Space(source)) => {
                return Err(PullError::Layer { layer: blob.digest.clone(), source });
            }
            Err(TransferError::TooLarge) => {
                return Err(at(RegistryError::TooLarge { what: what(), limit: blob.size }));
            }
        };
        tries += 1;
        fruitless = if part.bytes > before { 0 } else { fruitless + 1 };
        match RETRIES.get(fruitless) {
            Some(wait) if error.is_transient() && tries < TRIES_MAX => tokio::time::sleep(*wait).await,
            _ => return Err(at(error)),
        }
    }
    file.flush().await.map_err(disk)?;
    registry::check(&what(), Some(&blob.digest), &Digest::from_hash(&part.hash.finalize())).map_err(at)
}

/// What of a blob is on the disk.
struct Part {
    hash: Sha256,
    bytes: u64,
}

enum TransferError {
    Registry(RegistryError),
    Disk(io::Error),
    Space(UnpackError),
    TooLarge,
}

impl From<RegistryError> for TransferError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

async fn transfer(
    repository: &Repository,
    blob: &Descriptor,
    file: &mut File,
    part: &mut Part,
    progress: &Progress,
    reserve: u64,
) -> Result<(), TransferError> {
    const SPACE_EVERY: u64 = 16 * 1024 * 1024;
    let (begin, mut transfer) = repository.open_blob(&blob.digest, part.bytes).await?;
    if begin > part.bytes {
        return Err(
            RegistryError::Nonsense("a part of another position than was asked for".to_owned()).into()
        );
    }
    // A registry that sends the beginning again: it is read and left alone.
    let mut skip = part.bytes - begin;
    while let Some(bytes) = transfer.next().await? {
        let skipped = skip.min(bytes.len() as u64);
        skip -= skipped;
        let fresh = &bytes[skipped as usize..];
        if part.bytes + fresh.len() as u64 > blob.size {
            return Err(TransferError::TooLarge);
        }
        if part.bytes / SPACE_EVERY != (part.bytes + fresh.len() as u64) / SPACE_EVERY || part.bytes == 0 {
            unpack::check_space(file, reserve).map_err(TransferError::Space)?;
        }
        file.write_all(fresh).await.map_err(TransferError::Disk)?;
        part.hash.update(fresh);
        part.bytes += fresh.len() as u64;
        progress.received.fetch_add(fresh.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Makes a request again while it fails by bad luck.
async fn retry<T, F: Future<Output = Result<T, RegistryError>>>(
    request: impl Fn() -> F,
) -> Result<T, RegistryError> {
    let mut waits = RETRIES.iter();
    loop {
        match (request().await, waits.next()) {
            (Err(error), Some(wait)) if error.is_transient() => {
                tracing::debug!(%error, "asking the registry again");
                tokio::time::sleep(*wait).await;
            }
            (result, _) => return result,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
