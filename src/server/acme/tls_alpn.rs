//! TLS-ALPN-01: an authority asks for a certificate that contains a digest (RFC 8737).
//!
//! Pingora's listener has one `rustls::ServerConfig` with the protocols of HTTP, and rustls refuses a client that offers
//! none of them. So the hello is read before Pingora's handshake, only while such a challenge is pending: an authority's
//! handshake is answered here, and ends the connection; any other hello is put back.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::stream::Stream as Socket;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{Acceptor, ClientHello, ServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::challenges::{Challenge, Challenges};

/// The protocol of these handshakes (RFC 8737 section 6.2).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// How long a hello, and how long the whole handshake of an authority may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest hello that is examined: one record of TLS with its header.
const HELLO_BYTES_MAX: usize = (16 << 10) + 5;

/// The challenge for this host; `digest` is that of the key authorization, 32 bytes.
pub(super) fn challenge(
    host: &str,
    digest: &[u8],
) -> Result<Challenge, Box<dyn Error + Send + Sync>> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(ring::default_provider());
    let private = provider.key_provider.load_private_key(private)?;
    // Not examined on the way: the extension is critical, and rustls does not know it.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], private);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    Ok(Challenge::Tls {
        host: host.to_owned(),
        config: Arc::new(config),
    })
}

/// Answers the handshake of an authority, if this is one: `true`, and the connection is over.
pub(crate) async fn answer(socket: &mut Socket, challenges: &Challenges) -> bool {
    if !challenges.has_tls() {
        return false;
    }
    let mut bytes = Vec::new();
    let hello = timeout(
        HANDSHAKE_TIMEOUT,
        read_hello(socket, &mut bytes, challenges),
    )
    .await;
    let Ok(Ok(Some(connection))) = hello else {
        socket.rewind(&bytes);
        return false; // Pingora answers it, or tells the client what is wrong
    };
    let _ = timeout(HANDSHAKE_TIMEOUT, handshake(socket, connection)).await; // the authority says what it got
    true
}

/// Reads a hello; the bytes of it are kept. `None`: it is not an authority's.
async fn read_hello(
    socket: &mut Socket,
    bytes: &mut Vec<u8>,
    challenges: &Challenges,
) -> io::Result<Option<ServerConnection>> {
    let mut acceptor = Acceptor::default();
    let mut chunk = [0; 2048];
    while bytes.len() < HELLO_BYTES_MAX {
        let count = socket.read(&mut chunk).await?;
        let mut fresh = &chunk[..count];
        bytes.extend_from_slice(fresh);
        if count == 0 {
            return Ok(None);
        }
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
        }
        let Ok(accepted) = acceptor.accept() else {
            return Ok(None);
        };
        if let Some(accepted) = accepted {
            let config = config_for(&accepted.client_hello(), challenges);
            return Ok(config.and_then(|config| accepted.into_connection(config).ok()));
        }
    }
    Ok(None)
}

/// The handshake that an authority asks for by this hello.
fn config_for(hello: &ClientHello<'_>, challenges: &Challenges) -> Option<Arc<ServerConfig>> {
    let mut offered = hello.alpn()?;
    if !offered.any(|protocol| protocol == ACME_TLS) {
        return None;
    }
    challenges.tls_config(hello.server_name()?)
}

/// The rest of the handshake, and the end of the connection (RFC 8737 section 3).
async fn handshake(socket: &mut Socket, mut connection: ServerConnection) -> io::Result<()> {
    let mut chunk = [0; 2048];
    while connection.is_handshaking() {
        send(socket, &mut connection).await?;
        let count = socket.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut fresh = &chunk[..count];
        while !fresh.is_empty() {
            connection.read_tls(&mut fresh)?;
            connection.process_new_packets().map_err(io::Error::other)?;
        }
    }
    connection.send_close_notify();
    send(socket, &mut connection).await
}

async fn send(socket: &mut Socket, connection: &mut ServerConnection) -> io::Result<()> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes)?;
    }
    socket.write_all(&bytes).await?;
    socket.flush().await
}
