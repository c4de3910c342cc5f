//! What the shop is asked whole.
//!
//! A logout is not streamed through like other requests. Its token is dead before the shop hears of it, so
//! that a shop which fails, even in the middle of its answer, must not leave the customer without one; and it
//! is sent once, on a fresh connection, for the shop may have acted on it.

use std::net::IpAddr;

use bytes::Bytes;
use pingora::Result;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;

use super::attempts::Trip;
use super::client::{Answered, connect, exchange};

/// A request that the shop is to answer.
pub(crate) struct Question {
    /// As it is sent.
    pub(crate) head: RequestHeader,
    /// Its body.
    pub(crate) body: Bytes,
    /// The customer's own request and address, by which a server is chosen.
    pub(crate) from: (RequestHeader, IpAddr),
    /// Its way there.
    pub(crate) trip: Trip,
}

impl Question {
    /// Puts it to the shop. Another server is tried only while nothing was sent.
    pub(crate) async fn put(mut self, connector: &Connector) -> Result<Answered> {
        let (customer, client) = self.from;
        let trip = &mut self.trip;
        let (peer, connection) = loop {
            let server = trip.send_off(&customer, || client)?;
            let peer = trip.upstreams().lone_peer(&server)?;
            match connect(connector, &peer).await {
                Ok(connection) => break (peer, connection),
                Err(error) if trip.give_up(&error) => {}
                Err(error) => return Err(error),
            }
        };
        trip.note_sending();
        let asked = exchange(connection, &peer, self.head, &self.body).await;
        match &asked {
            Ok(answered) => {
                trip.learn_clock(&answered.head);
                match &answered.body {
                    Ok(_) => trip.note_end(None),
                    Err(error) => trip.fail(error.etype().as_str()),
                }
            }
            Err(error) => trip.fail(error.etype().as_str()),
        }
        asked
    }
}
