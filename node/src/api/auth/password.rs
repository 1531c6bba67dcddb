//! Passwords: Argon2id, away from the event loop, few at a time.
//!
//! Called by the agent's `claim` and `login`. Never logs, never compares in a time that depends on the password.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Each check takes 19 MiB of memory: two at once on a small node, the others wait.
const CHECKS_AT_ONCE_MAX: usize = 2;
static CHECKS: Semaphore = Semaphore::const_new(CHECKS_AT_ONCE_MAX);

/// Stands in for a user that does not exist, so that the answer takes as long as for one that does.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(String);

/// The PHC string of `password` under a fresh salt.
pub async fn hash_password(password: String) -> Result<String, HashError> {
    limited(move || hash(&password)).await.unwrap_or_else(|| Err(HashError("the work was abandoned".into())))
}

/// Is `password` the one of `phc`? With `None` (no such user) it does the same work and answers no.
pub async fn verify(password: String, phc: Option<String>) -> bool {
    let check = move || {
        let known = phc.is_some();
        let phc = phc.unwrap_or_else(|| NOBODY.clone());
        let right = PasswordHash::new(&phc)
            .is_ok_and(|phc| argon2().verify_password(password.as_bytes(), &phc).is_ok());
        known && right
    };
    limited(check).await.unwrap_or(false)
}

async fn limited<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let _permit = CHECKS.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

fn hash(password: &str) -> Result<String, HashError> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(|e| HashError(e.to_string()))?;
    let hash = argon2().hash_password(password.as_bytes(), &salt).map_err(|e| HashError(e.to_string()))?;
    Ok(hash.to_string())
}

/// Argon2id with OWASP's parameters (19 MiB, 2 passes): ~30 ms on the machines this runs on.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn right_wrong_and_unknown() {
        let phc = hash_password("correct horse".into()).await.expect("hashed");
        assert!(phc.starts_with("$argon2id$"), "{phc}");
        assert!(verify("correct horse".into(), Some(phc.clone())).await);
        assert!(!verify("wrong horse".into(), Some(phc.clone())).await);
        assert!(!verify("nobody has this password".into(), None).await);
        assert!(!verify("correct horse".into(), Some("not a hash".into())).await);
        assert_ne!(phc, hash_password("correct horse".into()).await.expect("hashed"), "salted");
    }
}
