//! Who may do what. The answer is given in one place, [`authorize`], for API, console and client alike.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A person's account. `password_hash` is an Argon2id PHC string, made before the command is proposed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub password_hash: String,
    pub role: Role,
    pub created_at: Timestamp,
}

/// An API token. Only a SHA-256 of it is kept; the token itself is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub name: String,
    /// Hexadecimal SHA-256 of the token's text.
    pub token_sha256: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// Signs session cookies; made when the cluster is claimed. 32 bytes, hexadecimal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionKey(pub String);

// Secrets do not appear in logs, panics or assertion messages.
macro_rules! redacted {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}
redacted!(User);
redacted!(Token);
redacted!(SessionKey);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Administrator,
}

/// On whose behalf a command is proposed; lands in the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The program itself: leader loop, node reports.
    System,
    /// Whoever stands before an unclaimed node with its claim code.
    Claimant,
    User {
        name: String,
        role: Role,
    },
    Token {
        name: String,
        role: Role,
    },
}

impl Actor {
    /// True if the command came from outside the program, whose sender may retry it.
    pub fn is_outside(&self) -> bool {
        !matches!(self, Self::System)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Read,
    Write,
}

/// Where passwords, tokens and sessions are kept, what holds them all, what lets nodes in, whom the cluster asks for
/// what, and what ends the majority's say: what a token could use to outlive its own revocation.
const ACCOUNTS: [&str; 7] = [
    "/settings",
    "/meseta/v1/settings",
    "/meseta/v1/tokens",
    "/meseta/v1/backup",
    "/meseta/v1/recover",
    "/meseta/v1/join-tokens",
    "/meseta/v1/unclaimed-nodes",
];

/// May `actor` do `verb` on `path` of API or console (e.g. `/v2/apps/hello2`)? There is one role now and a person with
/// it may do all; a token may all but see and change who gets in.
pub fn authorize(actor: &Actor, verb: Verb, path: &str) -> bool {
    let _ = verb;
    let is_below =
        |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_accounts = ACCOUNTS.iter().any(|top| is_below(top));
    match actor {
        Actor::System => true,
        Actor::Claimant => false,
        Actor::User { role: Role::Administrator, .. } => true,
        Actor::Token { role: Role::Administrator, .. } => !is_accounts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_may_do_all_and_claimants_nothing() {
        let role = Role::Administrator;
        let user = Actor::User { name: "admin".to_owned(), role };
        let token = Actor::Token { name: "ci".to_owned(), role };
        for (actor, expect) in [(Actor::System, true), (Actor::Claimant, false), (user, true), (token, true)]
        {
            for (verb, path) in [(Verb::Read, "/v2/apps"), (Verb::Write, "/v2/apps/hello2")] {
                assert_eq!(authorize(&actor, verb, path), expect, "{actor:?} {verb:?} {path}");
            }
            assert_eq!(actor.is_outside(), actor != Actor::System);
        }
    }

    #[test]
    fn a_token_cannot_make_another() {
        let role = Role::Administrator;
        let user = Actor::User { name: "admin".to_owned(), role };
        let token = Actor::Token { name: "ci".to_owned(), role };
        for (path, may) in [
            ("/settings", false),
            ("/settings/tokens", false),
            ("/settings-of-x", true),
            ("/meseta/v1/tokens/ci", false),
            ("/meseta/v1/join-tokens", false),
            ("/meseta/v1/backup", false),
            ("/meseta/v1/settings", false),
            ("/meseta/v1/unclaimed-nodes", false),
        ] {
            for verb in [Verb::Read, Verb::Write] {
                assert!(authorize(&user, verb, path));
                assert_eq!(authorize(&token, verb, path), may, "{path}");
            }
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let user = User {
            name: "admin".to_owned(),
            password_hash: "$argon2id$secret".to_owned(),
            role: Role::Administrator,
            created_at: Timestamp(1),
        };
        let token = Token {
            name: "ci".to_owned(),
            token_sha256: "secret".to_owned(),
            role: Role::Administrator,
            created_at: Timestamp(1),
            expires_at: None,
        };
        let printed = format!("{user:?} {token:?} {:?}", SessionKey("secret".to_owned()));
        assert!(!printed.contains("secret"), "{printed}");
        // In the log and in snapshots they are all there.
        let json = serde_json::to_string(&user).expect("serialises");
        assert_eq!(serde_json::from_str::<User>(&json).expect("comes back"), user);
    }
}
