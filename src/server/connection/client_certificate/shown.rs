//! A certificate that the client of a connection has shown.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::authorities::ClientAuthorities;
use crate::request::ClientCertificate;

/// A certificate that was verified when its connection began.
#[derive(Debug)]
pub(crate) struct ShownCertificate {
    says: ClientCertificate,
    chain: Vec<CertificateDer<'static>>,
    verified_by: Arc<ClientAuthorities>,
}

/// A client must show a certificate that counts, and does not.
#[derive(Debug)]
pub(crate) struct MissingCertificate;

impl ShownCertificate {
    /// Verifies the chain of a connection, if it has one. A resumed session has that of its first connection, which TLS does
    /// not verify again.
    pub(crate) fn verified(
        chain: Option<&[CertificateDer<'static>]>,
        authorities: &Arc<ClientAuthorities>,
    ) -> Result<Option<Self>, MissingCertificate> {
        let Some(chain) = chain.filter(|chain| !chain.is_empty()) else {
            return if authorities.are_required() {
                Err(MissingCertificate)
            } else {
                Ok(None)
            };
        };
        let says = authorities.verify(chain).map_err(|_| MissingCertificate)?;
        Ok(Some(Self {
            says,
            chain: chain.to_vec(),
            verified_by: Arc::clone(authorities),
        }))
    }

    /// What a certificate says under these authorities, which a reload may have changed since.
    pub(crate) fn under<'a>(
        shown: Option<&'a Self>,
        authorities: &Arc<ClientAuthorities>,
    ) -> Result<Option<&'a ClientCertificate>, MissingCertificate> {
        match shown {
            None if authorities.are_required() => Err(MissingCertificate),
            None => Ok(None),
            Some(shown) => {
                let counts = Arc::ptr_eq(&shown.verified_by, authorities)
                    || authorities.verify(&shown.chain).is_ok();
                counts
                    .then_some(Some(&shown.says))
                    .ok_or(MissingCertificate)
            }
        }
    }
}
