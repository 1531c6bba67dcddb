//! A member without the log: it is told by any server what was committed, and keeps the same state as the servers do.
//!
//! It asks one server as long as that one answers and is itself in touch with a majority, else the next. Its state is
//! kept in a file now and then, so that names and traffic are known again before anybody answers after a start; what
//! that file lacks is told anew.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use model::{NodeId, State};
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::clock::ClusterClock;
use crate::error::Failure;
use crate::machine::Machine;
use crate::membership::{Member, members_of};
use crate::message::{Answer, Ask, decode, encode};
use crate::observer::{Leadership, Types};
use crate::snapshot;
use crate::stream::{HOLD, News, OUT_OF_TOUCH_MS, Seen};
use crate::types::TokioRuntime;
use crate::wire::{Lane, Target, Wire};

/// What a server may take to answer beyond the time for which it holds a question.
const PATIENCE: Duration = Duration::from_millis(500);
/// A snapshot of the largest state over a slow line.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(120);
/// Wait after a server that could not be asked; as long again for each that failed before it, up to a bound.
const RETRY: Duration = Duration::from_millis(100);
const RETRIES_MAX: u32 = 20;
/// Between two signs of life to the leader, which takes a member for lost after three.
const PULSE: Duration = Duration::from_millis(500);
/// Entries between two writings of the state.
const KEEP_EVERY: u64 = 5_000;

/// Who may be asked.
pub struct Targets {
    pub all: Vec<Target>,
    /// So many of the first are known to hold the log.
    servers: usize,
}

/// By what is known: whoever holds the log, then everybody, then those named at the start.
pub fn targets(own: NodeId, members: &[Member], state: &State, contacts: &[Target]) -> Targets {
    let of_log =
        members.iter().map(|member| Target { node: member.node, addresses: member.addresses.clone() });
    let of_state =
        state.members.iter().map(|(node, member)| Target { node: *node, addresses: member.peers() });
    let mut targets = Targets { all: Vec::new(), servers: 0 };
    of_log.for_each(|target| targets.add(own, target));
    targets.servers = targets.all.len();
    of_state.chain(contacts.iter().cloned()).for_each(|target| targets.add(own, target));
    targets
}

impl Targets {
    fn add(&mut self, own: NodeId, target: Target) {
        let is_known = self.all.iter().any(|known| known.node == target.node);
        if target.node != own && !is_known && !target.addresses.is_empty() {
            self.all.push(target);
        }
    }

    /// Whom to ask after so many failures in a row: those that hold the log, and others only if none of them answers, for
    /// who holds it may have changed.
    fn of_round(&self, failed: u32, turn: usize) -> Option<&Target> {
        let is_hopeless = failed as usize >= 2 * self.servers;
        let pool = if is_hopeless { &self.all[..] } else { &self.all[..self.servers] };
        pool.get(turn.checked_rem(pool.len())?)
    }
}

/// Why nothing was heard.
enum Unheard {
    /// Another may tell.
    Elsewhere(String),
    /// This program must not go on.
    Unusable(String),
}

fn elsewhere(target: &Target, reason: &dyn std::fmt::Display) -> Unheard {
    Unheard::Elsewhere(format!("node {}: {reason}", target.node))
}

/// What it works with; [`Stream::run`] and [`pulse`] are its two tasks.
pub struct Stream {
    pub node: NodeId,
    pub wire: Arc<dyn Wire>,
    pub contacts: Vec<Target>,
    pub machine: Machine,
    pub clock: Arc<ClusterClock>,
    pub members: watch::Sender<Vec<Member>>,
    pub leadership: watch::Sender<Leadership>,
    pub heard: Arc<AtomicU64>,
    pub failure: watch::Sender<Option<Failure>>,
}

impl Stream {
    /// Until what it is told cannot be applied, which nothing in this process heals.
    pub async fn run(mut self) {
        let states = self.machine.watch();
        let mut keeper = Keeper::new(self.machine.last_applied().map(|id| id.index));
        self.members.send_replace(members_of(self.machine.membership()));
        // Each begins with another, so that the servers share the work.
        let mut turn = usize::try_from(self.node.0 % 1_024).unwrap_or_default();
        let mut failed: u32 = 0;
        loop {
            let state = states.borrow().clone();
            let targets = targets(self.node, &self.members.borrow(), &state, &self.contacts);
            let heard = self.hear(targets.of_round(failed, turn)).await;
            keeper.keep(&mut self.machine).await;
            let reason = match heard {
                Ok(()) => {
                    if failed > 0 {
                        tracing::info!("is told again what happens");
                    }
                    failed = 0;
                    continue;
                }
                Err(Unheard::Elsewhere(reason)) => reason,
                Err(Unheard::Unusable(reason)) => {
                    self.failure.send_replace(Some(Failure { reason }));
                    return;
                }
            };
            match failed {
                0 => tracing::warn!(reason, "is not told what happens; the others are asked"),
                _ => tracing::debug!(reason, failed, "the next is asked"),
            }
            failed = failed.saturating_add(1);
            turn = turn.wrapping_add(1);
            sleep(RETRY * failed.min(RETRIES_MAX)).await;
        }
    }

    /// One question to `target`, and what it tells taken in.
    async fn hear(&mut self, target: Option<&Target>) -> Result<(), Unheard> {
        let target =
            target.ok_or_else(|| Unheard::Elsewhere("nobody is known who could say it".to_owned()))?;
        let (news, snapshot) = self.ask(target).await.map_err(|reason| elsewhere(target, &reason))?;
        let is_stale = news.silent_ms.is_none_or(|ms| ms > OUT_OF_TOUCH_MS);
        self.take(news, &snapshot).await.map_err(|error| {
            Unheard::Unusable(format!("what node {} told cannot be applied: {error}", target.node))
        })?;
        if is_stale { Err(elsewhere(target, &"knows of no majority now")) } else { Ok(()) }
    }

    async fn ask(&self, target: &Target) -> Result<(News, Vec<u8>), String> {
        let Leadership { leader, term, .. } = *self.leadership.borrow();
        let applied = self.machine.last_applied().map(|id| id.index);
        let question = encode(&Ask::<TokioRuntime>::Follow(Seen { applied, leader, term }), &[]);
        let question = question.map_err(|error| error.to_string())?;
        // Who has nothing yet may be sent all there is.
        let patience = if applied.is_none() { SNAPSHOT_PATIENCE } else { HOLD + PATIENCE };
        let answered = timeout(patience, self.wire.ask(target, Lane::Log, question)).await;
        let bytes =
            answered.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
        match decode::<Answer<TokioRuntime>>(&bytes).map_err(|error| error.to_string())? {
            (Answer::News(news), snapshot) => Ok((*news, snapshot.to_vec())),
            (Answer::Refused(reason), _) => Err(reason),
            _ => Err("it answered another question".to_owned()),
        }
    }

    async fn take(&mut self, news: News, bytes: &[u8]) -> io::Result<()> {
        if news.snapshot {
            let (meta, state) =
                snapshot::from_bytes(Path::new("the snapshot"), bytes).map_err(io::Error::other)?;
            RaftStateMachine::<Types>::install_snapshot(&mut self.machine, &meta, state).await?;
        }
        let is_newer = !news.entries.is_empty();
        for entry in news.entries {
            let next = self.machine.last_applied().map_or(0, |id| id.index + 1);
            // Of two servers one may repeat what the other told.
            if entry.log_id.index < next {
                continue;
            }
            if entry.log_id.index > next {
                return Err(io::Error::other(format!("entry {} was told before {next}", entry.log_id.index)));
            }
            self.machine.take(entry)?;
        }
        if is_newer {
            self.machine.publish();
        }
        if is_newer || news.snapshot {
            let members = members_of(self.machine.membership());
            self.members.send_if_modified(|before| std::mem::replace(before, members.clone()) != members);
        }
        if let Some(ms) = news.silent_ms {
            let at = self.clock.now().0.saturating_sub(ms);
            self.heard.fetch_max(at, Ordering::Relaxed);
        }
        let now = Leadership { leader: news.leader, term: news.term, is_self: false };
        // Terms only grow: a server that was cut off names an old leader.
        self.leadership
            .send_if_modified(|before| now.term >= before.term && std::mem::replace(before, now) != now);
        Ok(())
    }
}

/// Writes the state down now and then, beside what goes on.
struct Keeper {
    kept: Option<u64>,
    writing: Option<JoinHandle<()>>,
}

impl Keeper {
    fn new(kept: Option<u64>) -> Self {
        Self { kept, writing: None }
    }

    async fn keep(&mut self, machine: &mut Machine) {
        let Some(applied) = machine.last_applied().map(|id| id.index) else { return };
        let is_due = self.kept.is_none_or(|kept| applied >= kept + KEEP_EVERY);
        let is_busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if !is_due || is_busy {
            return;
        }
        let builder = RaftStateMachine::<Types>::try_create_snapshot_builder(machine, false).await;
        let Some(mut builder) = builder else { return };
        self.kept = Some(applied);
        self.writing = Some(tokio::spawn(async move {
            if let Err(error) = RaftSnapshotBuilder::<Types>::build_snapshot(&mut builder).await {
                tracing::warn!(%error, "the state was not written down");
            }
        }));
    }
}

/// Says to the leader, whoever it is, that this node is there.
pub async fn pulse(
    own: NodeId,
    wire: Arc<dyn Wire>,
    members: watch::Receiver<Vec<Member>>,
    mut leadership: watch::Receiver<Leadership>,
) {
    let Ok(question) = encode(&Ask::<TokioRuntime>::Pulse, &[]) else { return };
    loop {
        let leader = leadership.borrow_and_update().leader.filter(|leader| *leader != own);
        let target = leader.and_then(|leader| {
            let members = members.borrow();
            let known = members.iter().find(|member| member.node == leader)?;
            Some(Target { node: leader, addresses: known.addresses.clone() })
        });
        if let Some(target) = target {
            beat(&*wire, &target, question.clone()).await;
        }
        // An error ends with the process.
        let _ = timeout(PULSE, leadership.changed()).await;
    }
}

/// One that gets lost is followed by the next.
async fn beat(wire: &dyn Wire, leader: &Target, question: Bytes) {
    match timeout(PULSE, wire.ask(leader, Lane::Pulse, question)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(leader = %leader.node, %error, "does not hear of this node"),
        Err(_) => tracing::debug!(leader = %leader.node, "does not hear of this node in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(node: u64) -> Target {
        Target { node: NodeId(node), addresses: vec!["192.0.2.1:7300".parse().expect("an address")] }
    }

    #[test]
    fn others_than_servers_are_asked_only_if_no_server_answers() {
        let member = |node| Member { node: NodeId(node), addresses: target(node).addresses, votes: true };
        let members = [member(1), member(2), member(9)];
        let contacts: Vec<Target> = [2, 3, 4, 9].map(target).into();
        let known = targets(NodeId(9), &members, &State::default(), &contacts);
        let asked = |failed: u32| known.of_round(failed, failed as usize).expect("somebody").node.0;
        assert_eq!((0..4).map(asked).collect::<Vec<_>>(), [1, 2, 1, 2]);
        assert_eq!((4..8).map(asked).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let unknown = targets(NodeId(9), &[], &State::default(), &contacts);
        assert_eq!(
            unknown.of_round(0, 5).map(|target| target.node),
            Some(NodeId(4)),
            "nobody holds it as far as is known"
        );
        assert!(targets(NodeId(9), &[], &State::default(), &[]).of_round(0, 0).is_none());
    }
}
