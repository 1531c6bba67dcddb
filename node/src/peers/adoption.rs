//! Taking in an unclaimed node by the code on its screen, pure: what a member and the node say to each other.
//!
//! Both know the code only from a person, so a password-authenticated key exchange (SPAKE2 by the `spake2` crate) turns
//! it into a key: who listens learns nothing, and who pretends has one guess an exchange, at either end. The
//! fingerprints of the cluster's authority and of the node's key go into the exchange as the two names, so nobody can
//! stand between. Under the key the member hands over a join token, which the node then uses as any other.
//!
//! ```text
//! member → node   which key do you have?            node: its fingerprint
//! member → node   authority, its half               node: session, its half
//! member → node   session, sealed token             node: sealed outcome, after it has joined
//! ```

use console::adoption::{Begin, Begun, Finish, Finished};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::api::auth::code;

/// In the messages, raised when they change.
pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the message has format {0}, this program knows {FORMAT}")]
    Format(u32),
    #[error("the message is no half of an exchange")]
    Half,
    /// Also what somebody between the two looks like.
    #[error("the code is not the one on the node's screen")]
    WrongCode,
}

/// The member's side before the node has answered.
pub struct Asking {
    exchange: Spake2<Ed25519Group>,
}

/// What both have once they know each other's halves. Each direction has a key that seals one message only.
pub struct Shared {
    from_member: LessSafeKey,
    from_node: LessSafeKey,
}

fn names(authority: &str, key: &str) -> [Identity; 2] {
    [format!("meseta cluster {authority}"), format!("meseta node {key}")]
        .map(|name| Identity::new(name.as_bytes()))
}

fn password(typed: &str) -> Password {
    Password::new(code::canonical(typed))
}

impl Asking {
    /// `authority` and `key` are fingerprints, `key` as the node said.
    pub fn begin(typed: &str, authority: &str, key: &str) -> (Self, Begin) {
        let [cluster, node] = names(authority, key);
        let (exchange, half) = Spake2::start_a(&password(typed), &cluster, &node);
        (Self { exchange }, Begin { format: FORMAT, authority: authority.to_owned(), half })
    }

    pub fn finish(self, begun: &Begun, token: &str) -> Result<(Shared, Finish), Fault> {
        let shared = share(self.exchange, &begun.half)?;
        let sealed = seal(&shared.from_member, token);
        Ok((shared, Finish { session: begun.session.clone(), sealed }))
    }
}

impl Shared {
    /// The node's side: its half, and what it will read the rest with.
    pub fn answer(code: &str, key: &str, begin: &Begin) -> Result<(Self, Vec<u8>), Fault> {
        if begin.format != FORMAT {
            return Err(Fault::Format(begin.format));
        }
        let [cluster, node] = names(&begin.authority, key);
        let (exchange, half) = Spake2::start_b(&password(code), &cluster, &node);
        Ok((share(exchange, &begin.half)?, half))
    }

    pub fn open_token(&self, finish: &Finish) -> Result<String, Fault> {
        open(&self.from_member, &finish.sealed)
    }

    pub fn seal_outcome(&self, outcome: &str) -> Finished {
        Finished { sealed: seal(&self.from_node, outcome) }
    }

    pub fn open_outcome(&self, finished: &Finished) -> Result<String, Fault> {
        open(&self.from_node, &finished.sealed)
    }
}

fn share(exchange: Spake2<Ed25519Group>, half: &[u8]) -> Result<Shared, Fault> {
    let secret = exchange.finish(half).map_err(|_| Fault::Half)?;
    let derived = Salt::new(HKDF_SHA256, b"meseta adoption 1").extract(&secret);
    let key = |direction: &'static [u8]| -> Result<LessSafeKey, Fault> {
        let info = [direction];
        let bytes = derived.expand(&info, &CHACHA20_POLY1305).map_err(|_| Fault::Half)?;
        Ok(LessSafeKey::new(UnboundKey::from(bytes)))
    };
    Ok(Shared { from_member: key(b"from the member")?, from_node: key(b"from the node")? })
}

/// Every key seals one message, so the nonce may be the same for all.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn seal(key: &LessSafeKey, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    // It fails for texts of many gigabytes only; nothing sealed opens then.
    if key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

fn open(key: &LessSafeKey, sealed: &[u8]) -> Result<String, Fault> {
    let mut bytes = sealed.to_vec();
    let plain = key.open_in_place(nonce(), Aad::empty(), &mut bytes).map_err(|_| Fault::WrongCode)?;
    String::from_utf8(plain.to_vec()).map_err(|_| Fault::WrongCode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &str = "AB2C-XY9Z";

    /// What the node reads, and what the member reads of its answer.
    fn exchange(
        typed: &str,
        names: [&str; 2],
        seen: [&str; 2],
    ) -> (Result<String, Fault>, Result<String, Fault>) {
        let (asking, begin) = Asking::begin(typed, names[0], names[1]);
        let begin = Begin { authority: seen[0].to_owned(), ..begin };
        let (node, half) = Shared::answer(CODE, seen[1], &begin).unwrap();
        let begun = Begun { format: FORMAT, session: "s".to_owned(), half };
        let (member, finish) = asking.finish(&begun, "meseta1.token").unwrap();
        let outcome = node.seal_outcome("joined");
        (node.open_token(&finish), member.open_outcome(&outcome))
    }

    #[test]
    fn who_knows_the_code_hands_over_the_token() {
        let names = ["authority", "key"];
        let (token, outcome) = exchange("ab2c xy9z", names, names);
        assert_eq!((token.unwrap(), outcome.unwrap()), ("meseta1.token".to_owned(), "joined".to_owned()));
    }

    #[test]
    fn a_wrong_code_or_somebody_between_gets_nothing() {
        let names = ["authority", "key"];
        let nothing = (Err(Fault::WrongCode), Err(Fault::WrongCode));
        assert_eq!(exchange("AB2C-XY9Y", names, names), nothing);
        assert_eq!(exchange(CODE, names, ["other", "key"]), nothing);
        assert_eq!(exchange(CODE, names, ["authority", "other"]), nothing);
    }

    #[test]
    fn other_formats_and_halves_are_refused() {
        let (asking, begin) = Asking::begin(CODE, "a", "k");
        let other = Begin { format: 2, ..begin.clone() };
        assert_eq!(Shared::answer(CODE, "k", &other).err(), Some(Fault::Format(2)));
        let own = Begun { format: FORMAT, session: String::new(), half: begin.half };
        assert!(asking.finish(&own, "t").is_err(), "its own half sent back");
    }

    proptest! {
        #[test]
        fn no_half_panics(half in prop::collection::vec(any::<u8>(), 0..80)) {
            let begin = Begin { format: FORMAT, authority: "a".to_owned(), half };
            let _ = Shared::answer(CODE, "k", &begin);
        }
    }
}
