//! `[[certificate]]`, and how every certificate is read.

use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::clock;
use crate::config::fault::Fault;
use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::server::{Certificate, Listen};

/// How long before the end of a certificate the warning comes: a renewal has failed twice then.
const NOTICE: Duration = Duration::from_hours(24 * 7);

/// Reads every `[[certificate]]`.
pub(crate) fn read(root: &mut TomlTable<'_>, listen: &[Listen]) -> Vec<Certificate> {
    let tables = root.tables("certificate");
    let is_written = !tables.is_empty();
    let certificates = tables
        .into_iter()
        .filter_map(|table| read_one(table))
        .collect();
    let encrypted = listen.iter().any(|listen| listen.tls);
    if encrypted && !is_written && !root.has_table("acme") {
        root.missing(
            "certificate",
            "cert_file and key_file, under [[certificate]], for the https:// addresses; or [acme], which orders certificates",
        );
    }
    if is_written && !encrypted {
        root.report_at(
            "certificate",
            Fault::warning("no address of `listen` uses the certificates")
                .help("write https:// before an address, such as https://0.0.0.0:443"),
        );
    }
    certificates
}

fn read_one(mut table: TomlTable<'_>) -> Option<Certificate> {
    let cert_file = table.required_string("cert_file", "the path of a chain in PEM");
    let key_file = table.required_string("key_file", "the path of its private key in PEM");
    table.finish();
    let cert_file = cert_file?;
    let (certificate, _) = read_files(&cert_file, &key_file?)?;
    if certificate.not_after < clock::now().plus(NOTICE) {
        cert_file.report(ending(&certificate));
    }
    if certificate.must_staple {
        let name = certificate.name.escape_debug();
        let message = format!("`{name}`: the certificate demands OCSP stapling (must-staple)");
        let help =
            "responses are not stapled, and browsers refuse it: order one without this extension";
        cert_file.report(Fault::warning(message).help(help));
    }
    Some(certificate)
}

/// Reads a chain and its key, which must belong together; the second is the key in PEM.
pub(crate) fn read_files(
    cert_file: &TomlText<'_>,
    key_file: &TomlText<'_>,
) -> Option<(Certificate, Vec<u8>)> {
    let chain = File::read(cert_file);
    let key = File::read_secret(key_file); // it proves the identity of this server
    let (chain, key) = (chain?, key?);
    match Certificate::parse(cert_file.as_str(), chain.bytes(), key.bytes()) {
        Ok(certificate) => Some((certificate, key.into_bytes())),
        Err(why) => {
            let name = cert_file.as_str().escape_debug();
            cert_file.report(Fault::error(format!("`{name}`: {why}")));
            None
        }
    }
}

/// The certificates of authorities that are in this file.
pub(crate) fn authorities_in(file: &File<'_, '_>) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(file.bytes());
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.unwrap_or_default();
    let mut store = RootCertStore::empty();
    let is_fit = |one: &CertificateDer<'_>| store.add(one.clone()).is_ok();
    if certificates.is_empty() || !certificates.iter().all(is_fit) {
        file.report(file.error("expected certificates of authorities in PEM"));
        return None;
    }
    Some(certificates)
}

/// Browsers refuse a certificate from its end on. `check` fails then; a start and a reload go on, for the other certificates and
/// addresses still work.
fn ending(certificate: &Certificate) -> Fault {
    let help = "renew it, and reload: no connection is touched";
    let message = end_of(certificate);
    let fault = if certificate.not_after < clock::now() {
        Fault::outdated(message)
    } else {
        Fault::warning(message)
    };
    fault.help(help)
}

/// When a certificate ends, or ended.
pub(crate) fn end_of(certificate: &Certificate) -> String {
    let (name, end) = (certificate.name.escape_debug(), certificate.not_after);
    let ends = if end < clock::now() { "ended" } else { "ends" };
    format!("`{name}`: the certificate {ends} at {end}")
}
