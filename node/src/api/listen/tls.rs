//! The node's own certificate: self-signed, made at the first start, kept for good so that an exception granted in a
//! browser stays granted.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::ListenError;
use crate::durable;

/// An acceptor for HTTP/2 and HTTP/1.1 with `folder/cert.pem` and `folder/key.pem`, made first if they are missing.
pub fn acceptor(folder: &Path, addresses: &[IpAddr]) -> Result<TlsAcceptor, ListenError> {
    let error = |verb| {
        let folder = folder.display().to_string();
        move |reason: String| ListenError::Certificate { folder, verb, reason }
    };
    if !folder.join("cert.pem").exists() {
        make(folder, addresses).map_err(error("made"))?;
    }
    let config = read(folder).map_err(error("read"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(folder: &Path) -> Result<ServerConfig, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).map_err(|e| text(&e))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| text(&e))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(|e| text(&e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| text(&e))?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|e| text(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The key first, the certificate last: a certificate that exists has its key.
fn make(folder: &Path, addresses: &[IpAddr]) -> Result<(), String> {
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(|e| e.to_string())?;
    params.subject_alt_names.extend(addresses.iter().chain(&loopback).map(|ip| SanType::IpAddress(*ip)));
    params.distinguished_name.push(DnType::CommonName, "Meseta node");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key).map_err(|e| e.to_string())?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.and_then(|()| durable::write(&folder.join("key.pem"), key.serialize_pem().as_bytes()))
        .and_then(|()| durable::write(&folder.join("cert.pem"), certificate.pem().as_bytes()))
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let tls = folder.path().join("tls");
        acceptor(&tls, &["10.0.0.1".parse().expect("an address")]).expect("made");
        let first = fs::read(tls.join("cert.pem")).expect("kept");
        acceptor(&tls, &["10.0.0.2".parse().expect("an address")]).expect("read");
        assert_eq!(first, fs::read(tls.join("cert.pem")).expect("kept"));
        for name in ["cert.pem", "key.pem"] {
            let mode = fs::metadata(tls.join(name)).expect("exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        fs::write(tls.join("key.pem"), "rubbish").expect("written");
        let error = acceptor(&tls, &[]).err().expect("refused").to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
