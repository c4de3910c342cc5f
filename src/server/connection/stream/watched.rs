//! The watched stream: header blocks are bounded in bytes and in time, and slow readers are cut off.
//!
//! Pingora has a timeout for each read, so that one byte a minute keeps a connection for ever
//! (cloudflare/pingora#447), and gathers a header block of up to a megabyte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::tls::TlsRef;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::head::{HeadLimits, HeadScanner};
use super::lingering_close::LingeringClose;
use super::send_rate::SendRateLimit;
use super::stream_count::StreamCounter;
use crate::request::{ALLOWED, Refusal};
use crate::server::connection::limits::Limits;
use crate::server::connection::state::ConnectionState;
use crate::server::connection::unread::{UnreadRequest, UnreadRequests};
use crate::server::operator::metrics::Metrics;

/// A customer's connection, as Pingora reads and writes it.
#[derive(Debug)]
pub(crate) struct WatchedStream {
    stream: Stream,
    /// Carries the state of the connection.
    digest: Arc<ProxyDigest>,
    state: Arc<ConnectionState>,
    /// Whether it is HTTP/2, whose library bounds header blocks itself.
    http2: bool,
    limits: HeadLimits,
    header_timeout: Duration,
    /// Runs while a header block arrives.
    deadline: Pin<Box<Sleep>>,
    head: HeadScanner,
    streams: StreamCounter,
    /// Bytes that were peeked at, and are still to be read.
    peeked: BytesMut,
    /// The answer to a header block that was refused.
    closing: Option<LingeringClose>,
    send_rate: SendRateLimit,
    /// Runs while the customer reads nothing.
    stall: Pin<Box<Sleep>>,
    counted: bool,
    metrics: Arc<Metrics>,
    unread: UnreadRequests,
}

impl WatchedStream {
    /// Watches a fresh connection.
    pub(crate) fn new(
        stream: Stream,
        digest: Arc<ProxyDigest>,
        limits: &Limits,
        (metrics, unread): (Arc<Metrics>, UnreadRequests),
    ) -> Option<Self> {
        let state = Arc::clone(ConnectionState::in_digest(&digest)?);
        state.note_opened();
        Some(Self {
            http2: stream.selected_alpn_proto() == Some(ALPN::H2),
            stream,
            state,
            digest,
            limits: HeadLimits {
                header_bytes: limits.header_bytes,
                target_bytes: limits.target_bytes,
            },
            header_timeout: limits.header_timeout,
            deadline: Box::pin(sleep(limits.header_timeout)),
            head: HeadScanner::default(),
            streams: StreamCounter::default(),
            peeked: BytesMut::new(),
            closing: None,
            send_rate: SendRateLimit::new(limits.send_rate_min, limits.body_timeout),
            stall: Box::pin(sleep(Duration::ZERO)),
            counted: false,
            metrics,
            unread,
        })
    }

    /// Examines bytes that have arrived.
    fn examine(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.state.begin_head() {
            self.head = HeadScanner::default();
            self.counted = false;
            self.send_rate.reset();
            self.deadline
                .as_mut()
                .reset(Instant::now() + self.header_timeout);
        }
        if self.http2 {
            self.streams.feed(bytes);
        } else if self.state.awaits_head() {
            self.head.feed(bytes, self.limits)?;
        }
        Ok(())
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.state.awaits_head() && self.deadline.as_mut().poll(context).is_ready()
    }

    /// Answers, discards what still arrives so that the answer is not lost, and ends the connection.
    fn poll_refuse(&mut self, refusal: Refusal, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closing = self.closing.get_or_insert_with(|| {
            if !self.counted {
                self.counted = true;
                self.metrics.note_unread(refusal);
            }
            let request = UnreadRequest {
                is_encrypted: self.stream.get_ssl_digest().is_some(),
                protocol: "HTTP/1.1",
                status: Some(refusal.status().as_u16()),
                ..UnreadRequest::default()
            };
            let id = self.unread.note(self.state.peer(), refusal, request);
            LingeringClose::answering(refusal, &id)
        });
        ready!(closing.poll(&mut self.stream, context));
        Poll::Ready(Ok(())) // to Pingora this is the end of the stream
    }

    /// Ends the connection of a customer who reads too little for too long.
    fn limit_send_rate(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        match written {
            Poll::Ready(Ok(bytes)) => self.send_rate.note_sent(bytes, now),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let Some(end) = self.send_rate.deadline(now) else {
                    return Poll::Pending;
                };
                if self.stall.deadline() != end {
                    self.stall.as_mut().reset(end);
                }
                if self.stall.as_mut().poll(context).is_ready() {
                    self.metrics.note_limit("send_rate_min");
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }

    /// An answer that Pingora writes before a hook saw the request is its own refusal: it is counted by its status and
    /// replaced by ours. Pingora's has no `Date` and names Pingora.
    fn refusal_in(&mut self, bytes: &[u8]) -> Option<Refusal> {
        if let Some(closing) = &self.closing {
            return Some(closing.refusal());
        }
        if self.http2 || !self.state.awaits_head() {
            return None;
        }
        let code = bytes.get(9..12).and_then(|code| str::from_utf8(code).ok());
        let code = code.and_then(|code| code.parse().ok()).unwrap_or(400);
        self.counted = true;
        self.metrics.note_malformed(code);
        Some(match code {
            405 => Refusal::MethodNotAllowed { allow: ALLOWED },
            _ => Refusal::Malformed,
        })
    }
}

/// Streams that were opened and never served were refused by the library, or cancelled by the client.
impl Drop for WatchedStream {
    fn drop(&mut self) {
        let unserved = self.streams.opened().saturating_sub(self.state.served());
        self.metrics.note_unserved(unserved);
        if unserved > 0 {
            let request = UnreadRequest {
                is_encrypted: self.stream.get_ssl_digest().is_some(),
                protocol: "HTTP/2.0",
                error: Some(format!("streams without a request: {unserved}")),
                ..UnreadRequest::default()
            };
            self.unread
                .note(self.state.peer(), Refusal::Malformed, request);
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.peeked.is_empty() {
            let length = buffer.remaining().min(this.peeked.len());
            buffer.put_slice(&this.peeked[..length]);
            this.peeked.advance(length);
            return Poll::Ready(Ok(()));
        }
        if let Some(closing) = &this.closing {
            return this.poll_refuse(closing.refusal(), context);
        }
        if this.is_late(context) {
            if this.http2 || !this.head.has_begun() {
                return Poll::Ready(Ok(())); // there is no request to answer
            }
            return this.poll_refuse(Refusal::HeadTimeout, context);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let noted = match buffer.filled().get(before..) {
            None | Some([]) => Ok(()),
            Some(bytes) => this.examine(bytes),
        };
        match noted {
            Ok(()) => Poll::Ready(Ok(())),
            Err(refusal) => {
                buffer.set_filled(before);
                this.poll_refuse(refusal, context)
            }
        }
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(refusal) = self.refusal_in(bytes) {
            ready!(self.poll_refuse(refusal, context))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit_send_rate(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        let flushed = self.limit_send_rate(flushed.map_ok(|()| 0), context);
        flushed.map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |first| first);
        if let Some(refusal) = self.refusal_in(first) {
            ready!(self.poll_refuse(refusal, context))?;
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limit_send_rate(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Pingora peeks to learn whether a plain connection is HTTP/2.
#[async_trait]
impl Peek for WatchedStream {
    /// Reads until the bytes differ from the preface; Pingora's own would wait for 24 of them, and a short
    /// request of HTTP/1 has fewer.
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let mut seen = BytesMut::with_capacity(buffer.len());
        while seen.len() < buffer.len() && PREFACE.starts_with(&seen) {
            if self.read_buf(&mut seen).await? == 0 {
                break;
            }
        }
        let length = seen.len().min(buffer.len());
        buffer[..length].copy_from_slice(&seen[..length]);
        self.http2 = buffer == PREFACE;
        if self.http2 {
            self.streams.feed(&seen);
        }
        self.peeked = seen;
        Ok(true)
    }
}

#[async_trait]
impl Shutdown for WatchedStream {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for WatchedStream {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for WatchedStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for WatchedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for WatchedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for WatchedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}
