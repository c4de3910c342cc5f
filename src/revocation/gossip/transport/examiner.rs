//! Whose certificates are believed: those of the cluster's authorities, for names that may be peers.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    RootCertStore, SignatureScheme,
};

use crate::revocation::gossip::settings::NodeName;

/// How many names of a stranger's certificate are told.
const NAMES_TOLD: usize = 4;

/// Whom we believe.
#[derive(Debug)]
pub(super) struct Rules {
    provider: Arc<CryptoProvider>,
    authorities: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    /// Empty: every name that the authorities certified.
    allow: Vec<NodeName>,
}

/// The rules in one handshake, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Examiner {
    rules: Arc<Rules>,
    refusal: Arc<OnceLock<String>>,
}

impl Rules {
    /// Says what is wrong with the authorities, for the operator to read.
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        authorities: Arc<RootCertStore>,
        allow: Vec<NodeName>,
    ) -> Result<Self, String> {
        let clients = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&authorities),
            Arc::clone(&provider),
        );
        let clients = clients.allow_unauthenticated().build(); // who asks to join has none yet
        Ok(Self {
            provider,
            authorities,
            clients: clients.map_err(|error| format!("ca_file: {error}"))?,
            allow,
        })
    }

    /// What TLS is computed with.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    /// A certificate that an authority signed must also be a peer's.
    fn admit(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let names = names_of(leaf);
        let is_allowed = |name| self.allow.is_empty() || self.allow.contains(name);
        if names.iter().any(is_allowed) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

impl Examiner {
    /// For one handshake under these rules.
    pub(super) fn new(rules: &Arc<Rules>) -> Self {
        Self {
            rules: Arc::clone(rules),
            refusal: Arc::default(),
        }
    }

    /// Why the certificate was refused, and whose it is.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.get().map(String::as_str)
    }

    /// Notes why a certificate is refused.
    fn note(&self, leaf: &CertificateDer<'_>, error: Error) -> Error {
        let why = why(&error, leaf);
        let refusal = format!("its certificate ({}) {why}", whose(leaf));
        let _ = self.refusal.set(refusal);
        error
    }

    fn verify_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.rules.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms)
            .map_err(|error| self.note(leaf, error))
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.rules.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Examiner {
    /// The chain is verified, the host is not: a node is known by its certificate, whatever its address.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let rules = &self.rules;
        let algorithms = rules.provider.signature_verification_algorithms.all;
        ParsedCertificate::try_from(leaf)
            .and_then(|parsed| {
                let authorities = &rules.authorities;
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    authorities,
                    intermediates,
                    now,
                    algorithms,
                )
            })
            .and_then(|()| rules.admit(leaf))
            .map_err(|error| self.note(leaf, error))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Examiner {
    fn client_auth_mandatory(&self) -> bool {
        self.rules.clients.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.rules.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let clients = &self.rules.clients;
        let verified = clients.verify_client_cert(leaf, intermediates, now);
        verified
            .and_then(|verified| self.rules.admit(leaf).map(|()| verified))
            .map_err(|error| self.note(leaf, error))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

/// What the nodes of a certificate may be called: its DNS names (RFC 5280 section 4.2.1.6), without regard to case.
pub(super) fn names_of(leaf: &CertificateDer<'_>) -> Vec<NodeName> {
    let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else {
        return Vec::new();
    };
    let names = leaf.valid_dns_names();
    names
        .filter_map(|name| NodeName::parse(&name.to_ascii_lowercase()).ok())
        .collect()
}

fn only_tls13() -> Error {
    PeerIncompatible::Tls12NotOffered.into()
}

/// The names that a certificate claims, believed or not.
fn whose(leaf: &CertificateDer<'_>) -> String {
    let names = names_of(leaf);
    let Some((first, others)) = names.split_first() else {
        return "without the name of a node".to_owned();
    };
    let mut told = first.to_string();
    for name in others.iter().take(NAMES_TOLD - 1) {
        let _ = write!(told, ", {name}");
    }
    if names.len() > NAMES_TOLD {
        told.push_str(", …");
    }
    told
}

/// Why a certificate is refused, in words that follow its names.
fn why(error: &Error, leaf: &CertificateDer<'_>) -> String {
    use CertificateError as Flaw;
    let Error::InvalidCertificate(flaw) = error else {
        return format!("is not accepted: {error}");
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others speak for themselves"
    )]
    let words = match flaw {
        Flaw::Expired | Flaw::ExpiredContext { .. } => "has ended",
        Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => "has not begun: compare the clocks",
        Flaw::UnknownIssuer => "was not issued by an authority of ca_file",
        Flaw::InvalidPurpose | Flaw::InvalidPurposeContext { .. } => {
            "may not be used in this direction (extended key usage): nodes are server and client"
        }
        Flaw::ApplicationVerificationFailure if names_of(leaf).is_empty() => {
            "is refused: one of a node bears the node's name (DNS, subject alternative name)"
        }
        Flaw::ApplicationVerificationFailure => "bears no name of `allow`",
        other => return format!("is not accepted: {other}"),
    };
    words.to_owned()
}
