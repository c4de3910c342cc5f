//! How connections to the servers are opened, and which of them are shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr, Result};

use super::proxy_header::ClientEnds;
use super::server::UpstreamServer;
use super::settings::key_of;
use super::socket_connector::SocketConnector;
use super::upstreams::Upstreams;
use crate::request::ServerAddress;

/// How many requests may share a connection of HTTP/2.
const STREAMS_MAX: usize = 100;

impl Upstreams {
    /// How to connect to a server for a request of this client; `None`: for ourselves.
    pub(crate) fn peer(
        &self,
        server: &UpstreamServer,
        client: Option<ClientEnds>,
    ) -> Result<HttpPeer> {
        let settings = &self.settings;
        let mut peer = self.address_of(server)?;
        peer.group_key = self.pool;
        peer.client_cert_key = settings.tls.identity().cloned();
        let tls = peer.is_tls();
        let options = &mut peer.options;
        options.ca = settings.tls.authorities().cloned();
        if settings.http2 {
            options.set_http_version(2, if tls { 1 } else { 2 });
            options.max_h2_streams = STREAMS_MAX;
        }
        let timeouts = settings.timeouts;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect);
        options.read_timeout = Some(timeouts.silence);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        self.announce(&mut peer, client);
        Ok(peer)
    }

    /// As `peer`, for a request that may become a WebSocket: HTTP/1.1, on a connection that is shared with nothing.
    pub(crate) fn handshake_peer(
        &self,
        server: &UpstreamServer,
        client: ClientEnds,
    ) -> Result<HttpPeer> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let mut peer = self.peer(server, Some(client))?;
        peer.group_key ^= SERIAL.fetch_add(1, Ordering::Relaxed); // finds no old connection
        peer.options.idle_timeout = Some(Duration::ZERO); // and leaves none
        peer.options.custom_l4 = Some(Arc::new(SocketConnector {
            header: self.header(Some(client)),
            is_handshake: true,
        }));
        if peer.is_tls() {
            peer.options.set_http_version(1, 1);
        }
        Ok(peer)
    }

    /// As `peer`, for a connection that is not shared.
    pub(crate) fn lone_peer(
        &self,
        server: &UpstreamServer,
        client: Option<ClientEnds>,
    ) -> Result<HttpPeer> {
        let mut peer = self.peer(server, client)?;
        peer.options.max_h2_streams = 1;
        Ok(peer)
    }

    fn address_of(&self, server: &UpstreamServer) -> Result<HttpPeer> {
        let tls = server.endpoint.is_tls();
        let name = server.endpoint.name_to_prove(&self.settings.tls);
        if tls && name.is_none() {
            let why = "no name to verify a server by"; // Pingora would not verify it
            return Err(Error::explain(ErrorType::InternalError, why));
        }
        let name = name.unwrap_or_default().to_owned();
        match &server.address {
            ServerAddress::Ip(address) => Ok(HttpPeer::new(address, tls, name)),
            ServerAddress::Unix(path) => {
                let path = path.to_str();
                let path = path.ok_or_else(|| Error::new(ErrorType::InternalError))?;
                HttpPeer::new_uds(path, tls, name)
                    .or_err(ErrorType::InternalError, "not the path of a unix socket")
            }
        }
    }

    /// A connection that says where its client is serves no other client, and is not kept.
    fn announce(&self, peer: &mut HttpPeer, client: Option<ClientEnds>) {
        let header = self.header(client);
        if header.is_empty() {
            return;
        }
        let mut key = blake3::Hasher::new();
        key.update(&self.pool.to_le_bytes()).update(&header);
        peer.group_key = key_of(&key);
        peer.options.idle_timeout = Some(Duration::ZERO);
        // A connection that has room for more streams would stay in Pingora's table, under a key that may never return.
        peer.options.max_h2_streams = 1;
        peer.options.custom_l4 = Some(Arc::new(SocketConnector {
            header,
            is_handshake: false,
        }));
    }

    /// The PROXY header, if the servers expect one.
    fn header(&self, client: Option<ClientEnds>) -> Vec<u8> {
        let protocol = self.settings.proxy_protocol;
        protocol.map_or_else(Vec::new, |protocol| protocol.header(client))
    }
}
