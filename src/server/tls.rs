//! The certificate and key of a TLS listener.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::config::TlsFiles;

/// The operator's TLS files cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No certificate in it.
    #[error("{}: no certificate can be read ({reason}); write a PEM chain there, the server's own first", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// No private key in it.
    #[error("{}: no private key can be read ({reason}); write a PEM key there, PKCS#8, PKCS#1 or SEC1", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Both are there but do not fit.
    #[error("{} and {} cannot be used together: {reason}", certificate.display(), key.display())]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// Reads the files: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, no client certificates.
///
/// # Errors
/// If a file cannot be read, or the key does not belong to the certificate.
pub fn tls(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let no_certificate = |reason: String| TlsError::Certificate { path: files.certificate.clone(), reason };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| no_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("there is none in it".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::Key { path: files.key.clone(), reason: error.to_string() })?;
    let mismatch = |error: rustls::Error| TlsError::Mismatch {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        reason: error.to_string(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
