//! Passwords, API tokens and sessions. Secrets come in as hashes only.

use super::State;
use super::apply::check_limit;
use crate::auth::{SessionKey, Token, User};
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::limits;

impl State {
    /// Also ends the user's sessions: a cookie is signed over the password's hash.
    pub(super) fn set_password(&mut self, name: &str, password_hash: &str) -> Result<Outcome, Reject> {
        let Some(user) = self.users.get(name).cloned() else {
            return Err(invalid("/user", format!("there is no user named {name:?}")));
        };
        if password_hash.is_empty() || password_hash.len() > limits::SECRET_HASH_BYTES_MAX {
            let max = limits::SECRET_HASH_BYTES_MAX;
            return Err(invalid("/password_hash", format!("must have 1 to {max} bytes")));
        }
        self.users.insert(name.to_owned(), User { password_hash: password_hash.to_owned(), ..user });
        self.emit(EventKind::PasswordChanged { user: name.to_owned() });
        Ok(Outcome::Done)
    }

    /// Names are unique, so that a person can tell what they revoke.
    pub(super) fn put_token(&mut self, token: &Token) -> Result<Outcome, Reject> {
        let name = &token.name;
        if name.trim() != name
            || name.is_empty()
            || name.len() > limits::TOKEN_NAME_BYTES_MAX
            || name.chars().any(char::is_control)
        {
            let max = limits::TOKEN_NAME_BYTES_MAX;
            return Err(invalid(
                "/name",
                format!("a token's name has 1 to {max} bytes, no blanks around it and no control characters"),
            ));
        }
        let is_hash = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if token.token_sha256.len() != 64 || !token.token_sha256.bytes().all(is_hash) {
            return Err(invalid("/token_sha256", "is no SHA-256 in hexadecimal digits".to_owned()));
        }
        if self.tokens.values().any(|other| other.name == *name) {
            return Err(invalid("/name", format!("there is a token named {name:?} already")));
        }
        if self.tokens.contains_key(&token.token_sha256) {
            return Err(invalid("/token_sha256", "is the hash of another token".to_owned()));
        }
        if token.expires_at.is_some_and(|at| at <= self.now) {
            return Err(invalid("/expires_at", "has passed already".to_owned()));
        }
        check_limit(self.tokens.len() + 1, limits::TOKENS_MAX, "API tokens")?;
        self.tokens.insert(token.token_sha256.clone(), Token { created_at: self.now, ..token.clone() });
        self.emit(EventKind::TokenCreated { name: name.clone() });
        Ok(Outcome::Done)
    }

    pub(super) fn delete_token(&mut self, name: &str) -> Result<Outcome, Reject> {
        let Some(hash) = self.tokens.iter().find(|(_, t)| t.name == name).map(|(hash, _)| hash.clone())
        else {
            return Err(invalid("/name", format!("there is no token named {name:?}")));
        };
        self.tokens.remove(&hash);
        self.emit(EventKind::TokenRevoked { name: name.to_owned() });
        Ok(Outcome::Done)
    }

    /// Ends every session of every user.
    pub(super) fn rotate_session_key(&mut self, key: &SessionKey) -> Result<Outcome, Reject> {
        if key.0.len() != 64 || !key.0.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid("/session_key", "is not 32 bytes in hexadecimal digits".to_owned()));
        }
        self.session_key = Some(key.clone());
        self.emit(EventKind::SessionsEnded);
        Ok(Outcome::Done)
    }
}

fn invalid(path: &str, message: String) -> Reject {
    Reject::Invalid { path: path.to_owned(), message }
}
