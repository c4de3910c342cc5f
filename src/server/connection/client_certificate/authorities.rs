//! The authorities of clients' certificates at a listener.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::reading;
use crate::clock;
use crate::request::ClientCertificate;

/// The authorities of clients' certificates, and whether a client must show one.
pub struct ClientAuthorities {
    certificates: Vec<CertificateDer<'static>>,
    is_required: bool,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Certificates of authorities by which none can be verified.
#[derive(Debug)]
pub struct UnfitAuthorities(String);

impl std::error::Error for UnfitAuthorities {}

impl fmt::Display for UnfitAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no client can be verified by these certificates: {}",
            self.0
        )
    }
}

impl ClientAuthorities {
    /// These authorities.
    ///
    /// # Errors
    ///
    /// No certificate can be verified by them.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        is_required: bool,
    ) -> Result<Self, UnfitAuthorities> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| UnfitAuthorities(error.to_string()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier
            .build()
            .map_err(|error| UnfitAuthorities(error.to_string()))?;
        Ok(Self {
            certificates,
            is_required,
            verifier,
        })
    }

    /// Whether a client must show a certificate.
    pub fn are_required(&self) -> bool {
        self.is_required
    }

    /// Whether these are the same authorities, asked for the same.
    pub(crate) fn are_same(&self, other: &Self) -> bool {
        self.is_required == other.is_required && self.certificates == other.certificates
    }

    /// What a certificate says, if one of the authorities vouches for it now.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
    ) -> Result<ClientCertificate, rustls::Error> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let now = Duration::from_secs(clock::now().seconds());
        let now = UnixTime::since_unix_epoch(now);
        self.verifier.verify_client_cert(leaf, intermediates, now)?;
        let read = reading::read(leaf);
        read.ok_or_else(|| rustls::CertificateError::BadEncoding.into())
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            certificates,
            is_required,
            ..
        } = self;
        let count = certificates.len();
        write!(f, "ClientAuthorities({count}, required: {is_required})")
    }
}
