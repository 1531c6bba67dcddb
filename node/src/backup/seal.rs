//! Bytes under a passphrase: Argon2id makes the key, ChaCha20-Poly1305 hides and authenticates.
//!
//! Cost and algorithms are fixed by the format of the file, so that no file can ask for gigabytes of memory.

use argon2::{Algorithm, Argon2, Params, Version};
use model::backup::Key;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

/// As for passwords, in KiB: small nodes have little more to spare.
const MEMORY_KIB: u32 = 19 * 1024;
/// One more than for passwords: a file can be tried at leisure by whoever finds it.
const PASSES: u32 = 3;
const KEY_BYTES: usize = 32;

/// What the key was made with, and what makes each file's use of it another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    salt: [u8; 16],
    nonce: [u8; NONCE_LEN],
}

/// What hides a file.
pub struct Lock {
    pub seal: Seal,
    key: [u8; KEY_BYTES],
}

impl Lock {
    /// With a key of its own, if `salt` is fresh. `None` if no key can be made.
    pub fn of_passphrase(passphrase: &str, salt: [u8; 16], nonce: [u8; NONCE_LEN]) -> Option<Self> {
        Some(Self { seal: Seal { salt, nonce }, key: derive(passphrase, salt)? })
    }

    /// With the key of a schedule. `nonce` must be fresh: by chance alone, it is another for billions of files.
    pub fn of_key(key: &Key, nonce: [u8; NONCE_LEN]) -> Self {
        Self { seal: Seal { salt: key.salt, nonce }, key: key.bytes }
    }

    /// Hides `bytes`; [`Seal::open`] then wants the same `header`.
    pub fn close(&self, header: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::assume_unique_for_key(self.seal.nonce);
        cipher(&self.key)?.seal_in_place_append_tag(nonce, Aad::from(header), &mut bytes).ok()?;
        Some(bytes)
    }
}

impl Seal {
    /// `None` if the passphrase is another, or anything was changed.
    pub fn open(&self, passphrase: &str, header: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let key = derive(passphrase, self.salt)?;
        let length = cipher(&key)?.open_in_place(nonce, Aad::from(header), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

/// The key of a schedule. `None` if it cannot be made.
pub fn key(passphrase: &str, salt: [u8; 16]) -> Option<Key> {
    Some(Key { salt, bytes: derive(passphrase, salt)? })
}

fn derive(passphrase: &str, salt: [u8; 16]) -> Option<[u8; KEY_BYTES]> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(KEY_BYTES)).ok()?;
    let mut key = [0; KEY_BYTES];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(passphrase.as_bytes(), &salt, &mut key).ok()?;
    Some(key)
}

fn cipher(key: &[u8; KEY_BYTES]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?))
}
