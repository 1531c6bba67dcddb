//! API tokens as they are made, by the settings page and by the API.

use model::Timestamp;
use model::auth::{Role, Token};
use sha2::{Digest, Sha256};

use crate::session;

/// The longest life of a token that expires.
pub const DAYS_MAX: u64 = 3_650;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A fresh token and its text, which is kept nowhere. With 0 `days` it never expires; `None` if they are more than
/// [`DAYS_MAX`].
pub fn issue(name: String, days: u64, now: Timestamp) -> Option<(Token, String)> {
    if days > DAYS_MAX {
        return None;
    }
    let text = format!("meseta_{}", session::hex(&rand::random::<[u8; 32]>()));
    let token = Token {
        name,
        token_sha256: session::hex(&Sha256::digest(&text)),
        role: Role::Administrator,
        created_at: now,
        expires_at: (days > 0).then(|| now.plus_ms(days * DAY_MS)),
    };
    Some((token, text))
}
