//! The cluster's certificate authority: it issues the certificates of nodes, and no others.
//!
//! A node is known by the name in its certificate (RFC 5280 section 4.2.1.6), whatever its address is.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{self, CertificateDer};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::UnixTime;
use crate::revocation::NodeName;

/// The SHA-256 of a certificate's DER: how an invitation names an authority.
pub(crate) type CertificateDigest = [u8; 32];

/// The authority's key, in the folder of its certificate.
pub(crate) const KEY_FILE: &str = "ca.key";
/// The authority's certificate, where `doorward cluster init` made it.
pub(crate) const CERTIFICATE_FILE: &str = "ca.pem";

/// How long an authority is valid: ten years, because no certificate of a node outlives it.
const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3650);
/// How long a node's certificate is valid: two years.
const NODE_LIFE: Duration = Duration::from_hours(24 * 730);
/// Certificates begin a day early, because other clocks may be slow.
const EARLY: Duration = Duration::from_hours(24);
/// 9999-12-31T23:59:59Z, the last moment that a certificate can name (RFC 5280 section 4.1.2.5).
const LAST_DATE: u64 = 253_402_300_799;
/// The point of a P-256 key, uncompressed (SEC 1 section 2.3.3).
const P256_POINT_BYTES: usize = 65;

/// An authority with its key: it can issue certificates.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// When its certificate ends.
    not_after: UnixTime,
}

/// The certificate of a node, and its key.
pub struct Proof {
    /// Its certificate, in PEM.
    pub certificate_pem: String,
    /// Its key, in PEM.
    pub key_pem: String,
}

/// A public key whose sender has proved to have the private one.
pub(crate) struct ProvenKey(rcgen::PublicKey);

/// Why there is no authority, or no certificate of it.
#[derive(Debug)]
pub enum AuthorityError {
    /// A file can't be read.
    Unreadable(PathBuf, io::Error),
    /// A file holds something else.
    Unfit(PathBuf, &'static str),
    /// It can't sign this.
    EnrolmentRefused(String),
}

impl std::error::Error for AuthorityError {}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{} can't be read: {error}", path.display()),
            Self::Unfit(path, why) => write!(f, "{}: {why}", path.display()),
            Self::EnrolmentRefused(why) => write!(f, "the authority can't certify this: {why}"),
        }
    }
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::EnrolmentRefused(error.to_string())
    }
}

impl Authority {
    /// A new authority.
    pub fn found(now: UnixTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let serial = random_serial()?;
        // The names of two authorities of one operator must differ, not only their keys.
        let name = format!("Doorward cluster {}", hex(&serial.to_bytes()[..4]));
        let not_after = now.plus(AUTHORITY_LIFE);
        let mut params = params(&name, now, not_after);
        params.serial_number = Some(serial);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
            not_after,
        })
    }

    /// The authority whose certificate is in this file, and whose key is beside it, in `ca.key`.
    ///
    /// Of several certificates in the file, it is the one of that key.
    pub fn open(ca_file: &Path) -> Result<Self, AuthorityError> {
        let key_file = ca_file.with_file_name(KEY_FILE);
        let unfit = |why| AuthorityError::Unfit(key_file.clone(), why);
        let key = KeyPair::from_pem(&read(&key_file)?)
            .map_err(|_| unfit("this is no private key in PEM (PKCS#8)"))?;
        for certificate in authorities_in(ca_file)? {
            let Ok((_, parsed)) = X509Certificate::from_der(&certificate) else {
                continue;
            };
            let public_key = &parsed.tbs_certificate.subject_pki.subject_public_key;
            if public_key.data != key.public_key_raw() {
                continue;
            }
            // Verifying a chain would not find that: `ca_file` is trusted as it is (RFC 5280 section 6.1.1).
            if !parsed.is_ca() {
                let why = "the certificate of this key may not issue others (CA:TRUE is missing)";
                return Err(unfit(why));
            }
            let end = parsed.validity().not_after.timestamp();
            return Ok(Self {
                not_after: UnixTime::from_seconds(u64::try_from(end).unwrap_or(0)),
                issuer: Issuer::from_ca_cert_der(&certificate, key)?,
                certificate: certificate.clone(),
            });
        }
        Err(unfit("this key belongs to no certificate of `ca_file`"))
    }

    /// The authority's certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate, in PEM.
    pub fn certificate_pem(&self) -> String {
        pem_of(&self.certificate)
    }

    /// The authority's key, in PEM. With it, anyone can make nodes.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Whether the certificates of a node include the authority's: an invited machine compares its digest.
    pub fn is_shown_by(&self, chain: &[CertificateDer<'_>]) -> bool {
        chain.contains(&self.certificate)
    }

    /// A key and a certificate for a node of this machine.
    pub fn equip(&self, node: &NodeName, now: UnixTime) -> Result<Proof, AuthorityError> {
        let key = new_key()?;
        Ok(Proof {
            certificate_pem: self.issue(node, &key, now)?,
            key_pem: key.serialize_pem(),
        })
    }

    /// A certificate in PEM for the node of this name and key, as server and client.
    pub(crate) fn issue(
        &self,
        node: &NodeName,
        key: &impl PublicKeyData,
        now: UnixTime,
    ) -> Result<String, AuthorityError> {
        let not_after = now.plus(NODE_LIFE).min(self.not_after);
        let mut params = params(node.as_str(), now, not_after);
        params.serial_number = Some(random_serial()?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        // Never an address, even if the name looks like one.
        params.subject_alt_names = vec![SanType::DnsName(node.as_str().try_into()?)];
        let certificate = params.signed_by(key, &self.issuer)?;
        // An authority that another tool made may be unfit in ways that only verifying shows.
        vouches_for(&self.certificate, certificate.der(), &[], now)
            .map_err(|error| AuthorityError::EnrolmentRefused(error.to_string()))?;
        Ok(certificate.pem())
    }
}

impl ProvenKey {
    /// The key of a request for a certificate (PKCS#10, RFC 2986), in PEM, whose signature proves that the sender
    /// has it. Nothing else of the request is read: this node chooses the names and the usage.
    ///
    /// Only keys like those of [`request`] are accepted: ECDSA on P-256.
    pub(crate) fn of_request(pem: &str) -> Option<Self> {
        let read = CertificateSigningRequestParams::from_pem(pem).ok()?;
        let key = read.public_key;
        let is_ours = *key.algorithm() == PKCS_ECDSA_P256_SHA256
            && key.der_bytes().len() == P256_POINT_BYTES
            && key.der_bytes().first() == Some(&4);
        is_ours.then_some(Self(key))
    }
}

impl PublicKeyData for ProvenKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        PublicKeyData::algorithm(&self.0)
    }
}

/// A new key for a node.
pub(crate) fn new_key() -> Result<KeyPair, AuthorityError> {
    Ok(KeyPair::generate()?)
}

/// A request for a certificate (PKCS#10), in PEM: it proves that its sender has the key.
pub(crate) fn request(node: &NodeName, key: &KeyPair) -> Result<String, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(node.as_str());
    Ok(params.serialize_request(key)?.pem()?)
}

/// The SHA-256 of a certificate.
pub(crate) fn digest_of(certificate: &CertificateDer<'_>) -> CertificateDigest {
    let mut bytes = CertificateDigest::default();
    bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
    bytes
}

/// Whether this authority has issued a node's certificate that is valid now, through these intermediates.
pub(crate) fn vouches_for(
    authority: &CertificateDer<'_>,
    node: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(node)?,
        &roots,
        between,
        pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now.seconds())),
        ring::default_provider()
            .signature_verification_algorithms
            .all,
    )
}

/// What an authority's and a node's certificate have in common.
fn params(name: &str, now: UnixTime, not_after: UnixTime) -> CertificateParams {
    let since_epoch = |at: UnixTime| Duration::from_secs(at.seconds().min(LAST_DATE));
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(now.minus(EARLY));
    params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(not_after);
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// Unguessable, and never negative (RFC 5280 section 4.1.2.2).
fn random_serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| {
        AuthorityError::EnrolmentRefused("the system gives no random bytes".to_owned())
    })?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// The certificates in a file of authorities.
fn authorities_in(ca_file: &Path) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let text = read(ca_file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    found.map_err(|_| AuthorityError::Unfit(ca_file.to_owned(), "this is no certificate in PEM"))
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    let unreadable = |error| AuthorityError::Unreadable(path.to_owned(), error);
    fs::read_to_string(path).map_err(unreadable)
}

/// A certificate in PEM (RFC 7468 section 5).
fn pem_of(certificate: &CertificateDer<'_>) -> String {
    const LINE_CHARS: usize = 64;
    let text = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(LINE_CHARS) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{DnValue, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);
    const DAY: u64 = 86_400;

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn put(folder: &Path, certificates: &str, key: &str) -> PathBuf {
        let ca_file = folder.join(CERTIFICATE_FILE);
        fs::write(&ca_file, certificates).unwrap();
        fs::write(folder.join(KEY_FILE), key).unwrap();
        ca_file
    }

    fn span(certificate: &X509Certificate<'_>) -> (u64, u64) {
        let validity = certificate.validity();
        let [from, until] = [validity.not_before, validity.not_after].map(|at| at.timestamp());
        (from.try_into().unwrap(), until.try_into().unwrap())
    }

    fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
        let extension = certificate.subject_alternative_name().unwrap().unwrap();
        let names = extension.value.general_names.iter();
        names.map(ToString::to_string).collect()
    }

    /// What a node's certificate must be, for every request.
    fn is_of_a_node(pem: &str, name: &str) {
        let der = der(pem);
        let (_, read) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(names(&read), [format!("DNSName({name})")]);
        assert_eq!(read.subject().to_string(), format!("CN={name}"));
        assert!(!read.is_ca());
        let usage = read.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let usage = read.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && usage.client_auth);
        assert!(!usage.any && !usage.code_signing && usage.other.is_empty());
    }

    #[test]
    fn an_authority_certifies_nodes_and_no_further_authorities() {
        let authority = Authority::found(NOW).unwrap();
        let der = authority.certificate().clone();
        let (_, read) = X509Certificate::from_der(&der).unwrap();
        let constraints = read.basic_constraints().unwrap().unwrap().value;
        assert!(constraints.ca && constraints.path_len_constraint == Some(0));
        assert!(read.key_usage().unwrap().unwrap().value.key_cert_sign());
        let now = NOW.seconds();
        assert_eq!(span(&read), (now - DAY, now + 3650 * DAY));
        let other = Authority::found(NOW).unwrap();
        assert_ne!(digest_of(&der), digest_of(other.certificate()));
        let (_, other) = X509Certificate::from_der(other.certificate()).unwrap();
        assert_ne!(read.subject().to_string(), other.subject().to_string());
    }

    #[test]
    fn a_node_has_a_certificate_in_its_name_for_two_years() {
        let authority = Authority::found(NOW).unwrap();
        for name in ["a", "shop-1.doorward.internal"] {
            let proof = authority.equip(&node(name), NOW).unwrap();
            is_of_a_node(&proof.certificate_pem, name);
            let certificate = der(&proof.certificate_pem);
            vouches_for(authority.certificate(), &certificate, &[], NOW).unwrap();
            let (_, read) = X509Certificate::from_der(&certificate).unwrap();
            let now = NOW.seconds();
            assert_eq!(span(&read), (now - DAY, now + 730 * DAY));
            let stranger = Authority::found(NOW).unwrap();
            assert!(vouches_for(stranger.certificate(), &certificate, &[], NOW).is_err());
        }
    }

    #[test]
    fn no_node_outlives_its_authority() {
        let authority = Authority::found(NOW).unwrap();
        let late = UnixTime::from_seconds(NOW.seconds() + 3600 * DAY);
        let proof = authority.equip(&node("a"), late).unwrap();
        let certificate = der(&proof.certificate_pem);
        let (_, read) = X509Certificate::from_der(&certificate).unwrap();
        assert_eq!(span(&read).1, authority.not_after.seconds());
        let after = authority.not_after.plus(Duration::from_secs(1));
        assert!(authority.equip(&node("a"), after).is_err());
    }

    #[test]
    fn names_and_powers_are_ours_to_give() {
        let authority = Authority::found(NOW).unwrap();
        let key = new_key().unwrap();
        let mut greedy = CertificateParams::new(["c".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        greedy.distinguished_name = called("c");
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let asked = greedy.serialize_request(&key).unwrap().pem().unwrap();
        let proven = ProvenKey::of_request(&asked).unwrap();
        is_of_a_node(&authority.issue(&node("b"), &proven, NOW).unwrap(), "b");
    }

    #[test]
    fn a_request_must_be_signed_by_the_key_it_is_for() {
        let key = new_key().unwrap();
        let pem = request(&node("b"), &key).unwrap();
        let proven = ProvenKey::of_request(&pem).unwrap();
        assert_eq!(proven.der_bytes(), key.public_key_raw());
        let (_, read) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        for flipped in 0..read.contents.len() {
            let mut der = read.contents.clone();
            der[flipped] ^= 1;
            let spoilt = pem_of(&der.into()).replace("CERTIFICATE", "CERTIFICATE REQUEST");
            let taken = ProvenKey::of_request(&spoilt);
            // Bits of the ASN.1 around it may go unnoticed, those of the key never.
            let is_same = |proven: ProvenKey| proven.der_bytes() == key.public_key_raw();
            assert!(taken.is_none_or(is_same), "byte {flipped}");
        }
        for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            assert!(ProvenKey::of_request(&request(&node("b"), &key).unwrap()).is_none());
        }
        for garbage in [
            "",
            "-----BEGIN CERTIFICATE REQUEST-----",
            "\0",
            &authority_pem(),
        ] {
            assert!(ProvenKey::of_request(garbage).is_none(), "{garbage}");
        }
    }

    fn authority_pem() -> String {
        Authority::found(NOW).unwrap().certificate_pem()
    }

    #[test]
    fn an_authority_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::found(NOW).unwrap();
        // After a change of authorities the file holds both; the key says which one signs.
        let both = [authority_pem(), authority.certificate_pem()].concat();
        let ca_file = put(folder.path(), &both, &authority.key_pem());
        let opened = Authority::open(&ca_file).unwrap();
        assert_eq!(opened.certificate(), authority.certificate());
        assert_eq!(opened.certificate_pem(), authority.certificate_pem());
        assert_eq!(opened.not_after, authority.not_after);
        let proof = opened.equip(&node("a"), NOW).unwrap();
        let certificate = der(&proof.certificate_pem);
        vouches_for(authority.certificate(), &certificate, &[], NOW).unwrap();
    }

    #[test]
    fn an_authority_of_somebody_elses_making_signs_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut called = DistinguishedName::new();
        let organization = DnValue::PrintableString("Shop".try_into().unwrap());
        called.push(DnType::OrganizationName, organization);
        called.push(DnType::CommonName, "Proxies, \u{fc}ber all");
        params.distinguished_name = called;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let made = params.self_signed(&key).unwrap();
        let ca_file = put(folder.path(), &made.pem(), &key.serialize_pem());
        let proof = Authority::open(&ca_file)
            .unwrap()
            .equip(&node("a"), NOW)
            .unwrap();
        vouches_for(made.der(), &der(&proof.certificate_pem), &[], NOW).unwrap();
    }

    #[test]
    fn what_is_no_authority_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            Authority::found(NOW).unwrap(),
            Authority::found(NOW).unwrap(),
        );
        let error_of = |certificates: &str, key: &str| {
            let ca_file = put(folder.path(), certificates, key);
            Authority::open(&ca_file).err().unwrap().to_string()
        };
        let stranger = error_of(&one.certificate_pem(), &other.key_pem());
        assert!(
            stranger.contains("ca.key: this key belongs to no certificate"),
            "{stranger}"
        );
        assert!(
            error_of(&one.certificate_pem(), "hunter2").contains("ca.key: this is no private key")
        );
        assert!(error_of("", &one.key_pem()).contains("belongs to no certificate"));
        fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        let missing = Authority::open(&folder.path().join(CERTIFICATE_FILE))
            .err()
            .unwrap();
        assert!(
            missing.to_string().contains("ca.key can't be read"),
            "{missing}"
        );
        let proof = one.equip(&node("a"), NOW).unwrap();
        let of_a_node = error_of(&proof.certificate_pem, &proof.key_pem);
        assert!(of_a_node.contains("may not issue others"), "{of_a_node}");
    }
}
