//! The handshake between nodes: TLS 1.3 (RFC 8446), in which each side shows its certificate.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, CommonState, Error, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::examiner::{Examiner, Rules, names_of};
use crate::revocation::gossip::settings::{Certificates, NodeName};

/// The one protocol inside (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// How long somebody who is refused may take to read why.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How much of what he sends meanwhile is thrown away.
const THROWN_AWAY_MAX: u64 = 64 << 10;

/// How TLS is spoken between nodes.
pub(super) struct Tls {
    rules: Arc<Rules>,
    own: Arc<SingleCertAndKey>,
}

impl Tls {
    /// Says what is wrong with the certificates, for the operator to read.
    pub(super) fn new(certificates: &Certificates) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = (certificates.chain.clone(), certificates.key.clone_key());
        let own = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| format!("key_file does not fit cert_file: {error}"))?;
        let authorities = Arc::clone(&certificates.authorities);
        let rules = Rules::new(provider, authorities, certificates.allow.clone())?;
        Ok(Self {
            rules: Arc::new(rules),
            own: Arc::new(SingleCertAndKey::from(own)),
        })
    }

    /// Encrypts a connection that we opened, and says whom it is to.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> io::Result<(client::TlsStream<TcpStream>, Vec<NodeName>)> {
        let examiner = Examiner::new(&self.rules);
        let config = self.client(&examiner).map_err(io::Error::other)?;
        let host = ServerName::from(address.ip()); // which is not sent, and not verified
        let stream = TlsConnector::from(Arc::new(config))
            .connect(host, stream)
            .await
            .map_err(|error| refused(&examiner, &error))?;
        let names = speaks_http2(stream.get_ref().1)?;
        Ok((stream, names))
    }

    /// Encrypts a connection that somebody opened to us; no names are the names of who shows no certificate.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(server::TlsStream<TcpStream>, Vec<NodeName>)> {
        let examiner = Examiner::new(&self.rules);
        let config = self.server(&examiner).map_err(io::Error::other)?;
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream);
        match accepted.into_fallible().await {
            Ok(stream) => {
                let names = speaks_http2(stream.get_ref().1)?;
                Ok((stream, names))
            }
            Err((error, stream)) => {
                dismiss(stream).await;
                Err(refused(&examiner, &error))
            }
        }
    }

    /// Nothing is resumed, here and below: every connection is examined under the rules of its time.
    fn client(&self, examiner: &Examiner) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(self.rules.provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(examiner.clone()))
            .with_client_cert_resolver(Arc::clone(&self.own) as _);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn server(&self, examiner: &Examiner) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(self.rules.provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(examiner.clone()))
            .with_cert_resolver(Arc::clone(&self.own) as _);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// Encrypts a connection to a node of these authorities without showing a certificate.
pub(super) async fn connect_unknown(
    stream: TcpStream,
    address: SocketAddr,
    authorities: Arc<RootCertStore>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let rules = Rules::new(provider, authorities, Vec::new()).map_err(io::Error::other)?;
    let examiner = Examiner::new(&Arc::new(rules));
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(examiner.clone()))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let stream = TlsConnector::from(Arc::new(config))
        .connect(ServerName::from(address.ip()), stream)
        .await
        .map_err(|error| refused(&examiner, &error))?;
    speaks_http2(stream.get_ref().1)?;
    Ok(stream)
}

/// The names of the other side, which must have agreed to HTTP/2.
fn speaks_http2(connection: &CommonState) -> io::Result<Vec<NodeName>> {
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "it does not speak HTTP/2 (ALPN h2)",
        ));
    }
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    Ok(leaf.map(names_of).unwrap_or_default())
}

/// Lets somebody read why he is refused: a connection that is closed while bytes still arrive is reset.
async fn dismiss(mut stream: TcpStream) {
    let _ = timeout(REFUSAL_PATIENCE, async {
        stream.shutdown().await?;
        let mut rest = stream.take(THROWN_AWAY_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    })
    .await;
}

/// Why a handshake failed, in the words of an operator.
fn refused(examiner: &Examiner, error: &io::Error) -> io::Error {
    match examiner.refusal() {
        Some(refusal) => io::Error::new(ErrorKind::PermissionDenied, refusal),
        None => explained(error),
    }
}

/// What rustls says in the names of its types, and what it means here. By text, for h2 passes on nothing else.
const MEANINGS: [(&str, &str); 9] = [
    (
        "UnknownCA",
        "it does not know the authority of our certificate",
    ),
    (
        "CertificateExpired",
        "our certificate has ended or not begun, by its clock",
    ),
    (
        "AccessDenied",
        "our certificate bears no name that it lets in",
    ),
    (
        "UnsupportedCertificate",
        "our certificate may not be used in this direction (extended key usage)",
    ),
    (
        "received fatal alert: ProtocolVersion",
        "it does not speak TLS 1.3",
    ),
    (
        "SupportedVersionsExtensionRequired",
        "it does not speak TLS 1.3",
    ),
    (
        "NoApplicationProtocol",
        "it does not speak HTTP/2 (ALPN h2)",
    ),
    ("InvalidContentType", "it does not speak TLS"),
    ("received fatal alert", "it refuses us"),
];

/// An error with what it means, where that is known.
pub(super) fn explained(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let known = MEANINGS.iter().find(|(name, _)| text.contains(name));
    match known {
        Some((_, meaning)) => io::Error::new(error.kind(), format!("{meaning} ({text})")),
        None => io::Error::new(error.kind(), text),
    }
}
