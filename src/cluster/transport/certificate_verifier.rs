//! Which certificates are accepted: those of the cluster's authorities, for names that may be peers.

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

use super::unfit_certificates::UnfitCertificates;
use crate::revocation::NodeName;

/// How many names of a rejected certificate are logged.
const NAMES_LOGGED_MAX: usize = 4;

/// Which certificates are accepted.
#[derive(Debug)]
pub(super) struct CertificateRules {
    provider: Arc<CryptoProvider>,
    authorities: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    /// Empty: every name that the authorities certified.
    allow: Vec<NodeName>,
}

/// The rules in one handshake, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct CertificateVerifier {
    rules: Arc<CertificateRules>,
    refusal: Arc<OnceLock<String>>,
}

impl CertificateRules {
    /// # Errors
    ///
    /// The authorities can't be used.
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        authorities: Arc<RootCertStore>,
        allow: Vec<NodeName>,
    ) -> Result<Self, UnfitCertificates> {
        let clients = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&authorities),
            Arc::clone(&provider),
        );
        let clients = clients.allow_unauthenticated().build(); // a machine that asks to join has no certificate yet
        Ok(Self {
            provider,
            authorities,
            clients: clients.map_err(UnfitCertificates::Authorities)?,
            allow,
        })
    }

    /// What TLS is computed with.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    /// The names of a verified certificate that may be peers.
    pub(super) fn names(&self, leaf: &CertificateDer<'_>) -> Vec<NodeName> {
        let mut names = names_of(leaf);
        names.retain(|name| self.allow.is_empty() || self.allow.contains(name));
        names
    }

    /// A certificate that an authority signed must also be a peer's.
    fn admit_certificate(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        if self.names(leaf).is_empty() {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(())
    }
}

impl CertificateVerifier {
    /// For one handshake under these rules.
    pub(super) fn new(rules: &Arc<CertificateRules>) -> Self {
        Self {
            rules: Arc::clone(rules),
            refusal: Arc::default(),
        }
    }

    /// Why the certificate was refused, and its names.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.get().map(String::as_str)
    }

    /// Notes why a certificate is refused.
    fn note(&self, leaf: &CertificateDer<'_>, error: Error) -> Error {
        let why = why(&error, leaf);
        let refusal = format!("its certificate ({}) {why}", names_for_log(leaf));
        let _ = self.refusal.set(refusal);
        error
    }
}

/// What rustls demands alike of the verifiers of servers and of clients: signatures of TLS 1.3 alone.
macro_rules! verify_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::Tls12NotOffered.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.rules.provider.signature_verification_algorithms;
            verify_tls13_signature(message, leaf, signed, algorithms)
                .map_err(|error| self.note(leaf, error))
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let algorithms = &self.rules.provider.signature_verification_algorithms;
            algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for CertificateVerifier {
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
            .map_err(issued_elsewhere)
            .and_then(|()| rules.admit_certificate(leaf))
            .map_err(|error| self.note(leaf, error))?;
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures!();
}

impl ClientCertVerifier for CertificateVerifier {
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
            .map_err(issued_elsewhere)
            .and_then(|verified| self.rules.admit_certificate(leaf).map(|()| verified))
            .map_err(|error| self.note(leaf, error))
    }

    verify_signatures!();
}

/// The node names in a certificate: its DNS names (RFC 5280 section 4.2.1.6), without regard to case.
fn names_of(leaf: &CertificateDer<'_>) -> Vec<NodeName> {
    let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else {
        return Vec::new();
    };
    let names = leaf.valid_dns_names();
    names
        .filter_map(|name| NodeName::parse(&name.to_ascii_lowercase()).ok())
        .collect()
}

/// Another authority may have the same name; then only the signature shows that it is another one.
fn issued_elsewhere(error: Error) -> Error {
    if error == Error::InvalidCertificate(CertificateError::BadSignature) {
        return CertificateError::UnknownIssuer.into();
    }
    error
}

/// The names in a certificate, whether it is accepted or not, for the log.
fn names_for_log(leaf: &CertificateDer<'_>) -> String {
    let names = names_of(leaf);
    let Some((first, others)) = names.split_first() else {
        return "without the name of a node".to_owned();
    };
    let mut text = first.to_string();
    for name in others.iter().take(NAMES_LOGGED_MAX - 1) {
        let _ = write!(text, ", {name}");
    }
    if names.len() > NAMES_LOGGED_MAX {
        text.push_str(", …");
    }
    text
}

/// Why a certificate is refused, in words that follow its names.
fn why(error: &Error, leaf: &CertificateDer<'_>) -> String {
    use CertificateError as Flaw;
    let Error::InvalidCertificate(flaw) = error else {
        return format!("is not accepted: {error}");
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the texts of the others are plain"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::Transport;
    use crate::cluster::transport::fixtures::{
        TestAuthority, TestCertificate, TestNode, ended, of_client, of_server, soon, to_come,
    };

    /// The errors at both nodes when the first dials the second.
    async fn refusals(dialer: &Security, host: &Security) -> (String, String) {
        let mut host = TestNode::open(host).await;
        let dialer = Transport::new(dialer).unwrap();
        let refused = soon(dialer.dial(host.address)).await.unwrap_err();
        (refused.to_string(), host.refusal().await)
    }

    /// Nodes refuse this certificate, as a client's and as a server's.
    async fn all_refuse(
        authority: &TestAuthority,
        certificate: &TestCertificate,
        refusal: &str,
        alert: &str,
    ) {
        let member = authority.member("a");
        let odd = authority.with_certificate(certificate, &[]);
        let (there, here) = refusals(&odd, &member).await;
        assert!(there.contains(alert), "{there}");
        assert_eq!(here, refusal);
        let (here, there) = refusals(&member, &odd).await;
        assert!(there.contains(alert), "{there}");
        assert_eq!(here, refusal);
    }

    #[tokio::test]
    async fn certificates_of_another_authority_are_refused() {
        let refusal = "its certificate (b, c) was not issued by an authority of ca_file";
        let alert = "it does not know the authority of our certificate";
        let authority = TestAuthority::new();
        for certificate in [
            TestAuthority::new().issue(&["b", "c"]),
            TestAuthority::named("another").issue(&["b", "c"]),
            TestCertificate::self_signed(&["b", "c"]),
        ] {
            all_refuse(&authority, &certificate, refusal, alert).await;
        }
    }

    #[tokio::test]
    async fn certificates_have_their_time() {
        let authority = TestAuthority::new();
        let alert = "our certificate has ended or not begun, by its clock";
        let certificate = authority.issue_with(&["b"], ended);
        all_refuse(
            &authority,
            &certificate,
            "its certificate (b) has ended",
            alert,
        )
        .await;
        let certificate = authority.issue_with(&["b"], to_come);
        let refusal = "its certificate (b) has not begun: compare the clocks";
        all_refuse(&authority, &certificate, refusal, alert).await;
    }

    #[tokio::test]
    async fn certificates_without_a_name_of_a_node_are_refused() {
        let authority = TestAuthority::new();
        let alert = "our certificate bears no name that it lets in";
        let refusal = "its certificate (without the name of a node) is refused: one of a node bears the node's name \
                    (DNS, subject alternative name)";
        for names in [&[][..], &["10.0.0.1"], &["*.internal"], &["under_score"]] {
            all_refuse(&authority, &authority.issue(names), refusal, alert).await;
        }
    }

    #[tokio::test]
    async fn certificates_for_one_direction_are_good_for_that_one_only() {
        let authority = TestAuthority::new();
        let member = authority.member("a");
        let alert = "our certificate may not be used in this direction";
        let refusal = "its certificate (b) may not be used in this direction (extended key usage): nodes are server and client";
        let server = authority.with_certificate(&authority.issue_with(&["b"], of_server), &[]);
        let (there, here) = refusals(&server, &member).await;
        assert!(there.contains(alert) && here == refusal, "{there} {here}");
        let client = authority.with_certificate(&authority.issue_with(&["b"], of_client), &[]);
        let (here, there) = refusals(&member, &client).await;
        assert!(there.contains(alert) && here == refusal, "{there} {here}");
        crate::cluster::transport::fixtures::linked(&client, &server).await;
    }

    #[tokio::test]
    async fn who_is_not_allowed_is_refused_by_both_sides() {
        let authority = TestAuthority::new();
        let strict = authority.with_certificate(&authority.issue(&["a"]), &["c", "d"]);
        let other = authority.member("b");
        let alert = "our certificate bears no name that it lets in";
        let refusal = "its certificate (b) bears no name of `allow`";
        let (there, here) = refusals(&other, &strict).await;
        assert!(there.contains(alert) && here == refusal, "{there} {here}");
        let (here, there) = refusals(&strict, &other).await;
        assert!(there.contains(alert) && here == refusal, "{there} {here}");
    }

    #[test]
    fn few_names_of_a_stranger_are_logged() {
        let many = TestAuthority::new().issue(&["a", "b", "c", "d", "e"]);
        assert_eq!(names_for_log(&many.chain[0]), "a, b, c, d, …");
        let junk = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(names_for_log(&junk), "without the name of a node");
    }
}
