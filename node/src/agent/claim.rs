//! The two places where somebody guesses: the claim code of an unclaimed node, and passwords. Both are limited.

use std::sync::{Mutex, PoisonError};

use console::{ClaimError, LoginError};
use model::auth::{Actor, User};

use crate::api::auth::tries::Tries;
use crate::api::auth::{code, password};
use crate::api::clock::monotonic_ms;

/// The code on the node's screen.
#[derive(Debug)]
pub struct Claim {
    code: String,
    tries: Mutex<Tries>,
}

impl Claim {
    pub fn new(code: String) -> Self {
        Self { code, tries: Mutex::default() }
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    /// Takes one guess of `client_ip`, or says in how many seconds the next one is allowed.
    pub fn take_try(&self, client_ip: &str) -> Result<(), u64> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).take(client_ip, monotonic_ms())
    }

    /// It guessed right.
    pub fn forgive(&self, client_ip: &str) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).forgive(client_ip);
    }

    pub fn check(&self, typed: &str, client_ip: &str) -> Result<(), ClaimError> {
        self.take_try(client_ip).map_err(|seconds| ClaimError::TooManyTries { seconds })?;
        if !code::matches(&self.code, typed) {
            return Err(ClaimError::WrongCode);
        }
        self.forgive(client_ip);
        Ok(())
    }
}

/// Passwords of people.
#[derive(Debug, Default)]
pub struct Logins {
    tries: Mutex<Tries>,
}

impl Logins {
    /// Takes as long for a user that does not exist as for one that does.
    pub async fn check(
        &self,
        user: Option<&User>,
        password: &str,
        client_ip: &str,
    ) -> Result<Actor, LoginError> {
        self.tries()
            .take(client_ip, monotonic_ms())
            .map_err(|seconds| LoginError::TooManyTries { seconds })?;
        let right = password::verify(password.to_owned(), user.map(|u| u.password_hash.clone())).await;
        match user {
            Some(user) if right => {
                self.tries().forgive(client_ip);
                Ok(Actor::User { name: user.name.clone(), role: user.role })
            }
            _ => Err(LoginError::Wrong),
        }
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
