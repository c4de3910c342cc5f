//! The certificate of a handshake, chosen by the name that a client asks for (RFC 6066 section 3).

use std::fmt;
use std::sync::Arc;

use pingora::listeners::tls::TlsSettings;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::server::snapshot::Served;

/// Chooses among the certificates of the site that is served now, so that a reload renews them.
pub(crate) struct Chooser(Served);

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chooser(..)")
    }
}

impl ResolvesServerCert for Chooser {
    /// The first one for the name; for a client that names nobody, or somebody unknown, the first of all.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let site = self.0.load();
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| site.certificates.iter().find(|one| one.is_for(&name)));
        let chosen = named.or(site.certificates.first())?;
        Some(Arc::clone(&chosen.key))
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, with the certificates of the site.
pub(crate) fn settings(served: &Served) -> pingora::Result<TlsSettings> {
    let mut settings = TlsSettings::intermediate("", "")?; // no files: the chooser has them
    settings.set_cert_resolver(Arc::new(Chooser(Arc::clone(served))));
    settings.enable_h2();
    Ok(settings)
}
