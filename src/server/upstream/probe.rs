//! Asks every server once, for `check --probe`.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderValue, Method};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType};

use super::endpoint::Endpoint;
use super::server::UpstreamServer;
use super::upstreams::Upstreams;
use crate::clock;
use crate::request::ServerAddress;
use crate::server::proxy::client;

/// How long a server may take to be found, to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request that is sent once, with no body and no credential.
pub(crate) struct ProbeCall {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// `None`: the server's own name.
    pub(crate) host: Option<HeaderValue>,
}

impl Upstreams {
    /// Connects to each address of each server, with TLS where the server speaks it. Says where, and how long it took or why
    /// it failed.
    pub(crate) async fn probe(
        &self,
        connector: &Connector,
    ) -> Vec<(String, Result<String, String>)> {
        let mut probed = Vec::new();
        for one in self.configured() {
            let endpoint = &one.endpoint;
            let addresses = match addresses_of(endpoint).await {
                Ok(addresses) => addresses,
                Err(why) => {
                    probed.push((endpoint.to_string(), Err(why)));
                    continue;
                }
            };
            for address in addresses {
                let what = if endpoint.literal().is_some() {
                    endpoint.to_string()
                } else {
                    format!("{endpoint} at {address}")
                };
                let server = UpstreamServer::new(endpoint.clone(), address);
                probed.push((what, self.connect_once(&server, connector).await));
            }
        }
        probed
    }

    async fn connect_once(
        &self,
        server: &UpstreamServer,
        connector: &Connector,
    ) -> Result<String, String> {
        let began = clock::instant();
        let connecting = async {
            let peer = self.lone_peer(server, None)?;
            client::connect(connector, &peer).await
        };
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(Error::new(ErrorType::ConnectTimedout)));
        connected.map_err(|error| in_words(&error))?;
        let tls = if server.endpoint.is_tls() {
            ", with TLS"
        } else {
            ""
        };
        let took_ms = clock::instant().duration_since(began).as_millis();
        Ok(format!("connected in {took_ms} ms{tls}"))
    }

    /// The status of the answer of the first server that answers.
    pub(crate) async fn status_of(
        &self,
        call: &ProbeCall,
        connector: &Connector,
    ) -> Result<u16, String> {
        let mut failure = "no server has an address".to_owned();
        for one in self.configured() {
            for address in addresses_of(&one.endpoint).await.unwrap_or_default() {
                let server = UpstreamServer::new(one.endpoint.clone(), address);
                let asked =
                    tokio::time::timeout(PATIENCE, self.ask_once(call, &server, connector)).await;
                let why = match asked {
                    Ok(Ok(status)) => return Ok(status),
                    Ok(Err(error)) => in_words(&error),
                    Err(_) => "no answer in time".to_owned(),
                };
                failure = why;
            }
        }
        Err(failure)
    }

    async fn ask_once(
        &self,
        call: &ProbeCall,
        server: &UpstreamServer,
        connector: &Connector,
    ) -> pingora::Result<u16> {
        let peer = self.lone_peer(server, None)?;
        let mut head = RequestHeader::build(call.method.clone(), call.path.as_bytes(), None)?;
        match &call.host {
            Some(host) => head.insert_header(HOST, host)?,
            None => head.insert_header(HOST, server.endpoint.authority())?,
        }
        head.insert_header(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))?;
        head.insert_header(CONTENT_LENGTH, 0)?;
        let mut session = client::connect(connector, &peer).await?;
        client::send(&mut session, &peer, head, &[]).await?;
        let head = client::read_head(&mut session).await?;
        Ok(head.status.as_u16())
    }
}

async fn addresses_of(endpoint: &Endpoint) -> Result<Vec<ServerAddress>, String> {
    if let Some(address) = endpoint.literal() {
        return Ok(vec![address]);
    }
    let Some(place) = endpoint.network() else {
        return Ok(Vec::new());
    };
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host(place)).await;
    let found = found.map_err(|_| "the name is not resolved in time".to_owned())?;
    let found = found.map_err(|error| format!("the name can't be resolved: {error}"))?;
    Ok(found.map(ServerAddress::from).collect())
}

/// What failed, and why, without what was sent.
fn in_words(error: &Error) -> String {
    let what = error.etype().as_str();
    match error.cause.as_ref() {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    }
}
