//! This node's key: made at its first start, kept in STATE, never sent anywhere.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};

use crate::durable;

const FILE: &str = "peer.key";

/// Reads the key, or makes one (P-256) on a pristine folder. A damaged file is an error: the cluster knows the node by it.
pub fn load_or_create(state: &Path) -> anyhow::Result<KeyPair> {
    let path = state.join(FILE);
    match fs::read_to_string(&path) {
        Ok(pem) => KeyPair::from_pem(&pem).with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate().context("making a key")?;
            durable::write(&path, key.serialize_pem().as_bytes())
                .with_context(|| format!("writing {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// A public key of P-256 as an uncompressed point (SEC 1): what an applicant sends.
#[derive(Debug, Clone)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    pub fn of(key: &KeyPair) -> Self {
        Self(key.public_key_raw().to_vec())
    }

    /// `None` unless it is 65 bytes that begin with 4.
    pub fn parse(point: &[u8]) -> Option<Self> {
        (point.len() == 65 && point[0] == 4).then(|| Self(point.to_vec()))
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal digits: how the cluster knows a member.
pub fn fingerprint(key: &impl PublicKeyData) -> String {
    fingerprint_of(&key.subject_public_key_info())
}

/// The same of any bytes in DER.
pub fn fingerprint_of(der: &[u8]) -> String {
    format!("{:x}", Sha256::digest(der))
}
