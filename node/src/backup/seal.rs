//! Bytes under a passphrase: Argon2id makes the key, ChaCha20-Poly1305 hides and authenticates.
//!
//! Cost and algorithms are fixed by the format of the file, so that no file can ask for gigabytes of memory.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

/// As for passwords, in KiB: small nodes have little more to spare.
const MEMORY_KIB: u32 = 19 * 1024;
/// One more than for passwords: a file can be tried at leisure by whoever finds it.
const PASSES: u32 = 3;
const KEY_BYTES: usize = 32;

/// What the key was made with. Fresh for each file, so that one key never hides two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    salt: [u8; 16],
    nonce: [u8; NONCE_LEN],
}

impl Seal {
    pub fn new(salt: [u8; 16], nonce: [u8; NONCE_LEN]) -> Self {
        Self { salt, nonce }
    }

    /// Hides `bytes`; `open` then wants the same `header`.
    pub fn close(&self, passphrase: &str, header: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        self.key(passphrase)?.seal_in_place_append_tag(nonce, Aad::from(header), &mut bytes).ok()?;
        Some(bytes)
    }

    /// `None` if the passphrase is another, or anything was changed.
    pub fn open(&self, passphrase: &str, header: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let length = self.key(passphrase)?.open_in_place(nonce, Aad::from(header), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }

    fn key(&self, passphrase: &str) -> Option<LessSafeKey> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(KEY_BYTES)).ok()?;
        let mut key = [0; KEY_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, &mut key)
            .ok()?;
        Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?))
    }
}
