//! Images of tasks: pulled once, shared, kept as long as they are of use.
//!
//! The node loop asks for the image of each task that it is to make, again and again, and never waits: it is told that
//! the image is there, on its way, or not to be had. One pull serves all tasks that wait for the same name; a pull
//! that nobody waits for any more ends. What is here is used without asking the registry, unless the app wants that
//! (`forcePullImage`).

mod manifest;
mod mirror;
mod pull;
mod reach;
mod reference;
mod registry;
mod store;
mod sweep;
mod unpack;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cluster::Cluster;
use console::Preparing;
use model::TaskId;
use model::app::Image as Wish;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use manifest::ImageConfig;
pub use mirror::{Endpoint, Mirror};
pub use reach::Reach;
pub use registry::{Ask, RegistryError, exchange};

use self::pull::{Progress, Puller};
use self::reference::Reference;
use self::store::{Image, Pin, Store};

/// How often people are told of progress, if there is any.
const TELL: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;

/// An image to start a task from.
pub struct Ready {
    image: Arc<Image>,
    /// The layers' folders, best first.
    pub folders: Vec<PathBuf>,
    /// Until the task's own bundle names the layers.
    _pin: Pin,
}

impl Ready {
    pub fn config(&self) -> &ImageConfig {
        &self.image.config
    }
}

/// Where the image of a task stands.
pub enum Wanted {
    Ready(Arc<Ready>),
    /// It is on its way; the watch of [`Images::changed`] moves when it is here.
    Pending(String),
    Failed(String),
}

#[derive(Clone)]
pub struct Images {
    puller: Arc<Puller>,
    cluster: Cluster,
    pulls: Arc<Mutex<Pulls>>,
    changed: watch::Sender<u64>,
    told: watch::Sender<Arc<Preparing>>,
}

#[derive(Default)]
struct Pulls {
    running: HashMap<Reference, Arc<Pull>>,
    /// What each task that is being made waits for, or was given.
    tasks: HashMap<TaskId, Arc<Pull>>,
}

struct Pull {
    /// As the app's author wrote it.
    given: String,
    progress: Progress,
    outcome: OnceLock<Result<Arc<Ready>, String>>,
    cancel: CancellationToken,
}

impl Pull {
    fn new(given: &str) -> Arc<Self> {
        Arc::new(Self {
            given: given.to_owned(),
            progress: Progress::default(),
            outcome: OnceLock::new(),
            cancel: CancellationToken::new(),
        })
    }

    fn wanted(&self) -> Wanted {
        match self.outcome.get() {
            Some(Ok(ready)) => Wanted::Ready(ready.clone()),
            Some(Err(error)) => Wanted::Failed(error.clone()),
            None => Wanted::Pending(format!("pulling {}", self.given)),
        }
    }

    /// `pulling nginx:1.7.7: 12 of 40 MiB`.
    fn told(&self) -> String {
        let (received, total) =
            (self.progress.received.load(Ordering::Relaxed), self.progress.total.load(Ordering::Relaxed));
        match total {
            0 => format!("pulling {}", self.given),
            _ => format!("pulling {}: {} of {} MiB", self.given, received / MIB, total.div_ceil(MIB)),
        }
    }
}

impl Images {
    /// Images below `folder`; what a crash left half done there is removed. What tasks of this node wait for goes to
    /// `told` in words, at most once a second.
    pub fn open(
        folder: &Path,
        reach: Reach,
        cluster: Cluster,
        told: watch::Sender<Arc<Preparing>>,
    ) -> std::io::Result<Self> {
        let store = Arc::new(Store::open(folder)?);
        Ok(Self {
            puller: Arc::new(Puller::new(store, reach)),
            cluster,
            pulls: Arc::default(),
            changed: watch::channel(0).0,
            told,
        })
    }

    /// Moves whenever a pull has ended.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Pulls> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the image of `task` stands; the first call for a task gets things going.
    pub fn want(&self, task: &TaskId, wish: &Wish) -> Wanted {
        let mut pulls = self.lock();
        if let Some(pull) = pulls.tasks.get(task) {
            return pull.wanted();
        }
        let reference = match Reference::parse(&wish.reference) {
            Ok(reference) => reference,
            Err(error) => return Wanted::Failed(error.to_string()),
        };
        let present = self.puller.store.find(&reference).filter(|_| !wish.force_pull);
        let pull = match (present, pulls.running.get(&reference)) {
            (Some(image), _) => {
                let pull = Pull::new(&wish.reference);
                // Nobody else has it yet, so it is empty.
                let _ = pull.outcome.set(Ok(self.ready(image)));
                pull
            }
            (None, Some(running)) => running.clone(),
            (None, None) => {
                let pull = Pull::new(&wish.reference);
                pulls.running.insert(reference.clone(), pull.clone());
                tokio::spawn(self.clone().run(reference, pull.clone()));
                pull
            }
        };
        pulls.tasks.insert(task.clone(), pull.clone());
        drop(pulls);
        self.tell();
        pull.wanted()
    }

    /// Forgets all tasks but those to keep; pulls for nobody end.
    pub fn retain(&self, keep: impl Fn(&TaskId) -> bool) {
        let mut pulls = self.lock();
        pulls.tasks.retain(|task, _| keep(task));
        let Pulls { running, tasks } = &mut *pulls;
        running.retain(|_, pull| {
            let is_wanted = tasks.values().any(|waiting| Arc::ptr_eq(waiting, pull));
            if !is_wanted {
                pull.cancel.cancel();
            }
            is_wanted
        });
        drop(pulls);
        self.tell();
    }

    fn ready(&self, image: Arc<Image>) -> Arc<Ready> {
        let store = &self.puller.store;
        store.touch(&image.reference, self.cluster.now());
        Arc::new(Ready { folders: store.folders(&image), _pin: store.pin(&image.layers), image })
    }

    async fn run(self, reference: Reference, pull: Arc<Pull>) {
        tracing::info!(image = %reference, "pulling");
        let pulling = self.puller.pull(&reference, self.cluster.now(), &pull.progress);
        let telling = async {
            loop {
                tokio::time::sleep(TELL).await;
                self.tell();
            }
        };
        // Cancel safety: what is dropped half done lies in the store's work folder and goes with it.
        let pulled = tokio::select! {
            pulled = pulling => pulled,
            () = telling => return,
            () = pull.cancel.cancelled() => {
                tracing::info!(image = %reference, "nobody waits for it any more");
                return;
            }
        };
        let outcome = match pulled {
            // Pinned until it is so for its tasks.
            Ok((image, _pin)) => {
                tracing::info!(image = %reference, digest = %image.digest, "pulled");
                Ok(self.ready(image))
            }
            Err(error) => {
                let text = format!("image {}: {error}", pull.given);
                tracing::warn!(image = %reference, no_space = error.is_space(), error = text, "not pulled");
                Err(text)
            }
        };
        let _ = pull.outcome.set(outcome);
        let mut pulls = self.lock();
        if pulls.running.get(&reference).is_some_and(|running| Arc::ptr_eq(running, &pull)) {
            pulls.running.remove(&reference);
        }
        drop(pulls);
        self.changed.send_modify(|count| *count += 1);
        self.tell();
    }

    /// Tells people what is under way, if it reads differently than before.
    fn tell(&self) {
        let waiting: Preparing = {
            let pulls = self.lock();
            let under_way = pulls.tasks.iter().filter(|(_, pull)| pull.outcome.get().is_none());
            under_way.map(|(task, pull)| (task.clone(), pull.told())).collect()
        };
        self.told.send_if_modified(|told| {
            let is_news = **told != waiting;
            if is_news {
                *told = Arc::new(waiting);
            }
            is_news
        });
    }
}
