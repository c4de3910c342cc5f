//! HTTP/2 between nodes (RFC 9113): its limits, and a connection of it as a task drives it.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::tls::explained;

/// Where frames are exchanged; the number is the version of what they say.
pub(super) const GOSSIP_PATH: &str = "/doorward/gossip/1";

/// The endpoint of join requests.
pub(super) const JOIN_PATH: &str = "/doorward/join";

/// What a node may send before it hears that it was read: of one stream, and of the connection.
pub(super) const STREAM_WINDOW_BYTES: u32 = 4 << 20;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// How much h2 may keep of a node's small DATA frames, counted as a quarter of a KiB each. Our own travel together, and
/// what came is taken out at every turn; but when we stood still, one turn brings all that the socket kept: more than
/// the half of a window at which h2 ends a connection by itself.
pub(super) const SMALL_FRAMES_BYTES_MAX: usize = 64 << 20;

/// What h2 keeps of what is to be sent. More waits before it, where it has no frames yet.
pub(super) const SEND_BUFFER_BYTES: usize = 64 << 10;

/// No node sends more headers than this.
pub(super) const HEADERS_BYTES_MAX: u32 = 8 << 10;

/// What carries frames between two machines.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for T {}

/// A connection of HTTP/2: nothing moves unless it is polled.
pub(super) trait Http2Connection {
    /// Moves what can be moved. Ready when it is over.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends it as soon as its streams have.
    fn end(&mut self);
}

impl<T: ByteStream> Http2Connection for h2::client::Connection<T, Bytes> {
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll(context).map_err(error_of)
    }

    /// A client's connection ends by itself when its streams are dropped.
    fn end(&mut self) {}
}

impl<T: ByteStream> Http2Connection for h2::server::Connection<T, Bytes> {
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_closed(context).map_err(error_of)
    }

    fn end(&mut self) {
        self.graceful_shutdown();
    }
}

/// Waits for something that the connection must bring.
pub(super) async fn over<T>(
    connection: &mut impl Http2Connection,
    awaited: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut awaited = pin!(awaited);
    poll_fn(|context| {
        let over = connection.poll_over(context);
        match (awaited.as_mut().poll(context), over) {
            (Poll::Ready(Ok(brought)), _) => Poll::Ready(Ok(brought)),
            (_, Poll::Ready(Err(error)))
            | (Poll::Ready(Err(error)), Poll::Pending | Poll::Ready(Ok(()))) => {
                Poll::Ready(Err(error)) // the connection knows best why nothing comes
            }
            (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(closed())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// A whole body; `None` when it is longer than that.
pub(super) async fn read_body(mut body: h2::RecvStream, most: usize) -> io::Result<Option<Bytes>> {
    let mut whole = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(error_of)?;
        if whole.len() + part.len() > most {
            return Ok(None);
        }
        let credit = body.flow_control().release_capacity(part.len());
        credit.map_err(error_of)?;
        whole.extend_from_slice(&part);
    }
    Ok(Some(whole.freeze()))
}

pub(super) fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the peer closed the connection")
}

pub(super) fn timed_out(what: &str) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, what)
}

/// What went wrong, in the words of an operator. What the peer says of it beside the reason is not repeated.
pub(super) fn error_of(error: h2::Error) -> io::Error {
    if let Some(io) = error.get_io() {
        return io::Error::new(io.kind(), explained(io));
    }
    match error.reason() {
        Some(reason) if error.is_remote() => {
            let text = format!("the peer ended the connection: {reason}");
            io::Error::new(ErrorKind::ConnectionReset, text)
        }
        Some(_) | None => io::Error::new(ErrorKind::InvalidData, error),
    }
}
