//! Reads that see every write acknowledged before them, from any server.

use std::sync::Arc;
use std::time::Duration;

use model::State;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{AsyncRuntime, ReadPolicy};
use tokio::time::timeout_at;

use crate::clock::deadline;
use crate::cluster::Cluster;
use crate::error::ReadError;
use crate::message::{Answer, Ask, encode};
use crate::observer::Leadership;
use crate::propose::next_leader;
use crate::types::{Tc, TokioRuntime};

const READ_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    /// A state that includes every write acknowledged before the call, confirmed by a majority (ReadIndex): here if
    /// this node leads, else by one question to the leader. Without a leader it waits for one, up to five seconds.
    pub async fn read(&self) -> Result<Arc<State>, ReadError> {
        let end = deadline(READ_TIMEOUT);
        let mut leadership = self.leadership();
        loop {
            self.check_running().map_err(ReadError::Failed)?;
            let now = *leadership.borrow_and_update();
            let index = match now.leader {
                Some(_) if now.is_self => timeout_at(end, self.read_index()).await,
                Some(_) => timeout_at(end, self.leaders_index(now)).await,
                None => Ok(Err(ReadError::NoLeader)),
            };
            match index.unwrap_or(Err(ReadError::NoQuorum)) {
                Ok(index) => {
                    timeout_at(end, self.applied_here(index)).await.map_err(|_| ReadError::Behind)?;
                    // A state machine that died on the way leaves an older one.
                    let state = self.state();
                    if state.index >= index {
                        return Ok(state);
                    }
                    self.check_running().map_err(ReadError::Failed)?;
                    return Err(ReadError::Behind);
                }
                Err(ReadError::NoLeader) => {}
                Err(error) => return Err(error),
            }
            if !next_leader(&mut leadership, end).await {
                self.check_running().map_err(ReadError::Failed)?;
                return Err(ReadError::NoLeader);
            }
        }
    }

    /// The log index that a read begun now must see, as this node, which must lead, confirms it with a majority.
    pub(crate) async fn read_index(&self) -> Result<u64, ReadError> {
        self.check_running().map_err(ReadError::Failed)?;
        let raft = self.raft().ok_or(ReadError::NoLeader)?;
        confirmed(raft.ensure_linearizable(ReadPolicy::ReadIndex).await)?;
        Ok(self.state().index)
    }

    /// The same, as the leader says.
    pub(crate) async fn leaders_index(&self, leadership: Leadership) -> Result<u64, ReadError> {
        let leader = self.target(leadership).ok_or(ReadError::NoLeader)?;
        let question = encode(&Ask::<TokioRuntime>::Read, &[])
            .map_err(|error| ReadError::Failed(format!("the question cannot be encoded: {error}")))?;
        match self.ask(&leader, question).await {
            Ok(Answer::Read(index)) => index,
            Ok(Answer::Refused(reason)) => Err(ReadError::Failed(reason)),
            // A read changes nothing: asking the next leader is always right.
            Ok(_) | Err(_) => Err(ReadError::NoLeader),
        }
    }
}

/// What openraft's answer means to a reader.
pub(crate) fn confirmed<R: AsyncRuntime, T>(
    answer: Result<T, RaftError<Tc<R>, LinearizableReadError<Tc<R>>>>,
) -> Result<(), ReadError> {
    match answer {
        Ok(_) => Ok(()),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => Err(ReadError::NoLeader),
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(ReadError::NoQuorum),
        Err(RaftError::Fatal(fatal)) => Err(ReadError::Failed(fatal.to_string())),
    }
}
