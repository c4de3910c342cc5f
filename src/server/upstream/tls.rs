//! TLS to the servers of a shop: how their certificates are verified, and the certificate that we present.

use std::fmt;
use std::panic::catch_unwind;
use std::sync::Arc;

use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

/// How TLS is spoken to the servers of a shop. Their certificates are verified, always.
#[derive(Clone, Default)]
pub struct UpstreamTls {
    /// The authorities that may issue a server's certificate; `None`: those of the system.
    authorities: Option<Arc<[WrappedX509]>>,
    /// The certificate that we present to a server that asks for one.
    identity: Option<Arc<CertKey>>,
    /// The name in the servers' certificates; `None`: the one in `upstream`.
    server_name: Option<String>,
    /// Identifies these settings.
    digest: blake3::Hasher,
}

/// Why a certificate, key or name can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitTls {
    /// The file holds no certificate in PEM.
    NoCertificate,
    /// A certificate can't be read.
    BadCertificate,
    /// The file holds no private key in PEM.
    NoKey,
    /// The key does not belong to the certificate, or is of a kind that we can't sign with.
    BadKey,
}

impl fmt::Display for UnfitTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => {
                "there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)"
            }
            Self::BadCertificate => "a certificate in it can't be read",
            Self::NoKey => "there is no private key in it (PEM, without a password)",
            Self::BadKey => {
                "the key does not belong to the certificate, or is not RSA, EC or Ed25519"
            }
        })
    }
}

impl UpstreamTls {
    /// Trusts these authorities, in PEM, instead of those of the system.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), UnfitTls> {
        let certificates = certificates(pem)?;
        self.add_to_digest(b"authorities", &certificates);
        let wrapped = reading(|| {
            let wrap = |certificate| WrappedX509::new(certificate, parse_x509);
            certificates.into_iter().map(wrap).collect()
        })?;
        self.authorities = Some(wrapped);
        Ok(())
    }

    /// Presents this certificate, with its intermediates, to servers that ask for one; both in PEM.
    pub fn identify(&mut self, certificate: &[u8], key: &[u8]) -> Result<(), UnfitTls> {
        let certificates = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| UnfitTls::NoKey)?;
        let chain = certificates.iter();
        let chain = chain.map(|one| CertificateDer::from(one.as_slice()).into_owned());
        // Pingora would find out with every connection.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| UnfitTls::BadKey)?
            .with_root_certificates(RootCertStore::empty())
            .with_client_auth_cert(chain.collect(), key.clone_key())
            .map_err(|_| UnfitTls::BadKey)?;
        self.add_to_digest(b"identity", &certificates);
        let key = key.secret_der().to_vec();
        let identity = reading(|| CertKey::new(certificates, key))?;
        self.identity = Some(Arc::new(identity));
        Ok(())
    }

    /// Expects this name, or address, in the servers' certificates.
    pub fn expect(&mut self, name: &str) -> Result<(), &'static str> {
        if !is_verifiable(name) {
            return Err("the name or address in the servers' certificates, such as shop.internal");
        }
        self.server_name = Some(name.to_owned());
        Ok(())
    }

    /// The authorities, where they are not those of the system.
    pub(in crate::server) fn authorities(&self) -> Option<&Arc<[WrappedX509]>> {
        self.authorities.as_ref()
    }

    pub(super) fn identity(&self) -> Option<&Arc<CertKey>> {
        self.identity.as_ref()
    }

    /// The name that a server of this name must prove. Never empty: Pingora would verify nothing then.
    pub(super) fn name_for<'n>(&'n self, host: &'n str) -> Option<&'n str> {
        let name = self.server_name.as_deref().unwrap_or(host);
        is_verifiable(name).then_some(name)
    }

    /// Separates connections under these settings from others. Pingora's pool does not distinguish by
    /// which authorities a server was verified.
    pub(super) fn digest(&self) -> blake3::Hasher {
        self.digest.clone()
    }

    fn add_to_digest(&mut self, what: &[u8], certificates: &[Vec<u8>]) {
        self.digest.update(what);
        for certificate in certificates {
            self.digest.update(blake3::hash(certificate).as_bytes());
        }
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamTls(..)")
    }
}

/// Pingora verifies a name with an underscore as if it had a dash there, and no authority certifies one.
fn is_verifiable(name: &str) -> bool {
    !name.contains('_') && ServerName::try_from(name).is_ok()
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, UnfitTls> {
    let found = CertificateDer::pem_slice_iter(pem);
    let found = found.map(|one| one.map(|certificate| certificate.to_vec()));
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|_| UnfitTls::BadCertificate)?;
    if found.is_empty() {
        return Err(UnfitTls::NoCertificate);
    }
    let mut readable = RootCertStore::empty();
    for certificate in &found {
        let added = readable.add(CertificateDer::from(certificate.as_slice()));
        added.map_err(|_| UnfitTls::BadCertificate)?;
    }
    Ok(found)
}

/// Pingora reads certificates with a parser of its own, which panics where it reads less than rustls does.
fn reading<T>(read: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, UnfitTls> {
    catch_unwind(read).map_err(|_| UnfitTls::BadCertificate)
}
