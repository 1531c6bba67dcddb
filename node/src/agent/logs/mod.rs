//! Task output as it is written, for pages and the API. Reading is [`crate::log`]'s; here is the waiting.

mod watch;

use std::sync::Arc;

use console::{LogChunk, LogStream, SandboxError};
use futures::stream::{self, BoxStream, StreamExt};
use model::{State, TaskId};
use tokio::sync::watch::Receiver;

pub use watch::FileWatch;

use super::init_link::World;
use crate::config::Paths;

/// Bytes of one chunk of a followed log.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads and follows what the tasks of this node wrote.
#[derive(Debug, Clone)]
pub struct Logs {
    paths: Paths,
    files: Arc<FileWatch>,
    states: Receiver<Arc<State>>,
    world: Receiver<World>,
}

impl Logs {
    pub fn new(paths: Paths, states: Receiver<Arc<State>>, world: Receiver<World>) -> std::io::Result<Self> {
        Ok(Self { paths, files: Arc::new(FileWatch::new()?), states, world })
    }

    /// At most `limit` bytes from `offset`, or the last `limit` bytes.
    pub async fn read(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: Option<u64>,
        limit: usize,
    ) -> Result<LogChunk, SandboxError> {
        let (paths, task) = (self.paths.clone(), task.clone());
        let read = move || crate::log::read(&paths, &task, stream, offset, limit);
        tokio::task::spawn_blocking(read).await.map_err(|e| SandboxError::Io(e.to_string()))?
    }

    /// Output from `offset` on; ends once the task is over and the logger has closed its file.
    pub async fn follow(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: u64,
    ) -> Result<BoxStream<'static, LogChunk>, SandboxError> {
        let follower = Follower { logs: self.clone(), task: task.clone(), stream, offset, changes: None };
        if !follower.is_live() {
            // Ended long ago or never here: the first read says which.
            self.read(task, stream, Some(offset), 1).await?;
        }
        Ok(stream::unfold(follower, |mut f| async move { f.next().await.map(|chunk| (chunk, f)) }).boxed())
    }
}

struct Follower {
    logs: Logs,
    task: TaskId,
    stream: LogStream,
    offset: u64,
    /// Wakes when the file grows; made once the file is there.
    changes: Option<watch::Changes>,
}

impl Follower {
    /// The next chunk that holds something; `None` at the end.
    async fn next(&mut self) -> Option<LogChunk> {
        loop {
            if self.changes.is_none() {
                let file = crate::log::file(&self.logs.paths, &self.task, self.stream);
                self.changes = self.logs.files.watch(&file);
            }
            // Looked at before the read: what is written later either is read now or makes a change.
            let live = self.is_live();
            if let Some(changes) = &mut self.changes {
                changes.mark_seen();
            }
            match self.logs.read(&self.task, self.stream, Some(self.offset), CHUNK_BYTES).await {
                Ok(chunk) if !chunk.data.is_empty() => {
                    self.offset = chunk.end();
                    return Some(chunk);
                }
                Ok(_) | Err(SandboxError::NotFound) if live => self.wait().await,
                _ => return None,
            }
        }
    }

    /// True while more output may come: the task is planned, runs, or init still holds its output.
    fn is_live(&self) -> bool {
        let planned = self.logs.states.borrow().task(&self.task).is_some();
        let world = self.logs.world.borrow();
        planned || world.tasks.contains_key(&self.task) || world.exits.contains_key(&self.task)
    }

    async fn wait(&mut self) {
        let grown = async {
            match &mut self.changes {
                Some(changes) => changes.changed().await,
                None => std::future::pending().await,
            }
        };
        // Cancel safety: all three are mere wake-ups; the loop looks anew after any of them.
        tokio::select! {
            () = grown => {}
            _ = self.logs.states.changed() => {}
            _ = self.logs.world.changed() => {}
        }
    }
}
