//! The verifier of clients' certificates in the TLS handshake, by the authorities of the current snapshot.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::authorities::ClientAuthorities;
use crate::server::connection::listener::ListenerNumber;
use crate::server::snapshot::SharedSnapshot;

/// Verifies the clients of one listener, so that a reload exchanges its authorities.
pub(crate) struct ClientVerifier {
    listener: ListenerNumber,
    snapshot: SharedSnapshot,
    /// The certificate of the self-probe, which counts everywhere.
    own: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    /// For the clients of this listener, and for the self-probe with its own certificate.
    pub(crate) fn new(
        listener: ListenerNumber,
        snapshot: &SharedSnapshot,
        own: CertificateDer<'static>,
    ) -> Self {
        Self {
            listener,
            snapshot: Arc::clone(snapshot),
            own,
            algorithms: ring::default_provider().signature_verification_algorithms,
        }
    }

    fn authorities(&self) -> Option<Arc<ClientAuthorities>> {
        let snapshot = self.snapshot.load();
        snapshot.rules_of(self.listener)?.client_authorities.clone()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientVerifier(..)")
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.authorities().is_some()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.authorities().is_some_and(|all| all.are_required())
    }

    /// None: they could not change with a reload, and a client that gets none shows what it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.own {
            return Ok(ClientCertVerified::assertion());
        }
        let authorities = self.authorities().ok_or(Error::NoCertificatesPresented)?;
        let chain = [std::slice::from_ref(end_entity), intermediates].concat();
        authorities.verify(&chain)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
