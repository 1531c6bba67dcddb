//! The files of this node's tasks, for pages and the API: listed, opened, packed up. See [`place`] for why that is
//! safe. What is read of the disk is read on threads that may wait for it.

mod archive;
mod list;
mod place;
mod tar;
mod usage;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use console::sandbox::{
    Listing, LogHits, LogSearch, LogTimes, OpenFile, Opened, SandboxPath, Sandboxes, Usage,
};
use console::{LogStream, SandboxError};
use futures::stream::{BoxStream, StreamExt};
use model::TaskId;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use self::place::Found;
use self::usage::Meter;
use crate::config::Paths;

/// Each takes a thread for as long as its reader takes.
const ARCHIVES_MAX: usize = 4;
/// Searches and listings at once: each reads up to some megabytes.
const READS_MAX: usize = 8;

pub struct NodeSandboxes {
    paths: Paths,
    archives: Arc<Semaphore>,
    reads: Semaphore,
    meter: Arc<Meter>,
}

impl NodeSandboxes {
    pub fn new(paths: Paths) -> Self {
        let meter = Arc::new(Meter::new(&paths.cgroup));
        let archives = Arc::new(Semaphore::new(ARCHIVES_MAX));
        Self { paths, archives, reads: Semaphore::new(READS_MAX), meter }
    }

    /// `work` on a thread that may wait.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let _turn = self.reads.acquire().await.map_err(|_| SandboxError::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|e| SandboxError::Io(e.to_string()))?
    }

    fn sandbox(&self, task: &TaskId) -> PathBuf {
        self.paths.sandbox(task)
    }
}

#[async_trait::async_trait]
impl Sandboxes for NodeSandboxes {
    async fn list(
        &self,
        task: &TaskId,
        path: &SandboxPath,
        skip: usize,
        limit: usize,
    ) -> Result<Listing, SandboxError> {
        let (sandbox, path) = (self.sandbox(task), path.clone());
        self.read(move || match place::find(&sandbox, &path)? {
            Found::Folder(folder) => list::page(&folder, skip, limit).map_err(fault),
            Found::File(..) => Err(SandboxError::Refused("it is a file, not a folder")),
        })
        .await
    }

    async fn open(&self, task: &TaskId, path: &SandboxPath) -> Result<Opened, SandboxError> {
        let (sandbox, path) = (self.sandbox(task), path.clone());
        self.read(move || match place::find(&sandbox, &path)? {
            Found::Folder(_) => Ok(Opened::Folder),
            Found::File(file, meta) => {
                use std::os::unix::fs::MetadataExt;
                let tag = format!("{:x}-{:x}-{:x}", meta.ino(), meta.len(), meta.mtime_nsec());
                Ok(Opened::File(OpenFile {
                    size: meta.len(),
                    modified_ms: list::modified_ms(meta.mtime(), meta.mtime_nsec()),
                    tag: format!("{tag}-{:x}", meta.mtime()),
                    content: Arc::new(file),
                }))
            }
        })
        .await
    }

    async fn archive(
        &self,
        task: &TaskId,
        path: &SandboxPath,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, SandboxError> {
        let turn = self.archives.clone().try_acquire_owned().map_err(|_| SandboxError::Busy)?;
        let (sandbox, wanted) = (self.sandbox(task), path.clone());
        let found = self.read(move || place::find(&sandbox, &wanted)).await?;
        let Found::Folder(folder) = found else {
            return Err(SandboxError::Refused("it is a file, not a folder"));
        };
        let name = if path.is_root() { b"sandbox".to_vec() } else { path.name().to_vec() };
        let (sender, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let made = archive::write(archive::Pieces::new(sender.clone()), folder, &name);
            if let Err(error) = made {
                // The answer breaks off; whoever has gone away does not hear it.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(ReceiverStream::new(receiver).boxed())
    }

    async fn search(
        &self,
        task: &TaskId,
        stream: LogStream,
        search: &LogSearch,
    ) -> Result<LogHits, SandboxError> {
        let (paths, task, search) = (self.paths.clone(), task.clone(), search.clone());
        self.read(move || crate::log::search(&paths, &task, stream, &search)).await
    }

    async fn log_times(&self, task: &TaskId, stream: LogStream) -> Result<LogTimes, SandboxError> {
        let (paths, task) = (self.paths.clone(), task.clone());
        self.read(move || crate::log::times(&paths, &task, stream)).await
    }

    async fn usage(&self, task: &TaskId) -> Result<Usage, SandboxError> {
        let (meter, task) = (self.meter.clone(), task.clone());
        self.read(move || meter.read(&task).ok_or(SandboxError::NotFound)).await
    }
}

fn fault(error: io::Error) -> SandboxError {
    SandboxError::Io(error.to_string())
}
