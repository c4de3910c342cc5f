//! Connections to the bus's server: over TLS if so configured, with the configured login.

use std::io;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::read_limit::{LimitedStream, ReadBudget};
use super::server::{ANSWER_BYTES_MAX, BusError, BusServer, PATIENCE, late, told};
use super::settings::{Bus, UnfitBus};
use crate::revocation::NodeName;

/// How the server is reached.
pub(super) struct BusConnector {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

trait BusStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> BusStream for T {}

impl BusConnector {
    /// A connector for this bus.
    ///
    /// # Errors
    ///
    /// The address or the authorities can't be used.
    pub(super) fn new(bus: &Bus) -> Result<Self, UnfitBus> {
        let info: ConnectionInfo = bus
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| UnfitBus::Address)?;
        let login = info.redis_settings().clone();
        let login = login
            .set_skip_set_lib_name() // one right less that is needed
            .set_protocol(ProtocolVersion::RESP2);
        let tls = bus.is_encrypted().then(|| tls_to(bus)).transpose()?;
        Ok(Self {
            host: bus.host().to_owned(),
            port: bus.port(),
            login,
            tls,
        })
    }

    /// Opens a connection for this node.
    pub(super) async fn open(&self, node: &NodeName) -> Result<BusServer, BusError> {
        let opened = timeout(PATIENCE, self.connect(node)).await;
        opened.unwrap_or_else(|_| Err(late()))
    }

    async fn connect(&self, node: &NodeName) -> Result<BusServer, BusError> {
        let stream = self.carrier().await;
        let stream = stream.map_err(|error| BusError::Failed(error.to_string()))?;
        let room = ReadBudget::new(ANSWER_BYTES_MAX);
        let stream = LimitedStream::new(stream, room.clone());
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let password = self.login.password().map(str::to_owned);
        let opened = MultiplexedConnection::new_with_config(&self.login, stream, config).await;
        let (connection, carrying) =
            opened.map_err(|error| BusError::Failed(told(&error, password.as_deref())))?;
        let carrier = tokio::spawn(carrying);
        Ok(BusServer::over(connection, carrier, room, password, node))
    }

    async fn carrier(&self) -> io::Result<Box<dyn BusStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some((config, name)) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let encrypted = connector.connect(name.clone(), stream).await;
        let explained = |error: io::Error| {
            let text = error.to_string();
            let known = MEANINGS.iter().find(|(words, _)| text.contains(words));
            let meaning = known.map_or("it does not agree on TLS", |(_, meaning)| meaning);
            io::Error::new(error.kind(), format!("{meaning} ({text})"))
        };
        Ok(Box::new(encrypted.map_err(explained)?))
    }
}

/// What rustls says, and what it means here.
const MEANINGS: [(&str, &str); 3] = [
    (
        "UnknownIssuer",
        "its certificate is of none of the authorities that may vouch for it (`bus_ca_file`)",
    ),
    (
        "not valid for name",
        "its certificate is for another name than that in `bus`",
    ),
    ("expired", "its certificate has ended, by our clock"),
];

fn tls_to(bus: &Bus) -> Result<(Arc<ClientConfig>, ServerName<'static>), UnfitBus> {
    let name = ServerName::try_from(bus.host().to_owned());
    let name = name.map_err(|_| UnfitBus::Host)?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(UnfitBus::Tls)?
        .with_root_certificates(authorities(bus)?)
        .with_no_client_auth();
    Ok((Arc::new(config), name))
}

/// The authorities of the server's certificate: from the configured file, or the system's.
fn authorities(bus: &Bus) -> Result<RootCertStore, UnfitBus> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = &bus.authorities_pem else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(UnfitBus::NoAuthorities);
        }
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| UnfitBus::Authority)?;
        roots.add(certificate).map_err(|_| UnfitBus::Authority)?;
    }
    Ok(roots)
}
