//! A certificate of the public listener, with its private key.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use x509_parser::der_parser::oid;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::UnixTime;

/// A certificate with its chain and its private key, which is never shown.
#[derive(Clone)]
pub struct Certificate {
    pub(in crate::server) key: Arc<CertifiedKey>,
    /// Its file, as the operator wrote it.
    pub name: String,
    /// Its first moment.
    pub not_before: UnixTime,
    /// Its last moment.
    pub not_after: UnixTime,
    /// Whether it demands stapled OCSP responses (RFC 7633), which are never sent: browsers refuse it.
    pub must_staple: bool,
}

/// Why a certificate or its key can't be used.
#[derive(Debug)]
pub enum UnfitCertificate {
    /// The chain is not PEM.
    Unreadable(pem::Error),
    /// The chain holds no certificate.
    NoCertificate,
    /// The first certificate is not one of a server.
    NotOfServer,
    /// There is no private key.
    NoKey,
    /// The private key does not belong to the certificate.
    UnfitKey(rustls::Error),
}

impl std::error::Error for UnfitCertificate {}

impl fmt::Display for UnfitCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the certificate can't be read: {error}"),
            Self::NoCertificate => f.write_str("there is no certificate in PEM"),
            Self::NotOfServer => f.write_str("the first certificate is not one of a server"),
            Self::NoKey => f.write_str("there is no private key in PEM (PKCS#8, PKCS#1 or SEC1)"),
            Self::UnfitKey(error) => {
                write!(f, "the private key does not fit the certificate: {error}")
            }
        }
    }
}

impl Certificate {
    /// From a chain and a key in PEM, which must belong together; `name` is for metrics and reports.
    ///
    /// # Errors
    ///
    /// The chain or the key can't be used, or they do not belong together.
    pub fn parse(name: &str, chain: &[u8], key: &[u8]) -> Result<Self, UnfitCertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(UnfitCertificate::Unreadable)?;
        let leaf = chain.first().ok_or(UnfitCertificate::NoCertificate)?;
        let read = webpki::EndEntityCert::try_from(leaf);
        let (Ok(_), Some((not_before, not_after))) = (read, validity_of(leaf)) else {
            return Err(UnfitCertificate::NotOfServer);
        };
        let must_staple = must_staple(leaf);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| UnfitCertificate::NoKey)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        certified
            .map(|certified| Self {
                key: Arc::new(certified),
                name: name.to_owned(),
                not_before,
                not_after,
                must_staple,
            })
            .map_err(UnfitCertificate::UnfitKey)
    }

    /// The certificate, followed by its intermediates.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// Whether it is valid for this name.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let leaf = self.key.cert.first();
        let leaf = leaf.and_then(|leaf| webpki::EndEntityCert::try_from(leaf).ok());
        leaf.is_some_and(|leaf| leaf.verify_is_valid_for_subject_name(name).is_ok())
    }

    /// The same for a name that is not parsed yet.
    pub fn is_for_name(&self, name: &str) -> bool {
        ServerName::try_from(name).is_ok_and(|name| self.is_for(&name))
    }
}

/// Its first and its last moment.
fn validity_of(leaf: &CertificateDer<'_>) -> Option<(UnixTime, UnixTime)> {
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let validity = parsed.validity();
    let moment = |seconds| UnixTime::from_seconds(u64::try_from(seconds).unwrap_or(0));
    let (from, until) = (&validity.not_before, &validity.not_after);
    Some((moment(from.timestamp()), moment(until.timestamp())))
}

/// The extension *TLS feature*, and the number of `status_request` in it (RFC 7633 section 4).
fn must_staple(leaf: &CertificateDer<'_>) -> bool {
    const TLS_FEATURE: Oid<'_> = oid!(1.3.6.1.5.5.7.1.24);
    const STATUS_REQUEST: &[u8] = &[2, 1, 5];
    let Ok((_, parsed)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let features = parsed.get_extension_unique(&TLS_FEATURE).ok().flatten();
    let demands = |value: &[u8]| value.windows(3).any(|part| part == STATUS_REQUEST);
    features.is_some_and(|features| demands(features.value))
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.name)
    }
}
