//! The certificate of a handshake, chosen by the name that a client asks for (RFC 6066 section 3).

use std::fmt;
use std::sync::Arc;

use pingora::listeners::tls::TlsSettings;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::server::snapshot::SharedSnapshot;

/// Chooses among the certificates of the current snapshot, so that a reload renews them.
pub(crate) struct CertificateResolver(SharedSnapshot);

impl fmt::Debug for CertificateResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chooser(..)")
    }
}

impl ResolvesServerCert for CertificateResolver {
    /// The first one for the name; without a name, or for an unknown one, the first of all.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let snapshot = self.0.load();
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let named =
            name.and_then(|name| snapshot.certificates.iter().find(|one| one.is_for(&name)));
        let chosen = named.or(snapshot.certificates.first())?;
        Some(Arc::clone(&chosen.key))
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, with the certificates of the snapshot.
pub(crate) fn settings(snapshot: &SharedSnapshot) -> pingora::Result<TlsSettings> {
    let mut settings = TlsSettings::intermediate("", "")?; // no files: the chooser has them
    settings.set_cert_resolver(Arc::new(CertificateResolver(Arc::clone(snapshot))));
    settings.enable_h2();
    Ok(settings)
}
