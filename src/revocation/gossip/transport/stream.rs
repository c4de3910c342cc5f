//! The connection behind a link: one stream of HTTP/2 in both directions (RFC 9113).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::Link;
use super::frames::{self, Buffers, Sending};
use crate::revocation::gossip::settings::NodeName;

/// How long a connection may take to end after its link was dropped: what was sent is still delivered.
const FAREWELL: Duration = Duration::from_secs(5);

/// What carries frames between two machines.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Carrier for T {}

/// A connection of HTTP/2: nothing moves unless it is polled.
pub(super) trait Connection {
    /// Moves what can be moved. Ready when it is over.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends it as soon as its streams have.
    fn end(&mut self);
}

impl<T: Carrier> Connection for h2::client::Connection<T, Bytes> {
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll(context).map_err(error_of)
    }

    /// A client's connection ends by itself when nobody holds anything of it.
    fn end(&mut self) {}
}

impl<T: Carrier> Connection for h2::server::Connection<T, Bytes> {
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_closed(context).map_err(error_of)
    }

    fn end(&mut self) {
        self.graceful_shutdown();
    }
}

/// Who is at the other end.
pub(super) struct Other {
    pub(super) names: Vec<NodeName>,
    pub(super) remote: SocketAddr,
    pub(super) is_dialed: bool,
}

/// A link over this connection. The future must run for as long as there is a link, and ends a while after it.
pub(super) fn link(
    other: Other,
    streams: (SendStream<Bytes>, RecvStream),
    mut connection: impl Connection + Send + 'static,
) -> (Link, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver, buffers) = frames::halves();
    let link = Link {
        names: other.names,
        remote: other.remote,
        is_dialed: other.is_dialed,
        sender,
        receiver,
    };
    let mut exchange = Exchange {
        buffers,
        streams: Some(streams),
        has_ended: false,
        has_finished: false,
        farewell: None,
    };
    let carried = async move {
        poll_fn(|context| exchange.poll(&mut connection, context)).await;
    };
    (link, carried)
}

/// Waits for something that the connection must bring.
pub(super) async fn over<T>(
    connection: &mut impl Connection,
    awaited: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased; // the connection knows better why nothing comes
        closed = poll_fn(|context| connection.poll_over(context)) => {
            closed?;
            Err(io::Error::new(ErrorKind::UnexpectedEof, "the peer closed the connection"))
        }
        awaited = awaited => awaited,
    }
}

/// What a connection and the halves of its link exchange.
struct Exchange {
    buffers: Arc<Buffers>,
    /// Given back when nobody needs them any more.
    streams: Option<(SendStream<Bytes>, RecvStream)>,
    /// The peer sends nothing more.
    has_ended: bool,
    /// We said that we send nothing more.
    has_finished: bool,
    /// Runs once the link is gone.
    farewell: Option<Pin<Box<Sleep>>>,
}

impl Exchange {
    /// Ready when the connection is over, or its link has been gone for long enough.
    fn poll(&mut self, connection: &mut impl Connection, context: &mut Context<'_>) -> Poll<()> {
        self.buffers.watch(context);
        self.push(context);
        self.credit();
        let over = connection.poll_over(context);
        self.pull(context);
        if let Poll::Ready(over) = over {
            let closed = || io::Error::new(ErrorKind::ConnectionAborted, "the connection is over");
            self.buffers.fail(&over.err().unwrap_or_else(closed));
            return Poll::Ready(());
        }
        if self.buffers.is_abandoned() {
            return self.poll_farewell(connection, context);
        }
        Poll::Pending
    }

    /// Hands over as much of what waits to be sent as the peer has room for.
    fn push(&mut self, context: &mut Context<'_>) {
        let Some((outward, _)) = &mut self.streams else {
            return;
        };
        while let waiting @ 1.. = self.buffers.waiting() {
            outward.reserve_capacity(waiting);
            let room = outward.capacity();
            if room == 0 {
                match outward.poll_capacity(context) {
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(Some(Err(error))) => self.buffers.break_off(&error_of(error)),
                    Poll::Ready(None) => self.buffers.break_off(&takes_nothing()),
                    Poll::Pending => {}
                }
                return;
            }
            if let Err(error) = outward.send_data(self.buffers.take(room), false) {
                self.buffers.break_off(&error_of(error));
                return;
            }
        }
        if self.buffers.sending() == Sending::Finished && !self.has_finished {
            self.has_finished = true;
            let _ = outward.send_data(Bytes::new(), true); // it may be over already
        }
    }

    /// Tells the peer how much was read.
    fn credit(&mut self) {
        if let Some((_, inward)) = &mut self.streams {
            let credit = self.buffers.take_credit();
            if credit > 0 {
                let _ = inward.flow_control().release_capacity(credit); // it may be over already
            }
        }
    }

    /// Takes everything that came: h2 keeps it frame by frame, the buffers byte by byte.
    fn pull(&mut self, context: &mut Context<'_>) {
        let Some((_, inward)) = &mut self.streams else {
            return;
        };
        while !self.has_ended
            && let Poll::Ready(item) = inward.poll_data(context)
        {
            match item {
                Some(Ok(bytes)) => self.buffers.add(&bytes),
                Some(Err(error)) => {
                    self.buffers.fail(&error_of(error));
                    self.has_ended = true;
                }
                None => {
                    self.buffers.end();
                    self.has_ended = true;
                }
            }
        }
    }

    /// Delivers what was finished, then lets the connection end; for a while only, for the peer may not read.
    fn poll_farewell(
        &mut self,
        connection: &mut impl Connection,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let farewell = self
            .farewell
            .get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
        if farewell.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let is_delivered = self.has_finished || self.buffers.sending() == Sending::Dropped;
        if is_delivered && self.streams.take().is_some() {
            connection.end();
            return connection.poll_over(context).map(drop);
        }
        Poll::Pending
    }
}

fn takes_nothing() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the peer takes nothing more")
}

/// What went wrong, in the words of an operator.
pub(super) fn error_of(error: h2::Error) -> io::Error {
    if let Some(io) = error.get_io() {
        return io::Error::new(io.kind(), super::tls::explained(io));
    }
    let kind = if error.is_remote() {
        ErrorKind::ConnectionReset
    } else {
        ErrorKind::InvalidData
    };
    io::Error::new(kind, error)
}
