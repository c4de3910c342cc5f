//! The connection of a request that may become a WebSocket: its answer is not read before all of it was sent.
//!
//! Pingora takes the end of the request's empty body for the end of the WebSocket if it sees the shop's 101 first
//! (cloudflare/pingora#946). It looks for both at once and in any order, so with a shop that answers before that look about
//! one WebSocket in five hundred is lost. Here the first read of an answer finds nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{ErrorType, OkOrErr, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connects to a server for such a request.
#[derive(Debug)]
pub(super) struct Handshake;

#[async_trait]
impl L4Connect for Handshake {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let address = address
            .as_inet()
            .or_err(ErrorType::InternalError, "not an address of IP")?;
        let socket = TcpStream::connect(address).await;
        let socket = socket.or_err(ErrorType::ConnectError, "for a WebSocket")?;
        let socket = Box::new(WriteFirst {
            socket,
            has_written: false,
        });
        Ok(VirtualSocketStream::new(socket).into())
    }
}

/// A socket whose first read after a write finds nothing.
#[derive(Debug)]
struct WriteFirst {
    socket: TcpStream,
    has_written: bool,
}

impl AsyncRead for WriteFirst {
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

impl AsyncWrite for WriteFirst {
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

impl VirtualSocket for WriteFirst {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        if matches!(option, VirtualSockOpt::NoDelay) {
            return self.socket.set_nodelay(true);
        }
        Ok(())
    }
}
