//! Connections that are kept: one a way, made when it is needed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::{Target, WireError};
use rustls::ClientConfig;
use tokio::sync::watch;

use super::connection::{Connection, connect};
use super::credentials::Held;
use super::name;

/// Connections `C`, told apart by `K`. Cheap to clone.
pub struct Ways<K, C> {
    held: Held,
    kept: Arc<Mutex<Kept<K, C>>>,
}

struct Kept<K, C> {
    /// What this node shows on those that are open.
    shown: Option<Arc<ClientConfig>>,
    open: BTreeMap<K, C>,
    /// Handshakes under way.
    connecting: BTreeMap<K, watch::Receiver<Made<C>>>,
}

/// What came of a handshake, once it is over.
type Made<C> = Option<Result<C, WireError>>;

// A derive would ask the same of `K` and `C`.
impl<K, C> Clone for Ways<K, C> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone(), kept: self.kept.clone() }
    }
}

impl<K: Ord + Copy + Send + 'static, C: Connection> Ways<K, C> {
    pub fn new(held: Held) -> Self {
        let kept = Kept { shown: None, open: BTreeMap::new(), connecting: BTreeMap::new() };
        Self { held, kept: Arc::new(Mutex::new(kept)) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, C>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None that shows a key which this node has given up: it is dead, or soon will be.
    fn open(&self, way: K) -> Option<C> {
        let shown = self.held.borrow().as_ref().map(|held| held.client.clone());
        let mut kept = self.lock();
        let is_same = match (&kept.shown, &shown) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !is_same {
            *kept = Kept { shown, open: BTreeMap::new(), connecting: BTreeMap::new() };
        }
        kept.open.get(&way).filter(|connection| !connection.is_closed()).cloned()
    }

    pub fn forget(&self, way: K) {
        self.lock().open.remove(&way);
    }

    /// The connection of this way, made if there is none. Whoever asks may give up before it is made: a heartbeat waits
    /// for a few milliseconds, and on a slow machine a handshake takes longer. So it goes on by itself, and the next
    /// question finds it.
    pub async fn connected(&self, way: K, to: &Target) -> Result<C, WireError> {
        if let Some(connection) = self.open(way) {
            return Ok(connection);
        }
        let (mut made, begin) = self.attempt(way);
        if let Some(tell) = begin {
            let (ways, to) = (self.clone(), to.clone());
            tokio::spawn(async move {
                let (shown, made) = ways.shake_hands(&to).await;
                let mut kept = ways.lock();
                let is_same =
                    matches!((&kept.shown, &shown), (Some(now), Some(then)) if Arc::ptr_eq(now, then));
                if is_same {
                    kept.connecting.remove(&way);
                }
                if let (true, Ok(connection)) = (is_same, &made) {
                    kept.open.insert(way, connection.clone());
                }
                tell.send_replace(Some(made));
            });
        }
        let made = made.wait_for(Option::is_some).await.ok().and_then(|made| made.clone());
        made.unwrap_or_else(|| Err(WireError::Unreachable("the attempt was given up".to_owned())))
    }

    /// The handshake under way, or a new one, which the caller has to begin.
    fn attempt(&self, way: K) -> (watch::Receiver<Made<C>>, Option<watch::Sender<Made<C>>>) {
        match self.lock().connecting.entry(way) {
            Entry::Occupied(under_way) => (under_way.get().clone(), None),
            Entry::Vacant(free) => {
                let (tell, made) = watch::channel(None);
                free.insert(made.clone());
                (made, Some(tell))
            }
        }
    }

    /// By the first of its addresses that answers; and what was shown there.
    async fn shake_hands(&self, to: &Target) -> (Option<Arc<ClientConfig>>, Result<C, WireError>) {
        let Some(credentials) = self.held.borrow().clone() else {
            let reason = "this node belongs to no cluster yet".to_owned();
            return (None, Err(WireError::Unreachable(reason)));
        };
        let known = credentials.known.get(&to.node).copied().unwrap_or_default();
        let mut failed = "none of its addresses is known".to_owned();
        for address in &to.addresses {
            match connect(*address, &name(to.node), credentials.client.clone(), known).await {
                Ok(connection) => return (Some(credentials.client.clone()), Ok(connection)),
                Err(reason) => failed = format!("{address}: {reason}"),
            }
        }
        (Some(credentials.client.clone()), Err(WireError::Unreachable(failed)))
    }
}
