//! The cluster's certificate authority: made at the claim, kept in the state, used by every server.
//!
//! Certificates are valid from 1975 to 4096 (rcgen's default): no clock decides who belongs to the cluster. A node whose
//! battery is empty believes in any year, and must still be heard. What ends a certificate is a newer one of its node, or the
//! node's removal, and both are in the state: the certificate says since when, by the cluster's time, its key is the node's.

use model::membership::Authority;
use model::{NodeId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{ANY_MEMBER, name, since_name};

/// Why a certificate cannot be had. None of these heals by itself.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the cluster's certificate authority does not work: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the cluster's certificate authority cannot be read: {0}")]
    Unreadable(String),
}

/// A new authority, the first unless the state gives it another number.
pub fn create() -> Result<Authority, AuthorityError> {
    let key = KeyPair::generate()?;
    let certificate = params().self_signed(&key)?;
    Ok(Authority { certificate: certificate.pem(), key: key.serialize_pem(), number: 0 })
}

/// A certificate of `node`, as client and as server, for the key that it made at `since`. PEM.
pub fn issue(
    authority: &Authority,
    node: NodeId,
    key: &impl PublicKeyData,
    since: Timestamp,
) -> Result<String, AuthorityError> {
    let issuer = Issuer::new(params(), KeyPair::from_pem(&authority.key)?);
    let mut params = CertificateParams::new(vec![name(node), ANY_MEMBER.to_owned(), since_name(since)])?;
    params.distinguished_name.push(DnType::CommonName, node.to_string());
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params.signed_by(key, &issuer)?.pem())
}

/// The certificate in DER.
pub fn certificate(pem: &str) -> Result<CertificateDer<'static>, AuthorityError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| AuthorityError::Unreadable(error.to_string()))
}

/// The same each time, so that certificates of any server name the same issuer.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Meseta cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
