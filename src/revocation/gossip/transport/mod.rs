//! The connections between nodes: frames over HTTP/2, over mutual TLS.
//!
//! Nothing here knows what the frames say, and nothing outside knows how they travel.

mod accept;
mod dial;
mod examiner;
mod frames;
mod lobby;
mod names;
mod stream;
mod tls;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use arc_swap::ArcSwap;

use super::settings::{NodeName, Security};
use tls::Tls;

pub(super) use accept::{Arrival, Joins};
pub(super) use dial::ask_to_join;
pub(super) use frames::{FRAME_BYTES_MAX, Receiver, Sender};
pub(super) use names::resolve;

/// Where frames are exchanged; the number is the version of what they say.
const GOSSIP_PATH: &str = "/doorward/gossip/1";

/// Where somebody without a certificate asks for one.
const JOIN_PATH: &str = "/doorward/join";

/// What a node may send before it hears that it was read: of one stream, and of the connection.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// More headers than this are nobody's whom we know.
const HEADERS_BYTES_MAX: u32 = 8 << 10;

/// A connection with another node. Dropping both halves closes it.
#[derive(Debug)]
pub(super) struct Link {
    /// What its certificate calls it, which was verified: at least one name; none in plain text only.
    pub(super) names: Vec<NodeName>,
    /// Where it is, or comes from.
    pub(super) remote: SocketAddr,
    /// Whether we called it.
    pub(super) is_dialed: bool,
    /// What it is told.
    pub(super) sender: Sender,
    /// What it tells.
    pub(super) receiver: Receiver,
}

/// How connections are made.
pub(super) struct Transport(ArcSwap<Speech>);

/// What is spoken below HTTP/2.
enum Speech {
    /// Plain text, with this machine only.
    Plain,
    Encrypted(Tls),
}

impl Transport {
    /// # Errors
    ///
    /// Says what is wrong with the certificates, for the operator to read.
    pub(super) fn new(security: &Security) -> Result<Self, String> {
        Ok(Self(ArcSwap::from_pointee(Speech::of(security)?)))
    }

    /// Makes new connections in another way; those there are stay as they are.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the certificates; nothing has changed then.
    pub(super) fn replace(&self, security: &Security) -> Result<(), String> {
        self.0.store(Speech::of(security)?.into());
        Ok(())
    }
}

impl Speech {
    fn of(security: &Security) -> Result<Self, String> {
        match security {
            Security::Loopback => Ok(Self::Plain),
            Security::Certificates(certificates) => Tls::new(certificates).map(Self::Encrypted),
        }
    }
}

/// Plain text does not leave this machine, whatever the configuration says.
fn stays_here(address: SocketAddr) -> io::Result<()> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let text = format!("without TLS only this machine may be a peer, and {address} is not");
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, what)
}
