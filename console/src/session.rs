//! Who a browser is: signed cookies and the tokens that tie a form to one.
//!
//! Pure: state, cookie and time come in. A cookie holds name, expiry and an HMAC over both with the cluster's session
//! key, so every node of a cluster honours it and nothing is stored. The user's password hash goes into the HMAC too:
//! a new password ends all sessions of the old one.

use hmac::{Hmac, Mac};
use model::auth::{Actor, Role, User};
use model::{State, Timestamp};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How long a login lasts.
pub const SESSION_MS: u64 = 24 * 60 * 60 * 1000;
/// Name of the session's cookie.
pub const COOKIE: &str = "meseta_session";

/// A browser that has shown a valid cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub name: String,
    pub role: Role,
    /// Goes into every form of this session.
    pub csrf: String,
}

impl Session {
    pub fn actor(&self) -> Actor {
        Actor::User { name: self.name.clone(), role: self.role }
    }
}

/// The cookie value that logs `name` in until [`SESSION_MS`] after `now`. `None` if there is no such user, or the
/// cluster is not claimed.
pub fn issue(state: &State, name: &str, now: Timestamp) -> Option<String> {
    let user = state.users.get(name)?;
    let name = hex(name.as_bytes());
    let expires = now.plus_ms(SESSION_MS).0;
    let signature = hex(&mac(state, user, &name, expires)?.finalize().into_bytes());
    Some(format!("{name}.{expires}.{signature}"))
}

/// The session of a cookie value that [`issue`] made, if it is genuine and not expired at `now`.
pub fn verify(state: &State, cookie: &str, now: Timestamp) -> Option<Session> {
    let mut parts = cookie.split('.');
    let (name_hex, expires, signature) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    if parts.next().is_some() || Timestamp(expires) <= now {
        return None;
    }
    let name = String::from_utf8(unhex(name_hex)?).ok()?;
    let user = state.users.get(&name)?;
    mac(state, user, name_hex, expires)?.verify_slice(&unhex(signature)?).ok()?;
    Some(Session { role: user.role, csrf: csrf(state, cookie)?, name })
}

/// What a form of the session `cookie` must carry.
fn csrf(state: &State, cookie: &str) -> Option<String> {
    let mut mac = keyed(state, b"form")?;
    mac.update(cookie.as_bytes());
    Some(hex(&mac.finalize().into_bytes()[..TOKEN_BYTES]))
}

/// Length of a form's token before it is written as hexadecimal digits.
pub const TOKEN_BYTES: usize = 16;

/// The token as one page carries it: looks different each time (`pad` is fresh randomness), so that the length of
/// compressed pages tells a listener nothing about it.
pub fn mask(token: &str, pad: [u8; 2 * TOKEN_BYTES]) -> String {
    let masked: Vec<u8> = token.bytes().zip(pad).map(|(byte, pad)| byte ^ pad).collect();
    hex(&pad) + &hex(&masked)
}

/// Whether `sent` is `token` behind some mask. Takes as long for a wrong one as for the right one.
pub fn is_masked(sent: &str, token: &str) -> bool {
    let Some(bytes) = unhex(sent).filter(|bytes| bytes.len() == 4 * TOKEN_BYTES) else { return false };
    let (pad, masked) = bytes.split_at(2 * TOKEN_BYTES);
    let unmasked: Vec<u8> = masked.iter().zip(pad).map(|(byte, pad)| byte ^ pad).collect();
    unmasked.ct_eq(token.as_bytes()).into()
}

fn mac(state: &State, user: &User, name: &str, expires: u64) -> Option<Hmac<Sha256>> {
    let mut mac = keyed(state, b"session")?;
    // Neither hexadecimal digits nor a PHC string hold a space: the parts cannot run into each other.
    mac.update(format!("{name} {expires} {}", user.password_hash).as_bytes());
    Some(mac)
}

/// An HMAC for one purpose; a value made for another never verifies.
fn keyed(state: &State, purpose: &[u8]) -> Option<Hmac<Sha256>> {
    let key = state.session_key.as_ref()?;
    let mut mac = Hmac::new_from_slice(key.0.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(purpose);
    mac.update(b" ");
    Some(mac)
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 1024 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::auth::SessionKey;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn claimed() -> State {
        let mut state = State { session_key: Some(SessionKey("5a".repeat(32))), ..State::default() };
        for name in ["admin", "eve"] {
            let user = User {
                name: name.into(),
                password_hash: format!("$argon2id${name}"),
                role: Role::Administrator,
                created_at: NOW,
            };
            state.users.insert(name.into(), user);
        }
        state
    }

    #[test]
    fn a_cookie_logs_in_until_it_expires() {
        let state = claimed();
        let cookie = issue(&state, "admin", NOW).expect("admin exists");
        let session = verify(&state, &cookie, NOW.plus_ms(SESSION_MS - 1)).expect("still valid");
        assert_eq!(session.name, "admin");
        assert_eq!(verify(&state, &cookie, NOW.plus_ms(SESSION_MS)), None);
        assert_eq!(issue(&state, "nobody", NOW), None);
        assert_eq!(issue(&State::default(), "admin", NOW), None);
    }

    #[test]
    fn forged_cookies_are_refused() {
        let state = claimed();
        let eve = issue(&state, "eve", NOW).expect("eve exists");
        let signature = eve.rsplit('.').next().expect("three parts");
        let later = NOW.plus_ms(SESSION_MS * 2).0;
        let expires = NOW.plus_ms(SESSION_MS).0;
        let flipped = if signature.starts_with('0') { "1" } else { "0" };
        for forged in [
            format!("{}.{expires}.{signature}", hex(b"admin")),
            format!("{}.{later}.{signature}", hex(b"eve")),
            format!("{}.{expires}.{flipped}{}", hex(b"eve"), &signature[1..]),
            format!("{}.{expires}.", hex(b"eve")),
            format!("{}.{expires}.{}", hex(b"eve"), &signature[..62]),
            format!("{eve}.more"),
            format!("{}.{expires}.{}", hex(b"eve"), verify(&state, &eve, NOW).expect("genuine").csrf),
            String::new(),
            "..".into(),
            "é.1.é".into(),
        ] {
            assert_eq!(verify(&state, &forged, NOW), None, "{forged}");
        }
    }

    #[test]
    fn another_key_or_password_ends_sessions() {
        let state = claimed();
        let cookie = issue(&state, "admin", NOW).expect("admin exists");
        let other_key = State { session_key: Some(SessionKey("5b".repeat(32))), ..state.clone() };
        assert_eq!(verify(&other_key, &cookie, NOW), None);
        let mut other_password = state.clone();
        other_password.users.get_mut("admin").expect("admin exists").password_hash = "$argon2id$new".into();
        assert_eq!(verify(&other_password, &cookie, NOW), None);
    }

    #[test]
    fn form_tokens_differ_by_session() {
        let state = claimed();
        let token = |name| {
            let cookie = issue(&state, name, NOW).expect("user exists");
            verify(&state, &cookie, NOW).expect("genuine").csrf
        };
        assert_ne!(token("admin"), token("eve"));
        let sent = mask(&token("admin"), [0x3c; 32]);
        assert_ne!(sent, mask(&token("admin"), [0x3d; 32]));
        assert!(is_masked(&sent, &token("admin")));
        for wrong in [mask(&token("eve"), [0x3c; 32]), token("admin"), sent[..126].to_owned(), String::new()]
        {
            assert!(!is_masked(&wrong, &token("admin")), "{wrong}");
        }
    }
}
