//! This node's key: made at its first start and anew now and then, kept in STATE, never sent anywhere.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};

use crate::durable;

const FILE: &str = "peer.key";
/// The next one, until the certificate beside it says that it counts.
const NEXT_FILE: &str = "peer.key.next";

/// Reads the key that `certified`, the fingerprint in this node's certificate if it has one, belongs to, or makes one
/// (P-256) on a pristine folder. A damaged file is an error: the cluster knows the node by it.
pub fn load_or_create(state: &Path, certified: Option<&str>) -> anyhow::Result<KeyPair> {
    let (path, next_path) = (state.join(FILE), state.join(NEXT_FILE));
    // A change of keys was broken off, before or after it counted.
    if let Some(next) = read(&next_path)? {
        if certified == Some(fingerprint(&next).as_str()) {
            take_over(state)?;
            return Ok(next);
        }
        fs::remove_file(&next_path).with_context(|| format!("removing {}", next_path.display()))?;
    }
    match read(&path)? {
        Some(key) if certified.is_some_and(|certified| certified != fingerprint(&key)) => {
            bail!("{} is not the key of this node's certificate", path.display())
        }
        Some(key) => Ok(key),
        None => {
            let key = KeyPair::generate().context("making a key")?;
            write(&path, &key)?;
            Ok(key)
        }
    }
}

/// A new key, written down beside the present one. It counts once a certificate for it is.
pub fn make_next(state: &Path) -> anyhow::Result<KeyPair> {
    let key = KeyPair::generate().context("making a key")?;
    write(&state.join(NEXT_FILE), &key)?;
    Ok(key)
}

/// The next key takes the place of the present one, which is gone.
pub fn take_over(state: &Path) -> anyhow::Result<()> {
    let path = state.join(FILE);
    fs::rename(state.join(NEXT_FILE), &path).with_context(|| format!("replacing {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Option<KeyPair>> {
    match fs::read_to_string(path) {
        Ok(pem) => {
            KeyPair::from_pem(&pem).with_context(|| format!("{} is damaged", path.display())).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn write(path: &Path, key: &KeyPair) -> anyhow::Result<()> {
    durable::write(path, key.serialize_pem().as_bytes())
        .with_context(|| format!("writing {}", path.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_broken_off_leaves_the_key_that_the_certificate_is_for() {
        let dir = tempfile::tempdir().unwrap();
        let load =
            |certified: Option<&str>| load_or_create(dir.path(), certified).map(|key| fingerprint(&key));
        let first = load(None).unwrap();
        assert_eq!(load(Some(&first)).unwrap(), first);
        make_next(dir.path()).unwrap();
        assert_eq!(load(Some(&first)).unwrap(), first, "the certificate was not written yet");
        let next = fingerprint(&make_next(dir.path()).unwrap());
        assert_eq!(load(Some(&next)).unwrap(), next, "it was");
        assert_eq!(load(Some(&next)).unwrap(), next);
        let error = load(Some(&first)).unwrap_err().to_string();
        assert!(error.contains("is not the key of this node's certificate"), "{error}");
    }
}
