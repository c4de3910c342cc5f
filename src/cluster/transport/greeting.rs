//! The protocols between nodes, and the greeting by which both ends of a connection agree that it is a link.

use std::io::{self, ErrorKind};

use bytes::Bytes;

use super::frames::{FRAME_BYTES_MAX, Receiver, Sender, is_too_long};

/// The protocol of a link. The number is the version of what frames say; a node of another version is refused.
///
/// Under TLS it is agreed on by ALPN (RFC 7301). With and without TLS it is the first frame of both sides: of the node
/// that dials, so that a silent one does not become a link, then of the other one, so that the first one knows that its
/// certificate was accepted.
pub(super) const GOSSIP: &str = "doorward-gossip/1";

/// The protocol of a join request, which only exists under TLS: one frame with the request, and one with the answer.
pub(super) const JOIN: &str = "doorward-join/1";

/// The longest first frame, in bytes.
pub(super) const GREETING_BYTES_MAX: usize = 64;

pub(super) async fn send_greeting(sender: &mut Sender) -> io::Result<()> {
    sender.send(Bytes::from_static(GOSSIP.as_bytes())).await
}

/// The longest first frame of a link: a hello with as many names and origins as are taken. A peer that never sends one holds
/// no more memory than that.
const HELLO_BYTES_MAX: usize = 512 << 10;

/// Waits for the greeting of the other side. From then on it may send whole frames.
pub(super) async fn receive_greeting(receiver: &mut Receiver) -> io::Result<()> {
    let greeting = receiver.next().await.map_err(|error| {
        if is_too_long(&error) {
            let text = format!("it does not speak {GOSSIP}");
            io::Error::new(ErrorKind::InvalidData, text)
        } else {
            error
        }
    })?;
    let Some(greeting) = greeting else {
        let text = "it closed the connection without a greeting";
        return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
    };
    if greeting != GOSSIP {
        let greeting = greeting.escape_ascii();
        let text = format!("it speaks {greeting}, and this node speaks {GOSSIP}");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    receiver.allow(HELLO_BYTES_MAX, FRAME_BYTES_MAX);
    Ok(())
}
