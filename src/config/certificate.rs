//! The certificates of the addresses with TLS.

use std::path::Path;
use std::time::Duration;

use super::fault::{Fault, Faults};
use super::file;
use super::table::Table;
use crate::clock;
use crate::server::{Certificate, Listen};

/// How long before its end a certificate is warned of: a renewal that failed twice.
const NOTICE: Duration = Duration::from_hours(24 * 7);

/// Reads every `[[certificate]]`.
pub(super) fn read(
    root: &mut Table<'_>,
    listen: &[Listen],
    base_dir: &Path,
    faults: &mut Faults,
) -> Vec<Certificate> {
    let tables = root.tables("certificate", faults);
    let is_written = !tables.is_empty();
    let certificates = tables
        .into_iter()
        .filter_map(|table| read_one(table, base_dir, faults))
        .collect();
    let encrypted = listen.iter().any(|listen| listen.tls);
    if encrypted && !is_written {
        root.missing(
            "certificate",
            "cert_file and key_file, under [[certificate]], for the https:// addresses",
            faults,
        );
    }
    if is_written
        && !encrypted
        && let Some(spot) = root.spot_of("certificate")
    {
        let fault = Fault::warning("no address of `listen` uses the certificates").at(&spot);
        faults.push(fault.help("write https:// before an address, such as https://0.0.0.0:443"));
    }
    certificates
}

fn read_one(mut table: Table<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Certificate> {
    let cert_file = table.string("cert_file", faults);
    table.missing("cert_file", "the path of a chain in PEM", faults);
    let key_file = table.string("key_file", faults);
    table.missing("key_file", "the path of its private key in PEM", faults);
    table.finish(faults);
    let (cert_file, key_file) = (cert_file?, key_file?);
    let chain = file::read_file(&cert_file, base_dir, faults);
    let key = file::read_secret_file(&key_file, base_dir, faults); // who has it can pose as the shop
    match Certificate::parse(cert_file.as_str(), &chain?, &key?) {
        Ok(certificate) => {
            if certificate.not_after < clock::now().plus(NOTICE) {
                faults.push(ending(&certificate).at(cert_file.spot()));
            }
            Some(certificate)
        }
        Err(why) => {
            let name = cert_file.as_str().escape_debug();
            faults.push(Fault::error(format!("`{name}`: {why}")).at(cert_file.spot()));
            None
        }
    }
}

/// Browsers refuse it from its end on; the other certificates and addresses are as good as before.
fn ending(certificate: &Certificate) -> Fault {
    let (name, end) = (certificate.name.escape_debug(), certificate.not_after);
    let ends = if end < clock::now() { "ended" } else { "ends" };
    Fault::warning(format!("`{name}`: the certificate {ends} at {end}"))
        .help("renew it, and reload: no connection is touched")
}
