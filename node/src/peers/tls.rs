//! Who speaks: mutual TLS 1.3 under the cluster's own authority.
//!
//! A member is named by its certificate. It is not looked up among the members of the state: a server that is behind
//! must still hear the one that brings it the log. What is looked up is who was removed, and whose key was replaced.

use std::sync::Arc;

use model::{NodeId, Timestamp};
use rcgen::KeyPair;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use webpki::EndEntityCert;

use super::key::fingerprint_of;
use super::{node_of, since_of};

const ALPN: &[u8] = b"h2";
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the cluster's certificates cannot be used: {0}")]
    Rustls(#[from] Error),
    #[error("the cluster's certificates cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// For asking and for answering, with a chain of this node's certificate and the authority's, and with another authority
/// that is trusted as well.
pub fn configs(
    chain: [CertificateDer<'static>; 2],
    also_trusted: Option<CertificateDer<'static>>,
    key: &KeyPair,
) -> Result<(ClientConfig, ServerConfig), TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in also_trusted.into_iter().chain([chain[1].clone()]) {
        roots.add(authority)?;
    }
    let roots = Arc::new(roots);
    let own_key = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .with_root_certificates(roots.clone())
        .with_client_auth_cert(chain.to_vec(), own_key())?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    // Strangers get as far as asking to be let in.
    let members =
        WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated().build()?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .with_client_cert_verifier(members)
        .with_single_cert(chain.to_vec(), own_key())?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok((client, server))
}

/// For a node without a certificate that knows the authority's fingerprint from its token.
pub fn stranger(authority: &str) -> Result<ClientConfig, TlsError> {
    let verifier = Arc::new(Pinned { fingerprint: authority.to_owned(), provider: provider() });
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// A member as its verified certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub node: NodeId,
    /// Of its key, as in `State.members`.
    pub fingerprint: String,
    /// Since when it has that key, by cluster time; 0 if a program issued the certificate that knew no change of keys.
    pub since: Timestamp,
}

/// Who presented this verified chain; `None` if the certificate names no node.
pub fn caller(chain: &[CertificateDer<'_>]) -> Option<Caller> {
    let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
    let node = certificate.valid_dns_names().find_map(node_of)?;
    let since = certificate.valid_dns_names().find_map(since_of).unwrap_or_default();
    Some(Caller { node, fingerprint: fingerprint_of(&certificate.subject_public_key_info()), since })
}

/// Trusts the authority with one fingerprint, which must be in the chain that is shown.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates.iter().find(|shown| fingerprint_of(shown) == self.fingerprint);
        let authority = authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
