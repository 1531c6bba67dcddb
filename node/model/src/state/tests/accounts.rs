//! Passwords, tokens and sessions as people change them.

use crate::auth::{Role, SessionKey, Token};
use crate::command::{Command, Reject};
use crate::testing::Lab;
use crate::{Timestamp, limits};

use super::events_since;

fn token(name: &str, fill: char) -> Token {
    Token {
        name: name.to_owned(),
        token_sha256: fill.to_string().repeat(64),
        role: Role::Administrator,
        created_at: Timestamp(1),
        expires_at: None,
    }
}

fn path_of(result: Result<crate::Outcome, Reject>) -> String {
    match result {
        Err(Reject::Invalid { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_password_is_replaced_for_a_user_that_exists() {
    let mut lab = Lab::new();
    let before = lab.state.index;
    let set = |user: &str, hash: &str| Command::SetPassword { user: user.into(), password_hash: hash.into() };
    lab.must(set("admin", "$argon2id$new"));
    assert_eq!(lab.state.users["admin"].password_hash, "$argon2id$new");
    assert_eq!(events_since(&lab, before), ["PasswordChanged"]);
    assert_eq!(path_of(lab.run(set("nobody", "$argon2id$new"))), "/user");
    assert_eq!(path_of(lab.run(set("admin", ""))), "/password_hash");
    assert_eq!(
        path_of(lab.run(set("admin", &"x".repeat(limits::SECRET_HASH_BYTES_MAX + 1)))),
        "/password_hash"
    );
    assert_eq!(lab.state.users["admin"].password_hash, "$argon2id$new");
}

#[test]
fn tokens_are_put_once_and_taken_away() {
    let mut lab = Lab::new();
    let before = lab.state.index;
    let put = |token: Token| Command::PutToken { token };
    lab.must(put(token("ci", 'a')));
    let stored = &lab.state.tokens[&"a".repeat(64)];
    assert_eq!((stored.name.as_str(), stored.created_at), ("ci", lab.state.now));
    for (bad, path) in [
        (token("ci", 'b'), "/name"),
        (token("other", 'a'), "/token_sha256"),
        (token("", 'b'), "/name"),
        (token(" x", 'b'), "/name"),
        (token("a\nb", 'b'), "/name"),
        (token(&"n".repeat(limits::TOKEN_NAME_BYTES_MAX + 1), 'b'), "/name"),
        (token("x", 'g'), "/token_sha256"),
        (Token { expires_at: Some(Timestamp(1)), ..token("x", 'b') }, "/expires_at"),
    ] {
        assert_eq!(path_of(lab.run(put(bad))), path);
    }
    lab.must(Command::DeleteToken { name: "ci".into() });
    assert!(lab.state.tokens.is_empty());
    assert_eq!(path_of(lab.run(Command::DeleteToken { name: "ci".into() })), "/name");
    assert_eq!(events_since(&lab, before), ["TokenCreated", "TokenRevoked"]);
    lab.must(put(token("ci", 'a')));
}

#[test]
fn a_session_key_is_replaced_by_a_whole_one() {
    let mut lab = Lab::new();
    let rotate = |key: &str| Command::RotateSessionKey { session_key: SessionKey(key.into()) };
    lab.must(rotate(&"5b".repeat(32)));
    assert_eq!(lab.state.session_key, Some(SessionKey("5b".repeat(32))));
    for bad in ["", "5b", &"zz".repeat(32)] {
        assert_eq!(path_of(lab.run(rotate(bad))), "/session_key");
    }
}
