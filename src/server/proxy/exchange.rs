//! A buffered exchange with the shop: sent once on a new connection, its answer read to the end.
//!
//! A logout is not streamed through like other requests. Its token is dead before the shop is asked, so
//! a shop that fails in the middle of its answer must not leave the customer without one; and the request is sent
//! once, because the shop may have acted on it.

use bytes::Bytes;
use pingora::Result;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;

use super::attempts::UpstreamAttempts;
use super::client::{UpstreamAnswer, connect, exchange};
use super::handling::timeouts;
use crate::request::RouteTimeouts;
use crate::server::upstream::ClientEnds;

/// A request to the shop.
pub(crate) struct BufferedExchange {
    /// As it is sent.
    pub(crate) head: RequestHeader,
    /// Its body.
    pub(crate) body: Bytes,
    /// The customer's own request and connection, by which a server is chosen.
    pub(crate) from: (RequestHeader, ClientEnds),
    /// The attempts to send it.
    pub(crate) attempts: UpstreamAttempts,
    /// How long the server may take, where its route says so.
    pub(crate) timeouts: RouteTimeouts,
}

impl BufferedExchange {
    /// Sends it. Another server is tried only while nothing was sent.
    pub(crate) async fn send(mut self, connector: &Connector) -> Result<UpstreamAnswer> {
        let (customer, client) = self.from;
        let attempts = &mut self.attempts;
        let (peer, connection) = loop {
            let server = attempts.choose_server(&customer, client).await?;
            let mut peer = attempts.upstreams().lone_peer(&server, Some(client))?;
            timeouts::set(self.timeouts, &mut peer);
            match connect(connector, &peer).await {
                Ok(connection) => break (peer, connection),
                Err(error) if attempts.note_unreachable(&error) => {}
                Err(error) => return Err(error),
            }
        };
        attempts.note_sending();
        let asked = exchange(connection, &peer, self.head, &self.body).await;
        match &asked {
            Ok(answered) => {
                attempts.learn_clock(&answered.head);
                match &answered.body {
                    Ok(_) => attempts.note_end(None),
                    Err(error) => attempts.abandon(error.etype().as_str()),
                }
            }
            Err(error) => attempts.abandon(error.etype().as_str()),
        }
        asked
    }
}
