//! A command's way into the log from any server: here if this node leads, else handed on to the leader in one hop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::auth::Actor;
use model::command::Reject;
use model::ids::RequestId;
use model::limits::RESTORE_BYTES_MAX;
use model::{Applied, Command, Envelope, Origin, Timestamp};
use openraft::AsyncRuntime;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::clock::deadline;
use crate::cluster::Cluster;
use crate::error::{ProposeError, ReadError};
use crate::message::{Answer, Ask, decode, encode};
use crate::observer::Leadership;
use crate::types::{Logged, Tc, TokioRuntime};
use crate::wire::{Lane, Target, WireError};

/// Bytes of one command in JSON. Above the largest request body and the largest plan or report.
pub const COMMAND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of all commands that wait for an answer; beyond that, proposers wait. Raft's own queue counts commands only,
/// and thousands of the largest would not fit a small node's memory.
pub const IN_FLIGHT_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// After this the proposer is told that there is no leader, or that the outcome is unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two questions to the same leader that could not be asked or was none.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A command and on whose behalf it is proposed. Format and time are added by the leader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proposal {
    pub actor: Actor,
    pub origin: Origin,
    /// With it a command is safe to propose again when its outcome is unknown.
    pub request_id: Option<RequestId>,
    pub expected_version: Option<Timestamp>,
    pub command: Command,
}

impl Proposal {
    /// What the program itself wants, on nobody's behalf.
    pub fn of_system(command: Command) -> Self {
        let (actor, origin) = (Actor::System, Origin::default());
        Self { actor, origin, request_id: None, expected_version: None, command }
    }

    /// The same id is applied once, and what the program itself proposes is idempotent.
    fn is_repeatable(&self) -> bool {
        self.request_id.is_some() || !self.actor.is_outside()
    }
}

impl Cluster {
    /// Replicates a command; answers once it is durable on a majority and applied here. Without a leader it waits for
    /// one, up to ten seconds. Dropping the future does not take the command back.
    pub async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        let end = deadline(PROPOSE_TIMEOUT);
        let mut leadership = self.leadership();
        // Set once the command may have been applied: from then on nobody may be told that it was not.
        let mut doubt = None;
        let refused = loop {
            if let Err(reason) = self.check_running() {
                break ProposeError::Failed(reason);
            }
            let now = *leadership.borrow_and_update();
            let outcome = match now.leader {
                Some(_) if now.is_self => timeout_at(end, self.propose_here(proposal.clone())).await,
                Some(_) => timeout_at(end, self.hand_on(&proposal, now)).await,
                None => Ok(Err(ProposeError::NoLeader)),
            };
            match outcome.unwrap_or(Err(ProposeError::TimedOut)) {
                Err(ProposeError::NoLeader) => {}
                // Again is as good as once, whoever leads next.
                Err(ProposeError::Unknown(reason)) if proposal.is_repeatable() => doubt = Some(reason),
                Ok(applied) => return Ok(applied),
                Err(error) => break error,
            }
            if !next_leader(&mut leadership, end).await && self.check_running().is_ok() {
                break ProposeError::NoLeader;
            }
        };
        Err(doubt.map_or(refused, ProposeError::Unknown))
    }

    /// As [`Cluster::propose`], if this node leads; else nothing is handed on: what only the leader can know must not
    /// be said by one who no longer is.
    pub async fn propose_leading(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        match timeout_at(deadline(PROPOSE_TIMEOUT), self.propose_here(proposal)).await {
            Ok(answer) => answer,
            Err(_) => Err(ProposeError::TimedOut),
        }
    }

    /// Proposes on this node, which must lead.
    pub(crate) async fn propose_here(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        let inner = self.inner();
        self.check_running().map_err(ProposeError::Failed)?;
        if let Some(refused) = self.refused(&proposal.command, self.read_index()).await? {
            return Ok(refused);
        }
        let (envelope, bytes) = self.envelope(proposal)?;
        self.check_space()?;
        let _room = inner.in_flight.acquire_many(bytes).await;
        let raft = self.raft().ok_or(ProposeError::NoLeader)?;
        answered(raft.client_write(Logged(Arc::new(envelope))).await)
    }

    /// The answer to a command that not every node understands yet. It must not even get into the log: a node that cannot
    /// read an entry gets nothing that comes after it. The level only rises, so `newest`, the index of a read begun now,
    /// is asked for only by who knows of too low a level.
    async fn refused(
        &self,
        command: &Command,
        newest: impl Future<Output = Result<u64, ReadError>>,
    ) -> Result<Option<Applied>, ProposeError> {
        let needed = command.feature_level();
        if needed <= self.state().feature_level {
            return Ok(None);
        }
        let index = newest.await.map_err(|error| match error {
            ReadError::Failed(reason) => ProposeError::Failed(reason),
            _ => ProposeError::NoLeader,
        })?;
        self.applied_here(index).await;
        let state = self.state();
        let (index, level) = (state.index, state.feature_level);
        let result = Err(Reject::FeatureLevel { needed, level });
        Ok((needed > level).then_some(Applied { index, result }))
    }

    /// Hands the command on to the leader and waits until what it changed is to be seen here as well.
    async fn hand_on(&self, proposal: &Proposal, leadership: Leadership) -> Result<Applied, ProposeError> {
        // A leader of an older build would not understand the question.
        if let Some(refused) = self.refused(&proposal.command, self.leaders_index(leadership)).await? {
            return Ok(refused);
        }
        let leader = self.target(leadership).ok_or(ProposeError::NoLeader)?;
        let ask = Ask::<TokioRuntime>::Propose(Box::new(proposal.clone()));
        let question = encode(&ask, &[])
            .map_err(|error| ProposeError::Failed(format!("the command cannot be encoded: {error}")))?;
        let bytes = size(question.len(), COMMAND_BYTES_MAX)?;
        let _room = self.inner().in_flight.acquire_many(bytes).await;
        let answer = self.ask(&leader, question).await.map_err(|error| match error {
            WireError::Unreachable(_) => ProposeError::NoLeader,
            WireError::Broken(reason) => ProposeError::Unknown(reason),
        })?;
        match answer {
            Answer::Propose(Ok(applied)) => {
                self.applied_here(applied.index).await;
                Ok(applied)
            }
            Answer::Propose(Err(error)) => Err(error),
            Answer::Refused(reason) => Err(ProposeError::Failed(reason)),
            _ => Err(ProposeError::Unknown("the leader answered another question".to_owned())),
        }
    }

    /// Asks the leader on behalf of a client.
    pub(crate) async fn ask(
        &self,
        leader: &Target,
        question: Bytes,
    ) -> Result<Answer<TokioRuntime>, WireError> {
        let bytes = self.inner().wire.ask(leader, Lane::Command, question).await?;
        let (answer, _) = decode(&bytes).map_err(|error| WireError::Broken(error.to_string()))?;
        Ok(answer)
    }

    /// The leader as somebody to be asked; `None` if no address of it is known yet.
    pub(crate) fn target(&self, leadership: Leadership) -> Option<Target> {
        let leader = leadership.leader?;
        let addresses = self.members().into_iter().find(|member| member.node == leader)?.addresses;
        Some(Target { node: leader, addresses })
    }

    /// Resolves when the state of this node includes the entry at `index`.
    pub(crate) async fn applied_here(&self, index: u64) {
        // An error means that the state machine is gone, which the next call reports.
        let _ = self.watch().wait_for(|state| state.index >= index).await;
    }

    /// `Err` with the reason once storage or consensus died.
    pub(crate) fn check_running(&self) -> Result<(), String> {
        self.inner().failure.borrow().as_ref().map_or(Ok(()), |failure| Err(failure.reason.clone()))
    }

    /// The command as it is replicated, and its size in bytes.
    fn envelope(&self, proposal: Proposal) -> Result<(Envelope, u32), ProposeError> {
        let Proposal { actor, origin, request_id, expected_version, command } = proposal;
        let (format, at) = (model::command::FORMAT, self.now());
        let envelope = Envelope { format, request_id, actor, origin, at, expected_version, command };
        let mut count = Count(0);
        serde_json::to_writer(&mut count, &envelope)
            .map_err(|error| ProposeError::Failed(format!("the command cannot be encoded: {error}")))?;
        let limit = match envelope.command {
            // Nobody follows a node that begins from a backup, so nobody waits for this one to arrive.
            Command::Restore { .. } => RESTORE_BYTES_MAX + COMMAND_BYTES_MAX,
            _ => COMMAND_BYTES_MAX,
        };
        Ok((envelope, size(count.0, limit)?))
    }

    fn check_space(&self) -> Result<(), ProposeError> {
        let space = &self.inner().space;
        let reserve = space.reserve();
        match space.free() {
            Ok(free) if free < reserve => Err(ProposeError::NoSpace { free, reserve }),
            Ok(_) => Ok(()),
            Err(error) => Err(ProposeError::Failed(format!("the state folder does not answer: {error}"))),
        }
    }
}

/// Waits until it is worth asking for the leader again; false when `end` came first.
///
/// Who was just elected may answer that it does not lead yet, and whoever was named may be dead already: then nothing
/// new need become known here, so a named leader is asked again after a moment.
pub(crate) async fn next_leader(leadership: &mut watch::Receiver<Leadership>, end: Instant) -> bool {
    let named = leadership.borrow().leader.is_some();
    let again = if named { end.min(deadline(ASK_AGAIN)) } else { end };
    match timeout_at(again, leadership.changed()).await {
        Ok(changed) => changed.is_ok(),
        Err(_) => again < end,
    }
}

fn size(bytes: usize, limit: usize) -> Result<u32, ProposeError> {
    match u32::try_from(bytes) {
        Ok(size) if bytes <= limit => Ok(size),
        _ => Err(ProposeError::TooLarge { limit }),
    }
}

type Written<C> = Result<ClientWriteResponse<C>, RaftError<C, ClientWriteError<C>>>;

/// What openraft's answer means to a proposer.
pub(crate) fn answered<R: AsyncRuntime>(answer: Written<Tc<R>>) -> Result<Applied, ProposeError> {
    let response = answer.map_err(|error| match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => ProposeError::NoLeader,
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            ProposeError::Unknown("the leader changed meanwhile".to_owned())
        }
        // Not answered to ordinary writes.
        RaftError::APIError(error) => ProposeError::Failed(error.to_string()),
        RaftError::Fatal(fatal) => ProposeError::Unknown(fatal.to_string()),
    })?;
    response.data.0.ok_or_else(|| ProposeError::Unknown("the entry had no answer".to_owned()))
}

/// Counts bytes without keeping them.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
