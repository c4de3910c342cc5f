//! For tests: a server in the place of a node, with any certificate.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::accept::QUESTION_BYTES_MAX;
use super::frames::halves;
use super::greeting::JOIN;
use super::join_status::JoinStatus;

/// The request of each connection, or why there was none.
pub(crate) type ReceivedRequests = Arc<Mutex<Vec<io::Result<Vec<u8>>>>>;

/// A certificate with a key that may belong to another.
#[derive(Debug)]
struct FixedCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for FixedCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Answers every join request with the same answer, one after the other.
pub(crate) async fn pretend(
    socket: TcpListener,
    identity: (Vec<CertificateDer<'static>>, String),
    answer: (JoinStatus, Vec<u8>),
    received: ReceivedRequests,
) {
    let (chain, key_pem) = identity;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let identity = FixedCertificate(Arc::new(CertifiedKey::new(chain, key)));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![JOIN.into()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = socket.accept().await {
        let request = receive(&acceptor, stream, &answer).await;
        received.lock().push(request);
    }
}

/// One connection. In TLS 1.3 a client that refuses our certificate says so after our handshake.
async fn receive(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    (status, answer): &(JoinStatus, Vec<u8>),
) -> io::Result<Vec<u8>> {
    let stream = acceptor.accept(stream).await?;
    let (mut sender, mut receiver) = halves(stream, QUESTION_BYTES_MAX);
    let question = receiver.next().await?;
    let question = question.ok_or(io::ErrorKind::UnexpectedEof)?;
    sender.send(status.answer(answer)).await?;
    sender.finish();
    Ok(question.into())
}
