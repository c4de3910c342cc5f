//! The connections between nodes: frames over HTTP/2, over mutual TLS.
//!
//! Nothing here knows what the frames say, and nothing outside knows how they travel.

mod accept;
mod dial;
mod certificate_verifier;
mod frames;
#[cfg(test)]
mod impostor;
mod handshake_limiter;
mod names;
#[cfg(test)]
mod fixtures;
mod stream;
mod tls;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::settings::Security;
use crate::revocation::NodeName;
use tls::Tls;

pub(super) use accept::{Arrival, Joins, QUESTION_BYTES_MAX};
pub(super) use dial::ask_to_join;
pub(super) use frames::{FRAME_BYTES_MAX, Receiver, Sender};
#[cfg(test)]
pub(super) use impostor::{Heard, pretend};
pub(super) use names::resolve;

/// Where frames are exchanged; the number is the version of what they say.
const GOSSIP_PATH: &str = "/doorward/gossip/1";

/// Where somebody without a certificate asks for one.
const JOIN_PATH: &str = "/doorward/join";

/// What a node may send before it hears that it was read: of one stream, and of the connection.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// How much h2 may keep of a node's small DATA frames, counted as a quarter of a KiB each. Our own travel together, and
/// what came is taken out at every turn; but when we stood still, one turn brings all that the socket kept: more than
/// the half of a window at which h2 ends a connection by itself.
const SMALL_FRAMES_BYTES_MAX: usize = 64 << 20;

/// What h2 keeps of what is to be sent. More waits before it, where it has no frames yet.
const SEND_BUFFER_BYTES: usize = 64 << 10;

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

    /// The names of nodes in a certificate chain that another node passed on; none if it is not valid here.
    pub(super) fn names_certified(&self, chain: &[Bytes]) -> Vec<NodeName> {
        match &**self.0.load() {
            Speech::Plain => Vec::new(),
            Speech::Encrypted(tls) => tls.names_certified(chain),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::transport::fixtures::{Authority, linked};

    #[test]
    fn plain_text_stays_on_this_machine() {
        for here in [
            "127.0.0.1:1",
            "127.8.9.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(stays_here(here.parse().unwrap()).is_ok(), "{here}");
        }
        for away in [
            "10.0.0.1:1",
            "0.0.0.0:1",
            "[::]:1",
            "[fe80::1]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            let error = stays_here(away.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{away}");
        }
    }

    #[tokio::test]
    async fn nobody_elsewhere_is_called_in_plain_text() {
        let transport = Transport::new(&Security::Loopback).unwrap();
        let error = transport.dial("192.0.2.1:1".parse().unwrap()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn nodes_know_each_other_by_their_certificates() {
        let authority = Authority::new();
        let a = authority.believed_by(&authority.issue(&["a", "A.Internal", "*.internal"]), &[]);
        let b = authority.believed_by(&authority.issue(&["b", "10.0.0.1"]), &[]);
        let (to_b, to_a) = linked(&a, &b).await;
        let names = |link: &Link| {
            let names = link.names.iter().map(NodeName::as_str);
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&to_b), "b");
        assert_eq!(names(&to_a), "a a.internal");
        assert!(to_b.is_dialed && !to_a.is_dialed);
        assert!(to_a.remote.ip().is_loopback());
    }

    #[tokio::test]
    async fn only_names_that_are_allowed_are_names_of_a_peer() {
        let authority = Authority::new();
        let a = authority.believed_by(&authority.issue(&["a", "c"]), &["b"]);
        let b = authority.believed_by(&authority.issue(&["b", "c"]), &["a"]);
        let (to_b, to_a) = linked(&a, &b).await;
        assert_eq!(to_b.names, [NodeName::parse("b").unwrap()]);
        assert_eq!(to_a.names, [NodeName::parse("a").unwrap()]);
    }
}
