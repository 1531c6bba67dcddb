//! The replicated state: committed entries in, states out.
//!
//! Called by openraft, one batch of entries at a time. Readers get each batch's last state through a watch; whoever
//! proposed a command gets its answer after that state is published.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, TryStreamExt};
use model::{Applied, Envelope, State};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend};
use tokio::sync::watch;

use crate::clock::ClusterClock;
use crate::snapshot::{Snapshots, Stored};
use crate::space::Space;
use crate::types::{Answer, Entry, LogId, Logged, Snapshot, SnapshotMeta, StoredMembership, Tc};

/// Where snapshots are kept: a folder, or what the simulation has for one.
pub trait Keep: Send + Sync + 'static {
    /// `expected`: bytes of the last one.
    fn has_room(&self, expected: u64) -> bool;

    /// Makes a snapshot durable; the bytes it takes.
    fn save<R: AsyncRuntime>(
        &self,
        meta: SnapshotMeta,
        state: Arc<State>,
    ) -> impl Future<Output = io::Result<u64>> + Send;
}

/// Files beside the log.
pub struct Folder {
    pub snapshots: Arc<Snapshots>,
    pub space: Arc<Space>,
}

impl Keep for Folder {
    fn has_room(&self, expected: u64) -> bool {
        self.space.has_room_for_snapshot(expected)
    }

    async fn save<R: AsyncRuntime>(&self, meta: SnapshotMeta, state: Arc<State>) -> io::Result<u64> {
        let snapshots = self.snapshots.clone();
        R::spawn_blocking(move || snapshots.save(&meta, &state)).await?
    }
}

pub struct Machine<K = Folder> {
    state: State,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    published: watch::Sender<Arc<State>>,
    /// Index of the last entry that is in the published state.
    applied: watch::Sender<Option<u64>>,
    shared: Shared<K>,
}

/// What the machine and a builder at work both use.
struct Shared<K> {
    clock: Arc<ClusterClock>,
    keep: Arc<K>,
    current: Arc<Mutex<Option<Stored>>>,
}

// A derive would ask the same of `K`.
impl<K> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), keep: self.keep.clone(), current: self.current.clone() }
    }
}

impl<K: Keep> Machine<K> {
    /// Continues from `stored`, or from nothing.
    pub fn new(stored: Option<Stored>, keep: K, clock: Arc<ClusterClock>) -> Self {
        let (state, meta) = match &stored {
            Some(stored) => ((*stored.state).clone(), stored.meta.clone()),
            None => (State::default(), SnapshotMeta::default()),
        };
        clock.observe(state.now);
        let published = watch::Sender::new(Arc::new(state.clone()));
        let last_applied = meta.last_log_id;
        let applied = watch::Sender::new(last_applied.map(|id| id.index));
        let current = Arc::new(Mutex::new(stored));
        let shared = Shared { clock, keep: Arc::new(keep), current };
        Self { state, last_applied, membership: meta.last_membership, published, applied, shared }
    }

    /// Index of the last entry applied. Wakes after the state that has it is published.
    pub fn applied(&self) -> watch::Receiver<Option<u64>> {
        self.applied.subscribe()
    }

    pub fn last_applied(&self) -> Option<LogId> {
        self.last_applied
    }

    /// As of the last entry applied.
    pub fn membership(&self) -> &StoredMembership {
        &self.membership
    }

    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.published.subscribe()
    }

    pub fn publish(&self) {
        self.shared.clock.observe(self.state.now);
        self.published.send_replace(Arc::new(self.state.clone()));
        self.applied.send_replace(self.last_applied.map(|id| id.index));
    }

    /// Takes in one committed entry. Readers see it once it is published.
    pub fn take(&mut self, entry: Entry) -> io::Result<Answer> {
        let id = entry.log_id;
        let answer = match entry.payload {
            EntryPayload::Blank => Answer(None),
            EntryPayload::Normal(Logged(envelope)) => Answer(Some(self.apply_command(id.index, &envelope)?)),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                Answer(None)
            }
        };
        self.last_applied = Some(id);
        Ok(answer)
    }

    /// Applies one command, or says why this program must not go on.
    fn apply_command(&mut self, index: u64, envelope: &Envelope) -> io::Result<Applied> {
        if envelope.format != model::command::FORMAT {
            let (found, known) = (envelope.format, model::command::FORMAT);
            return Err(io::Error::other(format!(
                "command {index} has format {found}, this program knows {known}: a newer version proposed it"
            )));
        }
        // A panic would end openraft's task without a word; as an error it names the entry.
        let applied = catch_unwind(AssertUnwindSafe(|| self.state.apply(index, envelope)))
            .map_err(|_| io::Error::other(format!("applying command {index} panicked")))?;
        if self.state.feature_level > model::command::FEATURE_LEVEL {
            let (found, known) = (self.state.feature_level, model::command::FEATURE_LEVEL);
            return Err(io::Error::other(format!(
                "command {index} raised the feature level to {found}, this program knows {known}"
            )));
        }
        Ok(applied)
    }
}

impl<R: AsyncRuntime, K: Keep> RaftStateMachine<Tc<R>> for Machine<K> {
    type SnapshotData = Arc<State>;
    type SnapshotBuilder = Builder<K>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Tc<R>>>> + Unpin + OptionalSend,
    {
        let mut answers: Vec<(ApplyResponder<Tc<R>>, Answer)> = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let answer = self.take(entry)?;
            answers.extend(responder.map(|responder| (responder, answer)));
        }
        self.publish();
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    /// `None` refuses: a snapshot that fills the disk would stop the node, a log that is not compacted yet does not.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder<K>> {
        let expected = self.shared.current().map_or(0, |stored| stored.bytes);
        if !force && !self.shared.keep.has_room(expected) {
            tracing::warn!(expected, "no space for a snapshot; the log is not compacted for now");
            return None;
        }
        Some(self.builder())
    }

    async fn get_snapshot_builder(&mut self) -> Builder<K> {
        self.builder()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, state: Arc<State>) -> io::Result<()> {
        let stored = self.shared.current().is_some_and(|stored| stored.meta == *meta);
        if !stored {
            self.shared.save::<R>(meta.clone(), state.clone()).await?;
        }
        self.state = (*state).clone();
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.shared.current();
        Ok(current.map(|stored| Snapshot { meta: stored.meta, snapshot: stored.state }))
    }
}

impl<K: Keep> Machine<K> {
    fn builder(&self) -> Builder<K> {
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        Builder { meta, state: Arc::new(self.state.clone()), shared: self.shared.clone() }
    }
}

impl<K: Keep> Shared<K> {
    fn current(&self) -> Option<Stored> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the snapshot the current one once it is durable, unless a newer one was installed meanwhile.
    async fn save<R: AsyncRuntime>(&self, meta: SnapshotMeta, state: Arc<State>) -> io::Result<()> {
        let bytes = self.keep.save::<R>(meta.clone(), state.clone()).await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|stored| stored.meta.last_log_id <= meta.last_log_id) {
            *current = Some(Stored { meta, state, bytes });
        }
        Ok(())
    }
}

/// Writes one state to disk while the machine goes on with the next.
pub struct Builder<K> {
    meta: SnapshotMeta,
    state: Arc<State>,
    shared: Shared<K>,
}

impl<R: AsyncRuntime, K: Keep> RaftSnapshotBuilder<Tc<R>> for Builder<K> {
    type SnapshotData = Arc<State>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.shared.save::<R>(self.meta.clone(), self.state.clone()).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: self.state.clone() })
    }
}
