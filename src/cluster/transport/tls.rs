//! The handshake between nodes: TLS 1.3 (RFC 8446), in which each side shows its certificate.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier as _;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, CommonState, Error, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::certificate_verifier::{CertificateRules, CertificateVerifier};
use super::unfit_certificates::UnfitCertificates;
use crate::clock;
use crate::cluster::settings::Certificates;
use crate::revocation::NodeName;

/// The one protocol inside (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// How long a rejected client may take to read the reason.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How much of what it sends meanwhile is discarded.
const THROWN_AWAY_MAX: u64 = 64 << 10;

/// What the operator is told of the other side.
const NO_TLS13: &str = "it does not speak TLS 1.3";
const NO_HTTP2: &str = "it does not speak HTTP/2 (ALPN h2)";

/// TLS between nodes.
pub(super) struct Tls {
    rules: Arc<CertificateRules>,
    own: Arc<SingleCertAndKey>,
}

impl Tls {
    /// # Errors
    ///
    /// The key or the authorities can't be used.
    pub(super) fn new(certificates: &Certificates) -> Result<Self, UnfitCertificates> {
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = (certificates.chain.clone(), certificates.key.clone_key());
        let own = CertifiedKey::from_der(chain, key, &provider).map_err(UnfitCertificates::Key)?;
        let authorities = Arc::clone(&certificates.authorities);
        let rules = CertificateRules::new(provider, authorities, certificates.allow.clone())?;
        Ok(Self {
            rules: Arc::new(rules),
            own: Arc::new(SingleCertAndKey::from(own)),
        })
    }

    /// The names of a chain that another node relayed; none, if it is not valid here.
    pub(super) fn names_certified(&self, chain: &[Bytes]) -> Vec<NodeName> {
        let chain = chain.iter().map(|der| CertificateDer::from(der.as_ref()));
        let chain: Vec<_> = chain.collect();
        let Some((leaf, between)) = chain.split_first() else {
            return Vec::new();
        };
        let since_epoch = Duration::from_millis(clock::now_ms());
        let now = UnixTime::since_unix_epoch(since_epoch);
        let examined = CertificateVerifier::new(&self.rules).verify_client_cert(leaf, between, now);
        examined.map_or_else(|_| Vec::new(), |_| self.rules.names(leaf))
    }

    /// Encrypts a connection that this node opened, and returns the names of the other one.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> io::Result<(client::TlsStream<TcpStream>, Vec<NodeName>)> {
        let examiner = CertificateVerifier::new(&self.rules);
        let (verifier, own) = (Arc::new(examiner.clone()), Arc::clone(&self.own));
        let connected = connect(self.rules.provider(), verifier, own, stream, address).await;
        let stream = connected.map_err(|error| refused(&examiner, &error))?;
        let names = names(&self.rules, stream.get_ref().1)?;
        Ok((stream, names))
    }

    /// Encrypts an incoming connection, and returns the names of the client; none without a certificate.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(server::TlsStream<TcpStream>, Vec<NodeName>)> {
        let examiner = CertificateVerifier::new(&self.rules);
        let config = self.server(&examiner).map_err(io::Error::other)?;
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream);
        match accepted.into_fallible().await {
            Ok(stream) => {
                let names = names(&self.rules, stream.get_ref().1)?;
                Ok((stream, names))
            }
            Err((error, stream)) => {
                dismiss(stream).await;
                Err(refused(&examiner, &error))
            }
        }
    }

    fn server(&self, examiner: &CertificateVerifier) -> Result<ServerConfig, Error> {
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

/// A client that has no certificate yet.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Encrypts a connection to a node that this verifier believes, without showing a certificate.
pub(super) async fn connect_as_stranger(
    stream: TcpStream,
    address: SocketAddr,
    verifier: Arc<dyn ServerCertVerifier>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let no_certificate = Arc::new(NoCertificate);
    let connected = connect(provider, verifier, no_certificate, stream, address).await;
    let stream = connected.map_err(|error| explained(&error))?;
    speaks_http2(stream.get_ref().1)?;
    Ok(stream)
}

/// Nothing is resumed, here and above: every connection is examined under the rules of its time.
async fn connect(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    own: Arc<dyn ResolvesClientCert>,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<client::TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(own);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    let host = ServerName::from(address.ip()); // which is not sent, and not verified
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(host, stream).await
}

/// The names of the other side, which must have agreed to HTTP/2.
fn names(rules: &CertificateRules, connection: &CommonState) -> io::Result<Vec<NodeName>> {
    speaks_http2(connection)?;
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    Ok(leaf.map(|leaf| rules.names(leaf)).unwrap_or_default())
}

fn speaks_http2(connection: &CommonState) -> io::Result<()> {
    if connection.alpn_protocol() == Some(ALPN) {
        Ok(())
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, NO_HTTP2))
    }
}

/// Lets a client read why it is rejected: a connection that is closed while bytes still arrive is reset.
async fn dismiss(mut stream: TcpStream) {
    let _ = timeout(REFUSAL_PATIENCE, async {
        stream.shutdown().await?;
        let mut rest = stream.take(THROWN_AWAY_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    })
    .await;
}

/// Why a handshake failed, in the words of an operator.
fn refused(examiner: &CertificateVerifier, error: &io::Error) -> io::Error {
    match examiner.refusal() {
        Some(refusal) => io::Error::new(ErrorKind::PermissionDenied, refusal),
        None => explained(error),
    }
}

/// What rustls says in the names of its types, and what it means here. By text, for h2 passes on nothing else.
const MEANINGS: [(&str, &str); 12] = [
    (
        "received fatal alert: UnknownCA",
        "it does not know the authority of our certificate",
    ),
    (
        "received fatal alert: CertificateExpired",
        "our certificate has ended or not begun, by its clock",
    ),
    (
        "received fatal alert: AccessDenied",
        "our certificate bears no name that it lets in",
    ),
    (
        "received fatal alert: UnsupportedCertificate",
        "our certificate may not be used in this direction (extended key usage)",
    ),
    ("received fatal alert: ProtocolVersion", NO_TLS13),
    ("received fatal alert: NoApplicationProtocol", NO_HTTP2),
    ("received fatal alert", "it refuses us"),
    ("Tls12NotOffered", NO_TLS13),
    ("SupportedVersionsExtensionRequired", NO_TLS13),
    ("any known protocol", NO_HTTP2),
    ("InvalidContentType", "it does not speak TLS"),
    ("tls handshake eof", "it left in the midst of the handshake"),
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

#[cfg(test)]
mod tests {
    use rustls::version::TLS12;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::Transport;
    use crate::cluster::transport::fixtures::{TestAuthority, TestNode, soon};

    /// A client of a member's, or nearly.
    fn client(
        authority: &TestAuthority,
        version: &'static rustls::SupportedProtocolVersion,
        protocols: &[&[u8]],
    ) -> TlsConnector {
        let papers = authority.issue(&["b"]);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(authority.store());
        let config = config.with_client_auth_cert(papers.chain, papers.key);
        let mut config = config.unwrap();
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// Why a member does not let this client in.
    async fn refusal(
        version: &'static rustls::SupportedProtocolVersion,
        protocols: &[&[u8]],
    ) -> String {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let connector = client(&authority, version, protocols);
        let stream = TcpStream::connect(node.address).await.unwrap();
        let host = ServerName::try_from("a").unwrap();
        let _stream = connector.connect(host, stream).await;
        node.refusal().await
    }

    #[tokio::test]
    async fn clients_speak_tls_1_3_and_http_2() {
        let old = refusal(&TLS12, &[ALPN]).await;
        assert!(old.contains("it does not speak TLS 1.3"), "{old}");
        let other = refusal(&TLS13, &[b"http/1.1"]).await;
        assert!(other.contains("it does not speak HTTP/2"), "{other}");
        let none = refusal(&TLS13, &[]).await;
        assert!(none.contains("it does not speak HTTP/2"), "{none}");
    }

    /// Why a member does not believe this server.
    async fn disbelief(
        version: &'static rustls::SupportedProtocolVersion,
        protocols: &[&[u8]],
    ) -> String {
        let authority = TestAuthority::new();
        let papers = authority.issue(&["b"]);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(papers.chain, papers.key);
        let mut config = config.unwrap();
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        });
        let transport = Transport::new(&authority.member("a")).unwrap();
        let error = soon(transport.dial(address)).await.unwrap_err();
        error.to_string()
    }

    #[tokio::test]
    async fn servers_speak_tls_1_3_and_http_2() {
        let old = disbelief(&TLS12, &[ALPN]).await;
        assert!(old.contains("it does not speak TLS 1.3"), "{old}");
        let other = disbelief(&TLS13, &[b"http/1.1"]).await;
        assert!(other.contains("it does not speak HTTP/2"), "{other}");
        let none = disbelief(&TLS13, &[]).await;
        assert!(none.contains("it does not speak HTTP/2"), "{none}");
    }

    #[tokio::test]
    async fn plain_text_and_tls_do_not_meet() {
        let authority = TestAuthority::new();
        let (plain, member) = (Security::Loopback, authority.member("a"));
        let mut clear = TestNode::open(&plain).await;
        let mut encrypted = TestNode::open(&member).await;
        let error = soon(encrypted.transport.dial(clear.address))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("it does not speak TLS"),
            "{error}"
        );
        clear.refusal().await;
        soon(clear.transport.dial(encrypted.address))
            .await
            .unwrap_err();
        let why = encrypted.refusal().await;
        assert!(why.contains("it does not speak TLS"), "{why}");
    }

    #[tokio::test]
    async fn new_certificates_are_for_new_connections() {
        let (old, new) = (TestAuthority::new(), TestAuthority::new());
        let caller = TestNode::open(&old.member("a")).await;
        let mut host = TestNode::open(&old.member("b")).await;
        let mut there = caller.dial(&host).await;
        let mut here = host.link().await;
        host.transport.replace(&new.member("b")).unwrap();
        soon(caller.transport.dial(host.address)).await.unwrap_err(); // nothing is resumed
        host.refusal().await;
        caller.transport.replace(&new.member("c")).unwrap();
        let again = caller.dial(&host).await;
        assert_eq!(again.names[0].as_str(), "b");
        assert_eq!(host.link().await.names[0].as_str(), "c");
        there.sender.send("still here".into()).await.unwrap();
        let frame = soon(here.receiver.next()).await.unwrap();
        assert_eq!(frame.unwrap(), "still here");
    }

    #[test]
    fn papers_that_do_not_fit_change_nothing() {
        let authority = TestAuthority::new();
        let transport = Transport::new(&authority.member("a")).unwrap();
        let before = transport.security();
        let mut papers = authority.issue(&["a"]);
        papers.key = authority.issue(&["a"]).key;
        let error = transport.replace(&authority.believed_by(&papers, &[]));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("key_file does not fit cert_file")
        );
        assert!(Arc::ptr_eq(&before, &transport.security()));
    }
}
