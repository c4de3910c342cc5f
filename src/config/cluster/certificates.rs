//! The certificates by which nodes authenticate each other.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

use crate::clock;
use crate::cluster::Certificates;
use crate::config::fault::Fault;
use crate::config::process::certificate::{authorities_in, end_of, read_files};
use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::revocation::NodeName;
use crate::server::Certificate;

/// How long before the end of a node's certificate the warning comes: the operator must renew it.
const NOTICE: Duration = Duration::from_hours(24 * 30);

/// The keys of the files, and what is expected of each.
const FILES: [(&str, &str); 3] = [
    (
        "ca_file",
        "the certificate of the cluster's authority in PEM, as `doorward cluster init` makes it",
    ),
    ("cert_file", "the certificate of this node in PEM"),
    ("key_file", "its private key in PEM"),
];

/// Reads every key about certificates.
pub(crate) fn read(
    table: &mut TomlTable<'_>,
    node: Option<&(NodeName, TomlText<'_>)>,
) -> Option<Certificates> {
    let [ca_file, cert_file, key_file] = FILES.map(|(key, expected)| {
        let named = table.string(key);
        table.missing(key, expected);
        named
    });
    let allow = read_allow(table);
    let authorities = ca_file.as_ref();
    let authorities = authorities.and_then(|named| read_authorities(named));
    let cert_file = cert_file?;
    let (certificate, key_pem) = read_files(&cert_file, &key_file?)?;
    if let Some((node, text)) = node
        && let Some(fault) = wrong_name_fault(&certificate, node)
    {
        text.report(fault);
    }
    if let Some(fault) = expiry_fault(&certificate) {
        cert_file.report(fault);
    }
    let (authorities, ca_file) = (authorities?, ca_file?);
    for fault in verification_faults(&certificate, &authorities, ca_file.as_str()) {
        cert_file.report(fault);
    }
    Some(Certificates {
        authorities: Arc::new(authorities),
        ca_file: ca_file.path()?,
        chain: certificate.chain().to_vec(),
        key: PrivateKeyDer::from_pem_slice(&key_pem).ok()?,
        allow,
    })
}

/// Refuses the keys about certificates where there are none.
pub(crate) fn refuse(table: &mut TomlTable<'_>) {
    pass_over(table);
    for key in FILES.map(|(key, _)| key).into_iter().chain(["allow"]) {
        let message = format!("`{key}` means nothing with insecure = true");
        table.report_at(key, Fault::error(message));
    }
}

/// Reads the same keys where it is unknown whether they are wanted.
pub(crate) fn pass_over(table: &mut TomlTable<'_>) {
    for (key, _) in FILES {
        table.string(key);
    }
    read_allow(table);
}

/// An empty list is a fault, for it would allow every node.
fn read_allow(table: &mut TomlTable<'_>) -> Vec<NodeName> {
    let texts = table.strings("allow");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        table.report_at(
            "allow",
            Fault::error("`allow` names no node")
                .help("leave it out for every node that the authority certified"),
        );
    }
    let texts = texts.unwrap_or_default();
    let names = texts.iter();
    let names = names.filter_map(|text| text.parse_as(NodeName::parse));
    names.collect()
}

fn read_authorities(named: &TomlText<'_>) -> Option<RootCertStore> {
    let file = File::read(named)?;
    let certificates = authorities_in(&file)?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    Some(store)
}

/// The certificate must contain the node's name (RFC 9525 section 6.3); `*` matches no node.
fn wrong_name_fault(certificate: &Certificate, node: &NodeName) -> Option<Fault> {
    let names = names_of(certificate);
    if names.iter().any(|name| name == node.as_str()) {
        return None;
    }
    let borne = if names.is_empty() {
        "it contains no DNS name".to_owned()
    } else {
        format!("it contains {}", names.join(", "))
    };
    let message = format!("the certificate is not made out for `{node}`");
    let help = "`node` must be one of its subject alternative names (DNS)";
    Some(Fault::error(message).label(borne).help(help))
}

fn names_of(certificate: &Certificate) -> Vec<String> {
    let leaf = certificate.chain().first();
    let leaf = leaf.and_then(|leaf| EndEntityCert::try_from(leaf).ok());
    let names = leaf.map(|leaf| leaf.valid_dns_names().map(str::to_owned).collect());
    names.unwrap_or_default()
}

fn expiry_fault(certificate: &Certificate) -> Option<Fault> {
    let now = clock::now();
    let fault = if certificate.not_after < now {
        Fault::error(end_of(certificate))
    } else if certificate.not_after < now.plus(NOTICE) {
        Fault::warning(end_of(certificate))
    } else {
        return None;
    };
    Some(fault.help("let the cluster's authority sign another one for this node, and reload"))
}

/// A node is a server to some of its peers and a client to the others.
fn verification_faults(
    certificate: &Certificate,
    authorities: &RootCertStore,
    ca_file: &str,
) -> Vec<Fault> {
    let usages = [
        ("serverAuth", KeyUsage::server_auth()),
        ("clientAuth", KeyUsage::client_auth()),
    ];
    let refused = usages.into_iter().filter_map(|(name, usage)| {
        let error = verify(certificate, authorities, usage).err()?;
        Some(verification_fault(certificate, &error, name, ca_file))
    });
    refused.collect()
}

fn verify(
    certificate: &Certificate,
    authorities: &RootCertStore,
    usage: KeyUsage,
) -> Result<(), Error> {
    let Some((leaf, between)) = certificate.chain().split_first() else {
        return Err(Error::BadDer);
    };
    let moment = clock::now().min(certificate.not_after); // that it is over is told already
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(moment.seconds()));
    let algorithms = ring::default_provider()
        .signature_verification_algorithms
        .all;
    let roots = &authorities.roots;
    let leaf = EndEntityCert::try_from(leaf)?;
    leaf.verify_for_usage(algorithms, roots, between, moment, usage, None, None)?;
    Ok(())
}

fn verification_fault(
    certificate: &Certificate,
    error: &Error,
    usage: &str,
    ca_file: &str,
) -> Fault {
    let (name, ca_file) = (certificate.name.escape_debug(), ca_file.escape_debug());
    let (why, help) = if let Error::UnknownIssuer | Error::InvalidSignatureForPublicKey = error {
        (
            format!("no authority of `{ca_file}` has signed it"),
            "cert_file holds the node's certificate, and those between it and the authority",
        )
    } else if let Error::RequiredEkuNotFoundContext(_) = error {
        (
            format!("its extended key usage lacks {usage}"),
            "nodes are servers and clients to each other: both, or no such extension",
        )
    } else if let Error::CaUsedAsEndEntity = error {
        (
            "this is the certificate of an authority, not of a node".to_owned(),
            "ca_file holds the authority's, cert_file the node's",
        )
    } else if let Error::CertNotValidYet { not_before, .. } = error {
        let begin = clock::UnixTime::from_seconds(not_before.as_secs());
        (
            format!("the certificate is not valid before {begin}"),
            "is the clock of this machine right?",
        )
    } else {
        (
            format!("other nodes would reject it: {error}"),
            "let the cluster's authority sign another one for this node",
        )
    };
    Fault::error(format!("`{name}`: {why}")).help(help)
}
