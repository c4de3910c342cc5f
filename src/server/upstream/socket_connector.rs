//! Connections that are opened in another way than Pingora's own: with a PROXY header, or for a WebSocket.
//!
//! Pingora takes the end of the request's empty body for the end of the WebSocket if it sees the shop's 101 first
//! (cloudflare/pingora#946). It looks for both at once and in any order, so with a shop that answers before that look about
//! one WebSocket in five hundred is lost. Here the first read of an answer finds nothing.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{ErrorType, OkOrErr, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Connects to a server.
#[derive(Debug)]
pub(super) struct SocketConnector {
    /// What every connection begins with, before TLS.
    pub(super) header: Vec<u8>,
    /// Whether the connection is for a request that may become a WebSocket.
    pub(super) is_handshake: bool,
}

#[async_trait]
impl L4Connect for SocketConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        match address {
            SocketAddr::Inet(address) => {
                let socket = TcpStream::connect(address).await;
                let socket = socket.or_err(ErrorType::ConnectError, "on the network")?;
                self.begin(socket).await
            }
            SocketAddr::Unix(address) => {
                let path = address.as_pathname();
                let path = path.or_err(ErrorType::InternalError, "a unix socket without a path")?;
                let socket = UnixStream::connect(path).await;
                let socket = socket.or_err(ErrorType::ConnectError, "on a unix socket")?;
                self.begin(socket).await
            }
        }
    }
}

impl SocketConnector {
    async fn begin<S: UpstreamSocket>(&self, mut socket: S) -> Result<Stream>
    where
        Stream: From<S>,
    {
        let written = socket.write_all(&self.header).await;
        written.or_err(ErrorType::ConnectError, "while sending the PROXY header")?;
        if !self.is_handshake {
            return Ok(socket.into());
        }
        let socket = Box::new(WriteFirst {
            socket,
            has_written: false,
        });
        Ok(VirtualSocketStream::new(socket).into())
    }
}

/// A socket of the operating system.
trait UpstreamSocket: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug + 'static {
    /// Sends small packets at once.
    fn send_at_once(&self) -> io::Result<()>;
}

impl UpstreamSocket for TcpStream {
    fn send_at_once(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

impl UpstreamSocket for UnixStream {
    fn send_at_once(&self) -> io::Result<()> {
        Ok(()) // it always does
    }
}

/// A socket whose first read after a write finds nothing.
#[derive(Debug)]
struct WriteFirst<S> {
    socket: S,
    has_written: bool,
}

impl<S: UpstreamSocket> AsyncRead for WriteFirst<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.has_written) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: UpstreamSocket> AsyncWrite for WriteFirst<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl<S: UpstreamSocket> VirtualSocket for WriteFirst<S> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        if matches!(option, VirtualSockOpt::NoDelay) {
            return self.socket.send_at_once();
        }
        Ok(())
    }
}
