//! A state as bytes, and the hash by which servers find out that they diverged.

use std::io::Write;

use sha2::{Digest, Sha256};

use super::{FORMAT, State};

/// Why bytes are not a state of this program.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot cannot be read")]
    Unreadable(#[source] serde_json::Error),
    #[error("the snapshot has format {found}; this program knows {FORMAT}")]
    UnknownFormat { found: u32 },
}

impl State {
    /// The state as JSON with its format number. Equal states give equal bytes: maps are sorted, numbers are integers.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_canonical(&mut bytes);
        bytes
    }

    /// Reads what [`State::encode_snapshot`] wrote.
    pub fn decode_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        // The number first: another format may not even have the same fields.
        let head: Head = serde_json::from_slice(bytes).map_err(SnapshotError::Unreadable)?;
        if head.format != FORMAT {
            return Err(SnapshotError::UnknownFormat { found: head.format });
        }
        serde_json::from_slice(bytes).map_err(SnapshotError::Unreadable)
    }

    /// SHA-256 of the canonical bytes. Walks the whole state.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        self.write_canonical(&mut hasher);
        hasher.finalize().into()
    }

    fn write_canonical(&self, to: impl Write) {
        serde_json::to_writer(to, self)
            .expect("memory takes every byte, and all map keys are texts or integers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    #[test]
    fn comes_back_equal_with_an_equal_hash() {
        let mut lab = Lab::with_app(3);
        lab.settle();
        let back = State::decode_snapshot(&lab.state.encode_snapshot()).expect("own bytes");
        assert_eq!(back, lab.state);
        assert_eq!(back.hash(), lab.state.hash());
        let mut later = back.clone();
        later.index += 1;
        assert_ne!(later.hash(), back.hash());
    }

    #[test]
    fn another_format_is_an_error_that_names_it() {
        let error = State::decode_snapshot(br#"{"format":7,"fields":"unheard of"}"#).expect_err("format 7");
        assert_eq!(error.to_string(), "the snapshot has format 7; this program knows 1");
        assert!(matches!(State::decode_snapshot(b"{\"format\":1"), Err(SnapshotError::Unreadable(_))));
    }
}
