//! Notices of commits: requests that bring a follower no entries, only the news of what became committed.
//!
//! openraft sends one for each commit that no entries carry. Of writes that come one after the other that is every one,
//! and half of all requests, though the next write follows within a moment. So a notice is held for that moment, and
//! entries that come meanwhile take its news along. It is not held from a follower that waits for it: one that was
//! answered a write or a read by this node and has to see it in its own state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::{Fuse, Stream, StreamExt, unfold};
use model::NodeId;
use openraft::AsyncRuntime;
use openraft::base::BoxStream;
use openraft::raft::AppendEntriesRequest;
use tokio::sync::watch;

use crate::types::{RaftNodeId, Tc};

/// How long a follower may be kept from the news: above the time between two writes of one client, below what people or
/// other machines notice.
const HOLD: Duration = Duration::from_millis(1);

type Request<R> = AppendEntriesRequest<Tc<R>>;
/// The highest index that a follower is known to wait for.
pub type Awaited = watch::Receiver<Option<u64>>;

/// What each follower waits for. Cheap to clone.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<BTreeMap<RaftNodeId, watch::Sender<Option<u64>>>>>);

impl Notices {
    /// `node` was told of the entry at `index`, which is committed, and waits for it. Who follows no log is passed over.
    pub fn await_commit(&self, node: NodeId, index: u64) {
        if let Some(awaited) = self.lock().get(&node.0) {
            awaited.send_if_modified(|highest| {
                let is_higher = Some(index) > *highest;
                *highest = (*highest).max(Some(index));
                is_higher
            });
        }
    }

    pub fn of(&self, node: RaftNodeId) -> Awaited {
        self.lock().entry(node).or_default().subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RaftNodeId, watch::Sender<Option<u64>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `requests` to one follower without the notices that others make needless. What follows a notice in one stream begins
/// where it does, so that its answer answers the notice as well.
pub fn gathered<R: AsyncRuntime>(
    requests: impl Stream<Item = Request<R>> + Send + Unpin + 'static,
    awaited: Awaited,
) -> BoxStream<'static, Request<R>> {
    let gathering = Gathering { requests: requests.fuse(), awaited, told: None };
    Box::pin(unfold(gathering, Gathering::next::<R>))
}

struct Gathering<S> {
    requests: Fuse<S>,
    awaited: Awaited,
    /// The last index that the follower was told is committed, in this stream.
    told: Option<u64>,
}

impl<S> Gathering<S> {
    async fn next<R: AsyncRuntime>(mut self) -> Option<(Request<R>, Self)>
    where
        S: Stream<Item = Request<R>> + Unpin,
    {
        let Self { requests, awaited, told } = &mut self;
        let mut request = requests.next().await?;
        if request.entries.is_empty() {
            let is_awaited = Box::pin(awaited.wait_for(|index| index > told));
            let mut until = select(Box::pin(R::sleep(HOLD)), is_awaited);
            while request.entries.is_empty() {
                match select(requests.next(), &mut until).await {
                    Either::Left((Some(next), _)) => request = next,
                    Either::Left((None, _)) | Either::Right(_) => break,
                }
            }
        }
        self.told = request.leader_commit.map(|id| id.index).max(self.told);
        Some((request, self))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use openraft::vote::RaftLeaderIdExt;

    use super::*;
    use crate::types::{Entry, LeaderId, LogId, Payload, TokioRuntime, Vote};

    const WAITER: NodeId = NodeId(7);

    fn id(index: u64) -> LogId {
        LogId::new(LeaderId::new_committed(1, 2), index)
    }

    /// With that many entries after those that are committed.
    fn request(committed: u64, entries: u64) -> Request<TokioRuntime> {
        let entry = |n| Entry { log_id: id(committed + n), payload: Payload::Blank };
        AppendEntriesRequest {
            vote: Vote::new(1, 2),
            prev_log_id: Some(id(committed)),
            leader_commit: Some(id(committed)),
            entries: (1..=entries).map(entry).collect(),
        }
    }

    type Input = UnboundedSender<Request<TokioRuntime>>;
    type Output = BoxStream<'static, Request<TokioRuntime>>;

    fn stream(notices: &Notices) -> (Input, Output) {
        let (input, requests) = unbounded();
        (input, gathered::<TokioRuntime>(requests, notices.of(WAITER.0)))
    }

    /// What is committed by a request, and how many entries it has.
    fn told(request: &Request<TokioRuntime>) -> (u64, usize) {
        (request.leader_commit.expect("a commit").index, request.entries.len())
    }

    /// What is there without any wait.
    fn at_once(output: &mut Output) -> Option<(u64, usize)> {
        output.next().now_or_never().map(|request| told(&request.expect("a request")))
    }

    #[tokio::test]
    async fn entries_take_the_news_along() {
        let notices = Notices::default();
        let (input, mut output) = stream(&notices);
        for request in [request(1, 0), request(1, 2), request(3, 0), request(4, 0), request(5, 1)] {
            input.unbounded_send(request).unwrap();
        }
        assert_eq!(at_once(&mut output), Some((1, 2)));
        assert_eq!(at_once(&mut output), Some((5, 1)));
    }

    #[tokio::test]
    async fn a_notice_alone_is_held_for_a_moment() {
        let notices = Notices::default();
        let (input, mut output) = stream(&notices);
        input.unbounded_send(request(1, 0)).unwrap();
        assert_eq!(at_once(&mut output), None);
        assert_eq!(told(&output.next().await.unwrap()), (1, 0));
    }

    #[tokio::test]
    async fn a_notice_that_is_waited_for_is_not_held() {
        let notices = Notices::default();
        let (input, mut output) = stream(&notices);
        notices.await_commit(WAITER, 1);
        input.unbounded_send(request(1, 0)).unwrap();
        assert_eq!(at_once(&mut output), Some((1, 0)));
        // What it was told of once it does not wait for again.
        input.unbounded_send(request(2, 0)).unwrap();
        assert_eq!(at_once(&mut output), None);
        notices.await_commit(WAITER, 2);
        assert_eq!(at_once(&mut output), Some((2, 0)));
    }

    #[tokio::test]
    async fn the_last_request_of_a_stream_is_not_held() {
        let notices = Notices::default();
        let (input, mut output) = stream(&notices);
        input.unbounded_send(request(1, 0)).unwrap();
        drop(input);
        assert_eq!(at_once(&mut output), Some((1, 0)));
        assert!(output.next().await.is_none());
    }

    #[test]
    fn strangers_are_passed_over() {
        let notices = Notices::default();
        notices.await_commit(NodeId(9), 4);
        assert_eq!(*notices.of(9).borrow(), None);
    }
}
