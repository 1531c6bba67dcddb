//! Remembers passwords that were right, so that only the first request of a client pays for Argon2.
//!
//! Holds keyed hashes, never passwords. An entry dies with the password hash it was checked against, so a changed
//! password or a removed user takes effect with the next request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use console::{Backend, LoginError};
use model::auth::Actor;
use sha2::{Digest, Sha256};

use crate::api::clock;

/// How long one successful check is good for.
pub const VERIFIED_MS: u64 = 5 * 60 * 1000;
/// Remembered checks; beyond it the whole memory starts afresh.
const VERIFIED_MAX: usize = 1_024;
/// Slow checks of the same credentials wait for one another; others mostly do not.
const STRIPES: usize = 16;

type Fingerprint = [u8; 32];

pub struct Verified {
    key: [u8; 32],
    /// Actor and expiry by fingerprint.
    entries: Mutex<HashMap<Fingerprint, (Actor, u64)>>,
    stripes: [tokio::sync::Mutex<()>; STRIPES],
}

impl Default for Verified {
    fn default() -> Self {
        Self { key: rand::random(), entries: Mutex::default(), stripes: Default::default() }
    }
}

impl Verified {
    /// Who `name` with `password` is: from memory in microseconds, else by the backend's slow and limited check.
    pub async fn login(
        &self,
        backend: &dyn Backend,
        name: &str,
        password: &str,
        client_ip: &str,
    ) -> Result<Actor, LoginError> {
        // A user that does not exist has no fingerprint to be found by, and goes the slow way like a wrong password.
        let known = backend.state().users.get(name).map(|user| user.password_hash.clone());
        let Some(fingerprint) = known.map(|hash| self.fingerprint(name, password, &hash)) else {
            return backend.login(name, password, client_ip).await;
        };
        if let Some(actor) = self.find(&fingerprint, clock::monotonic_ms()) {
            return Ok(actor);
        }
        // Of a burst of requests with the same new credentials one does the work.
        let _turn = self.stripes[usize::from(fingerprint[0]) % STRIPES].lock().await;
        if let Some(actor) = self.find(&fingerprint, clock::monotonic_ms()) {
            return Ok(actor);
        }
        let actor = backend.login(name, password, client_ip).await?;
        self.keep(fingerprint, actor.clone(), clock::monotonic_ms());
        Ok(actor)
    }

    fn fingerprint(&self, name: &str, password: &str, password_hash: &str) -> Fingerprint {
        let mut hasher = Sha256::new_with_prefix(self.key);
        for part in [name, password, password_hash] {
            // Lengths keep `a` + `bc` apart from `ab` + `c`.
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn find(&self, fingerprint: &Fingerprint, now_ms: u64) -> Option<Actor> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(fingerprint).filter(|(_, until)| *until > now_ms).map(|(actor, _)| actor.clone())
    }

    fn keep(&self, fingerprint: Fingerprint, actor: Actor, now_ms: u64) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= VERIFIED_MAX {
            entries.retain(|_, (_, until)| *until > now_ms);
        }
        if entries.len() >= VERIFIED_MAX {
            entries.clear();
        }
        entries.insert(fingerprint, (actor, now_ms + VERIFIED_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expire_and_are_bounded() {
        let verified = Verified::default();
        let print = verified.fingerprint("admin", "secret", "hash");
        verified.keep(print, Actor::System, 100);
        assert_eq!(verified.find(&print, 100 + VERIFIED_MS - 1), Some(Actor::System));
        assert_eq!(verified.find(&print, 100 + VERIFIED_MS), None);
        for n in 0..2 * VERIFIED_MAX {
            verified.keep(verified.fingerprint("admin", &n.to_string(), "hash"), Actor::System, 200);
        }
        assert!(verified.entries.lock().expect("alone").len() <= VERIFIED_MAX);
    }

    #[test]
    fn the_fingerprint_depends_on_every_part_and_on_the_process() {
        let (one, other) = (Verified::default(), Verified::default());
        let print = one.fingerprint("a", "b", "c");
        assert_ne!(print, one.fingerprint("ab", "", "c"));
        assert_ne!(print, one.fingerprint("a", "b", "changed"));
        assert_ne!(print, other.fingerprint("a", "b", "c"));
    }
}
