//! One inotify instance for all followers of a node: the kernel allows few instances and many watches.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use inotify::{Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::watch;

const EVENT_BUFFER_BYTES: usize = 4096;

type Senders = Arc<Mutex<HashMap<WatchDescriptor, watch::Sender<()>>>>;

/// Tells when files are written.
#[derive(Debug)]
pub struct FileWatch {
    watches: Mutex<Watches>,
    senders: Senders,
}

/// Wakes when the watched file was written since [`Changes::mark_seen`].
#[derive(Debug)]
pub struct Changes(watch::Receiver<()>);

impl Changes {
    pub fn mark_seen(&mut self) {
        self.0.mark_unchanged();
    }

    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl FileWatch {
    /// Must be called within the runtime.
    pub fn new() -> std::io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        let senders = Senders::default();
        let events = inotify.into_event_stream(vec![0; EVENT_BUFFER_BYTES])?;
        tokio::spawn(deliver(events, watches.clone(), senders.clone()));
        Ok(Self { watches: Mutex::new(watches), senders })
    }

    /// `None` if the file is not there (yet) or cannot be watched.
    pub fn watch(&self, file: &Path) -> Option<Changes> {
        let mask = WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::DONT_FOLLOW;
        // The kernel gives the same descriptor for the same file, so followers of one file share a sender. The
        // senders are locked over both steps, or an event could come between them.
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = watches.add(file, mask).ok()?;
        let sender = senders.entry(descriptor).or_insert_with(|| watch::channel(()).0);
        Some(Changes(sender.subscribe()))
    }
}

/// Passes events on, and drops the watch of a file once nobody follows it.
async fn deliver(mut events: inotify::EventStream<Vec<u8>>, mut watches: Watches, senders: Senders) {
    while let Some(Ok(event)) = events.next().await {
        let mut senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = senders.get(&event.wd).is_some_and(|sender| sender.send(()).is_ok());
        if !followed && senders.remove(&event.wd).is_some() {
            // Fails when the file is gone, and the watch with it.
            let _ = watches.remove(event.wd);
        }
    }
}
