//! Why the certificates of a node can't be used.

use std::fmt;

use rustls::server::VerifierBuilderError;

/// Why a node can't use its certificates.
#[derive(Debug)]
pub enum UnfitCertificates {
    /// The key is not that of the certificate.
    Key(rustls::Error),
    /// The authorities can verify no certificate.
    Authorities(VerifierBuilderError),
}

impl std::error::Error for UnfitCertificates {}

impl fmt::Display for UnfitCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => write!(f, "key_file does not fit cert_file: {error}"),
            Self::Authorities(error) => write!(f, "ca_file: {error}"),
        }
    }
}
