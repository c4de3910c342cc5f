//! The certificate of a handshake, chosen by the name that a client asks for (RFC 6066 section 3).

use std::fmt;
use std::sync::Arc;

use pingora::listeners::tls::TlsSettings;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::client_certificate::ClientVerifier;
use crate::server::snapshot::SharedSnapshot;

/// Chooses among the certificates of the current snapshot, so that a reload renews them.
pub(crate) struct CertificateResolver(SharedSnapshot);

impl fmt::Debug for CertificateResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chooser(..)")
    }
}

impl ResolvesServerCert for CertificateResolver {
    /// The operator's first one for the name, else the one that was ordered for it; without a name, or for an unknown
    /// one, the first of all. The handshake fails if there is none, or as long as the order is on its way.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let snapshot = self.0.load();
        let text = hello.server_name();
        let name = text.and_then(|name| ServerName::try_from(name).ok());
        let named =
            name.and_then(|name| snapshot.certificates.iter().find(|one| one.is_for(&name)));
        if let Some(named) = named {
            return Some(Arc::clone(&named.key));
        }
        let first = || snapshot.certificates.first().cloned();
        let ordered = snapshot.acme_settings.as_ref();
        let chosen = match (text, ordered) {
            (Some(name), Some(ordered)) if ordered.orders(name) => snapshot.acme.certificate(name),
            (None, Some(ordered)) => first().or_else(|| snapshot.acme.nameless(ordered)),
            (Some(_), _) | (None, None) => first(),
        };
        chosen.map(|chosen| chosen.key)
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, with the certificates of the snapshot, for clients that this verifies.
pub(crate) fn settings(
    snapshot: &SharedSnapshot,
    clients: ClientVerifier,
) -> pingora::Result<TlsSettings> {
    let mut settings = TlsSettings::intermediate("", "")?; // no files: the chooser has them
    settings.set_cert_resolver(Arc::new(CertificateResolver(Arc::clone(snapshot))));
    settings.set_client_cert_verifier(Arc::new(clients));
    settings.enable_h2();
    Ok(settings)
}
