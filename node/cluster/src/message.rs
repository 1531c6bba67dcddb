//! What servers say to each other: one line of JSON `{"f":<format>,"is":…}`, after a snapshot's line its bytes.
//!
//! A message of another format, or of a kind that this program does not know, is refused by name, never skipped.

use bytes::Bytes;
use model::Applied;
use openraft::AsyncRuntime;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{ProposeError, ReadError};
use crate::propose::Proposal;
use crate::stream::{Holders, News, Seen};
use crate::types::{Tc, Vote};

/// Format of the messages of this program.
pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub enum Ask<R: AsyncRuntime> {
    Append(AppendEntriesRequest<Tc<R>>),
    Vote(VoteRequest<Tc<R>>),
    PreVote(VoteRequest<Tc<R>>),
    TakeOver(TransferLeaderRequest<Tc<R>>),
    /// The snapshot's bytes follow the line.
    Install {
        vote: Vote,
    },
    Propose(Box<Proposal>),
    /// At which index a read begun now sees every acknowledged write.
    Read,
    /// What came after `seen`, for a member without the log: answered once there is something, or after a moment.
    Follow(Seen),
    /// A member without the log is there. For the leader.
    Pulse,
    /// Who holds the log.
    Holders,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub enum Answer<R: AsyncRuntime> {
    Append(AppendEntriesResponse<Tc<R>>),
    Vote(VoteResponse<Tc<R>>),
    TakeOver(TransferLeaderResponse<Tc<R>>),
    Install(SnapshotResponse<Tc<R>>),
    Propose(Result<Applied, ProposeError>),
    Read(Result<u64, ReadError>),
    /// Where `snapshot` is set, its bytes follow the line.
    News(Box<News>),
    Pulse,
    Holders(Holders),
    /// The question was not acted on.
    Refused(String),
}

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the message has format {found}, this program knows {FORMAT}")]
    Format { found: u32 },
    #[error("the message cannot be understood: {0}")]
    Unknown(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    f: u32,
    is: T,
}

/// The bytes of a question or answer, followed by `payload`.
pub fn encode<T: Serialize>(is: &T, payload: &[u8]) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec(&Line { f: FORMAT, is })?;
    bytes.push(b'\n');
    bytes.extend_from_slice(payload);
    Ok(bytes.into())
}

/// What [`encode`] wrote, and the payload behind it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), MessageError> {
    #[derive(Deserialize)]
    struct Format {
        f: u32,
    }
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (line, payload) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    match serde_json::from_slice::<Line<T>>(line) {
        Ok(Line { f: FORMAT, is }) => Ok((is, payload)),
        Ok(Line { f: found, .. }) => Err(MessageError::Format { found }),
        // A newer format may not even have this shape: its number says more than where the parser stopped.
        Err(error) => match serde_json::from_slice::<Format>(line) {
            Ok(Format { f: found }) if found != FORMAT => Err(MessageError::Format { found }),
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::TokioRuntime;

    type Question = Ask<TokioRuntime>;

    #[test]
    fn a_question_and_its_payload_come_back() {
        let vote = Vote::new(3, 9);
        let bytes = encode(&Question::Install { vote }, b"state\nand more").expect("encodes");
        let (read, payload) = decode::<Question>(&bytes).expect("decodes");
        assert!(matches!(read, Ask::Install { vote: found } if found == vote));
        assert_eq!(payload, b"state\nand more");
    }

    #[test]
    fn another_format_is_named_whatever_it_holds() {
        for text in [r#"{"f":2,"is":"read"}"#, r#"{"f":2,"was":[]}"#] {
            let error = decode::<Question>(text.as_bytes()).err().expect("refused").to_string();
            assert!(error.contains("format 2, this program knows 1"), "{error}");
        }
        let error = decode::<Question>(br#"{"f":1,"is":"explode"}"#).err().expect("refused").to_string();
        assert!(error.contains("explode"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_with_an_error_or_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Question>(&bytes);
            let _ = decode::<Answer<TokioRuntime>>(&bytes);
        }
    }
}
