//! The self-probe: a request through each public listener. Only an answer proves that customers are served.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use http::request::Parts;
use http::{HeaderName, StatusCode};
use log::error;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use socket2::{Domain, SockAddr, Socket, Type};

use super::listen::{Listen, ListenAddress};
use crate::server::connection::limiter::ConnectionLimiter;
use crate::server::operator::client::status_of;

/// The header of these requests; only this process knows its value.
const HEADER: HeaderName = HeaderName::from_static("x-doorward-probe");

/// Sends requests to this process's own listeners.
pub(crate) struct SelfProbe {
    header: HeaderName,
    key: String,
    /// What it shows to listeners that ask for a certificate.
    identity: ProbeIdentity,
    listeners: Vec<Listen>,
    /// Where it announces its connection, so that the limit does not refuse it.
    limiter: Arc<ConnectionLimiter>,
}

/// A certificate for the probe, made at the start.
struct ProbeIdentity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl ProbeIdentity {
    fn generate() -> Result<Self, Unspecified> {
        let made = rcgen::generate_simple_self_signed(["doorward".to_owned()]);
        let made = made.map_err(|_| Unspecified)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
        Ok(Self {
            certificate: made.cert.der().clone(),
            key: key.map_err(|_| Unspecified)?,
        })
    }
}

/// A listener that did not answer the probe.
#[derive(Debug)]
pub(crate) struct ProbeError {
    pub(crate) address: ListenAddress,
    pub(crate) error: io::Error,
}

impl SelfProbe {
    /// Probes these listeners, with a fresh key.
    pub(crate) fn new(
        listeners: Vec<Listen>,
        limiter: Arc<ConnectionLimiter>,
    ) -> Result<Self, Unspecified> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)?;
        let mut key = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(key, "{byte:02x}");
        }
        Ok(Self {
            header: HEADER,
            key,
            identity: ProbeIdentity::generate()?,
            listeners,
            limiter,
        })
    }

    /// The certificate that it shows; only this process has the key.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.identity.certificate
    }

    /// Whether a request is a self-probe. No client can make one.
    pub(crate) fn is_own(&self, head: &Parts) -> bool {
        let value = head.headers.get(&self.header);
        value.is_some_and(|value| value.as_bytes() == self.key.as_bytes())
    }

    /// Probes every listener; each may take its share of `patience`.
    pub(crate) async fn probe(self: &Arc<Self>, patience: Duration) -> Result<(), ProbeError> {
        let self_probe = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || self_probe.probe_all(patience)).await;
        asked.unwrap_or_else(|_| {
            error!("the self-probe ended in a panic");
            Ok(()) // a fault of the probe says nothing about the listener
        })
    }

    fn probe_all(&self, patience: Duration) -> Result<(), ProbeError> {
        let count = u32::try_from(self.listeners.len())
            .unwrap_or(u32::MAX)
            .max(1);
        for listen in &self.listeners {
            self.probe_one(listen, patience / count)
                .map_err(|error| ProbeError {
                    address: listen.address.clone(),
                    error,
                })?;
        }
        Ok(())
    }

    fn probe_one(&self, listen: &Listen, patience: Duration) -> io::Result<()> {
        let status = match &listen.address {
            ListenAddress::Tcp(address) => self.probe_tcp(*address, listen.tls, patience)?,
            ListenAddress::Unix { path, .. } => self.probe_unix(path, patience)?,
        };
        if status == StatusCode::NO_CONTENT {
            Ok(())
        } else {
            Err(io::Error::other(format!("it answered {status}")))
        }
    }

    fn probe_unix(&self, path: &Path, patience: Duration) -> io::Result<StatusCode> {
        let _invitation = self.limiter.announce_own(None);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect_timeout(&SockAddr::unix(path)?, patience)?;
        let stream = UnixStream::from(OwnedFd::from(socket));
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        status_of(stream, &self.head_for("localhost"))
    }

    fn head_for(&self, host: &str) -> String {
        let Self { header, key, .. } = self;
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n{header}: {key}\r\n")
    }

    fn probe_tcp(
        &self,
        address: SocketAddr,
        tls: bool,
        patience: Duration,
    ) -> io::Result<StatusCode> {
        let address = reachable(address);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(address.ip(), 0).into())?;
        let from = socket.local_addr()?.as_socket();
        let _invitation = from.map(|from| self.limiter.announce_own(Some(from)));
        socket.connect_timeout(&address.into(), patience)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let head = self.head_for(&address.to_string());
        if tls {
            status_of(encrypted(stream, address.ip(), &self.identity)?, &head)
        } else {
            status_of(stream, &head)
        }
    }
}

/// Where a listener can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// TLS to our own listener. Its certificate is for the names that customers use, and the probe carries no secret of
/// theirs, so the certificate is not verified.
fn encrypted(
    stream: TcpStream,
    ip: IpAddr,
    identity: &ProbeIdentity,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let any_certificate = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
    let config = configured(provider, any_certificate, identity).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), ServerName::IpAddress(ip.into()));
    Ok(StreamOwned::new(
        connection.map_err(io::Error::other)?,
        stream,
    ))
}

fn configured(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: &ProbeIdentity,
) -> Result<ClientConfig, rustls::Error> {
    let chain = vec![identity.certificate.clone()];
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, identity.key.clone_key())
}

/// Accepts every certificate; the server must still prove that it has the key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use rustls::{ServerConfig, ServerConnection};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn probe_through(address: SocketAddr, tls: bool) -> SelfProbe {
        SelfProbe::new(
            vec![Listen {
                address: ListenAddress::Tcp(address),
                tls,
            }],
            Arc::new(ConnectionLimiter::at_most(usize::MAX)),
        )
        .unwrap()
    }

    /// Reads a head and gives this answer, once.
    fn answer_once(mut stream: impl Read + Write, answer: &str) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        stream.flush().unwrap();
        String::from_utf8(head).unwrap()
    }

    fn listener(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || answer_once(listener.accept().unwrap().0, answer));
        (address, served)
    }

    #[test]
    fn only_the_proxys_own_answer_counts() {
        let (address, served) = listener("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        let self_probe = probe_through(address, false);
        self_probe.probe_all(PATIENCE).unwrap();
        let head = served.join().unwrap();
        assert!(head.contains(&format!("{HEADER}: {}\r\n", self_probe.key)));
        let (address, served) = listener("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let failed = probe_through(address, false)
            .probe_all(PATIENCE)
            .unwrap_err();
        assert_eq!(failed.error.to_string(), "it answered 200 OK");
        served.join().unwrap();
    }

    #[test]
    fn a_listener_with_tls_is_asked_whoever_it_says_it_is() {
        let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let stream = StreamOwned::new(connection, listener.accept().unwrap().0);
            answer_once(stream, "HTTP/1.1 204 No Content\r\n\r\n")
        });
        probe_through(address, true).probe_all(PATIENCE).unwrap();
        served.join().unwrap();
    }

    #[test]
    fn a_listener_that_says_nothing_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let self_probe = probe_through(address, false);
        let failed = self_probe.probe_all(Duration::from_millis(50)).unwrap_err();
        assert_eq!(failed.address, ListenAddress::Tcp(address));
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine() {
        for (bound, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
