//! Certificates of a test's own making, and a client that takes any and says which one it got.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::patience::PATIENCE;

pub type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A folder of certificates and their keys.
pub struct Certificates(TempDir);

impl Default for Certificates {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Certificates {
    /// Makes a certificate for these names, as NAME.pem and NAME.key; its bytes.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Vec<u8> {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(hosts).unwrap();
        self.write(&format!("{name}.pem"), &made.cert.pem(), 0o644);
        self.write(
            &format!("{name}.key"),
            &made.signing_key.serialize_pem(),
            0o600,
        );
        made.cert.der().to_vec()
    }

    /// One that ended when 2020 began.
    pub fn issue_ended(&self, name: &str, host: &str) {
        let mut wanted = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(2019, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&key).unwrap();
        self.write(&format!("{name}.pem"), &made.pem(), 0o644);
        self.write(&format!("{name}.key"), &key.serialize_pem(), 0o600);
    }

    pub fn write(&self, file: &str, text: &str, mode: u32) {
        let path = self.path(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// The `[[certificate]]` table of NAME.
    pub fn table(&self, name: &str) -> String {
        let path = |ending: &str| self.path(&format!("{name}.{ending}")).display().to_string();
        format!(
            "[[certificate]]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
            path("pem"),
            path("key")
        )
    }
}

/// How a client says hello.
#[derive(Clone)]
pub struct Hello<'a> {
    /// `None`: it names nobody.
    pub name: Option<&'a str>,
    pub alpn: &'a [&'a str],
    pub versions: &'static [&'static SupportedProtocolVersion],
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Self {
            name: Some("shop.example.com"),
            alpn: &["http/1.1"],
            versions: rustls::ALL_VERSIONS,
        }
    }
}

impl Hello<'_> {
    /// Goes through the handshake.
    #[track_caller]
    pub fn to(&self, address: SocketAddr) -> Encrypted {
        self.try_to(address).unwrap()
    }

    pub fn try_to(&self, address: SocketAddr) -> io::Result<Encrypted> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        self.over(stream)
    }

    pub fn over(&self, mut stream: TcpStream) -> io::Result<Encrypted> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config.enable_sni = self.name.is_some();
        let name = self.name.unwrap_or("nobody.example.com").to_owned();
        let name = ServerName::try_from(name).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let mut encrypted = StreamOwned::new(connection, stream);
        encrypted.flush()?;
        Ok(encrypted)
    }
}

/// The certificate that a connection was answered with.
pub fn certificate_of(encrypted: &Encrypted) -> Vec<u8> {
    encrypted.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Takes any certificate, if only its owner signs.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        let verified = rustls::crypto::verify_tls13_signature(message, certificate, signed, known);
        // webpki reads no certificate with a critical extension that it does not know, as RFC 8737 has one.
        verified.or_else(|_| {
            let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
            let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
            verify_tls13_signature_with_raw_key(message, &key, signed, known)
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
