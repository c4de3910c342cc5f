//! For tests: a server in the place of a node, with any certificate.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
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

/// What was said on each connection once it was decrypted, or why nothing was.
pub(crate) type ReceivedRequests = Arc<Mutex<Vec<io::Result<Vec<u8>>>>>;

/// A certificate with a key that may belong to another.
#[derive(Debug)]
struct FixedCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for FixedCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Answers every request with that, one after the other.
pub(crate) async fn pretend(
    socket: TcpListener,
    shown: (Vec<CertificateDer<'static>>, String),
    answer: (StatusCode, Vec<u8>),
    heard: ReceivedRequests,
) {
    let (chain, key_pem) = shown;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let shown = FixedCertificate(Arc::new(CertifiedKey::new(chain, key)));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = socket.accept().await {
        let said = hear(&acceptor, stream, &answer).await;
        heard.lock().push(said);
    }
}

/// One connection. In TLS 1.3 a client that does not believe us says so after our handshake is over.
async fn hear(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    (status, answer): &(StatusCode, Vec<u8>),
) -> io::Result<Vec<u8>> {
    let stream = acceptor.accept(stream).await?;
    let connection = h2::server::handshake(stream).await;
    let mut connection = connection.map_err(io::Error::other)?;
    let asked = connection.accept().await;
    let (request, mut respond) = asked
        .ok_or(io::ErrorKind::UnexpectedEof)?
        .map_err(io::Error::other)?;
    let mut body = request.into_body();
    let hear_and_answer = async {
        let mut said = Vec::new();
        while let Some(Ok(part)) = body.data().await {
            said.extend_from_slice(&part);
        }
        let head = Response::builder().status(status).body(()).unwrap();
        let mut sending = respond.send_response(head, false).unwrap();
        let answer = Bytes::from(answer.clone());
        sending.send_data(answer, true).unwrap();
        said
    };
    // The connection moves only while it is polled for more.
    let (said, _) = tokio::join!(hear_and_answer, connection.accept());
    Ok(said)
}
