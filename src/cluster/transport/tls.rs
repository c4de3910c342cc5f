//! The handshake between nodes: TLS 1.3 (RFC 8446), in which each side shows its certificate, and which names the protocol
//! inside (ALPN, RFC 7301).

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
use super::errors::{NO_PROTOCOL, explained};
use super::greeting::{GOSSIP, JOIN};
use super::unfit_certificates::UnfitCertificates;
use crate::clock;
use crate::cluster::settings::Certificates;
use crate::revocation::NodeName;

/// How long a rejected client may take to read the reason.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How much of what it sends meanwhile is discarded.
const DISCARDED_BYTES_MAX: u64 = 64 << 10;

/// TLS between nodes.
pub(super) struct Tls {
    rules: Arc<CertificateRules>,
    own: Arc<SingleCertAndKey>,
}

/// What the client of a connection is, and asks for.
pub(super) enum Client {
    /// A node that asks for a link: its names; none without a certificate.
    Peer(Vec<NodeName>),
    /// A machine that asks to join. Whether it has a certificate does not matter.
    Joining,
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
        let provider = self.rules.provider();
        let connected = connect(provider, verifier, own, GOSSIP, stream, address).await;
        let stream = connected.map_err(|error| refused(&examiner, &error))?;
        let names = self.names(stream.get_ref().1);
        Ok((stream, names))
    }

    /// Encrypts an incoming connection.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(server::TlsStream<TcpStream>, Client)> {
        let examiner = CertificateVerifier::new(&self.rules);
        let config = self.server(&examiner).map_err(io::Error::other)?;
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream);
        match accepted.into_fallible().await {
            Ok(stream) => {
                let connection = stream.get_ref().1;
                let client = if agreed_on(connection, JOIN).is_ok() {
                    Client::Joining
                } else {
                    agreed_on(connection, GOSSIP)?;
                    Client::Peer(self.names(connection))
                };
                Ok((stream, client))
            }
            Err((error, stream)) => {
                dismiss(stream).await;
                Err(refused(&examiner, &error))
            }
        }
    }

    /// The names of the other side; none without a certificate.
    fn names(&self, connection: &CommonState) -> Vec<NodeName> {
        let leaf = connection.peer_certificates().and_then(<[_]>::first);
        leaf.map(|leaf| self.rules.names(leaf)).unwrap_or_default()
    }

    fn server(&self, examiner: &CertificateVerifier) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(self.rules.provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(examiner.clone()))
            .with_cert_resolver(Arc::clone(&self.own) as _);
        config.alpn_protocols = vec![GOSSIP.into(), JOIN.into()];
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

/// Encrypts a connection to a node that this verifier accepts, for a join request, without showing a certificate.
pub(super) async fn connect_as_stranger(
    stream: TcpStream,
    address: SocketAddr,
    verifier: Arc<dyn ServerCertVerifier>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let own = Arc::new(NoCertificate);
    let connected = connect(provider, verifier, own, JOIN, stream, address).await;
    connected.map_err(|error| explained(&error))
}

/// Nothing is resumed, here and above: every connection is examined under the rules of its time.
async fn connect(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    own: Arc<dyn ResolvesClientCert>,
    protocol: &str,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<client::TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(own);
    config.alpn_protocols = vec![protocol.into()];
    config.resumption = Resumption::disabled();
    let host = ServerName::from(address.ip()); // which is not sent, and not verified
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(host, stream).await?;
    agreed_on(stream.get_ref().1, protocol)?;
    Ok(stream)
}

/// The other side may have named no protocol at all.
fn agreed_on(connection: &CommonState, protocol: &str) -> io::Result<()> {
    if connection.alpn_protocol() == Some(protocol.as_bytes()) {
        Ok(())
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, NO_PROTOCOL))
    }
}

/// Lets a client read why it is rejected: a connection that is closed while bytes still arrive is reset.
async fn dismiss(mut stream: TcpStream) {
    let _ = timeout(REFUSAL_PATIENCE, async {
        stream.shutdown().await?;
        let mut rest = stream.take(DISCARDED_BYTES_MAX);
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

#[cfg(test)]
mod tests {
    use rustls::version::TLS12;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::Transport;
    use crate::cluster::transport::fixtures::{TestAuthority, TestNode, soon};

    /// What a node of another version offers, or no node at all.
    const OTHER_PROTOCOLS: [&[&[u8]]; 4] = [&[b"doorward-gossip/2"], &[b"h2"], &[b"http/1.1"], &[]];

    /// A client with a certificate of the authority.
    fn client(
        authority: &TestAuthority,
        version: &'static rustls::SupportedProtocolVersion,
        protocols: &[&[u8]],
    ) -> TlsConnector {
        let certificate = authority.issue(&["b"]);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(authority.store());
        let config = config.with_client_auth_cert(certificate.chain, certificate.key);
        let mut config = config.unwrap();
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// Why a node refuses this client.
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
    async fn clients_speak_tls_1_3_and_this_version() {
        let old = refusal(&TLS12, &[GOSSIP.as_bytes()]).await;
        assert!(old.contains("it does not speak TLS 1.3"), "{old}");
        for protocols in OTHER_PROTOCOLS {
            let other = refusal(&TLS13, protocols).await;
            assert!(other.contains(NO_PROTOCOL), "{other}");
        }
    }

    /// Why a node does not accept this server.
    async fn refused_server(
        version: &'static rustls::SupportedProtocolVersion,
        protocols: &[&[u8]],
    ) -> String {
        let authority = TestAuthority::new();
        let certificate = authority.issue(&["b"]);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificate.chain, certificate.key);
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
    async fn servers_speak_tls_1_3_and_this_version() {
        let old = refused_server(&TLS12, &[GOSSIP.as_bytes()]).await;
        assert!(old.contains("it does not speak TLS 1.3"), "{old}");
        for protocols in OTHER_PROTOCOLS {
            let other = refused_server(&TLS13, protocols).await;
            assert!(other.contains(NO_PROTOCOL), "{other}");
        }
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
        let dialer = TestNode::open(&old.member("a")).await;
        let mut host = TestNode::open(&old.member("b")).await;
        let mut there = dialer.dial(&host).await;
        let mut here = host.link().await;
        host.transport.replace(&new.member("b")).unwrap();
        soon(dialer.transport.dial(host.address)).await.unwrap_err(); // nothing is resumed
        host.refusal().await;
        dialer.transport.replace(&new.member("c")).unwrap();
        let again = dialer.dial(&host).await;
        assert_eq!(again.names[0].as_str(), "b");
        assert_eq!(host.link().await.names[0].as_str(), "c");
        there.sender.send("still here".into()).await.unwrap();
        let frame = soon(here.receiver.next()).await.unwrap();
        assert_eq!(frame.unwrap(), "still here");
    }

    #[test]
    fn certificates_that_do_not_fit_change_nothing() {
        let authority = TestAuthority::new();
        let transport = Transport::new(&authority.member("a")).unwrap();
        let before = transport.security();
        let mut certificate = authority.issue(&["a"]);
        certificate.key = authority.issue(&["a"]).key;
        let error = transport.replace(&authority.with_certificate(&certificate, &[]));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("key_file does not fit cert_file")
        );
        assert!(Arc::ptr_eq(&before, &transport.security()));
    }
}
