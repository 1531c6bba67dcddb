//! Task output as it is written, for pages and the API. Reading is [`crate::log`]'s; here is the waiting.

mod watch;

use std::sync::Arc;

use console::{LogChunk, LogStream, SandboxError};
use futures::future::select_all;
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
        let mut follower = Follower {
            logs: self.clone(),
            task: task.clone(),
            stream,
            offset,
            was_live: false,
            changes: Vec::new(),
        };
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
    /// It lived while it was followed: then the logger will say when its output has ended.
    was_live: bool,
    /// Wake when the stream's file or the index is written; made once both are there.
    changes: Vec<watch::Changes>,
}

impl Follower {
    /// The next chunk that holds something; `None` at the end.
    async fn next(&mut self) -> Option<LogChunk> {
        loop {
            if self.changes.len() < 2 {
                let [file, index] = crate::log::files(&self.logs.paths, &self.task, self.stream);
                self.changes = [file, index].iter().filter_map(|f| self.logs.files.watch(f)).collect();
            }
            // Looked at before the read: what is written later either is read now or makes a change.
            let live = self.is_live();
            self.changes.iter_mut().for_each(watch::Changes::mark_seen);
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

    /// True while more output may come: the task is planned or runs, or the logger still has some of it.
    fn is_live(&mut self) -> bool {
        let planned = self.logs.states.borrow().task(&self.task).is_some();
        let runs = self.logs.world.borrow().tasks.contains_key(&self.task);
        let here = planned || runs;
        self.was_live |= here;
        match crate::log::has_ended(&self.logs.paths, &self.task) {
            Ok(ended) => self.was_live && !ended,
            // No output was ever set up: there is some to come only if the task is.
            Err(_) => here,
        }
    }

    async fn wait(&mut self) {
        let grown = async {
            match self.changes.is_empty() {
                true => std::future::pending().await,
                false => drop(select_all(self.changes.iter_mut().map(|c| Box::pin(c.changed()))).await),
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
