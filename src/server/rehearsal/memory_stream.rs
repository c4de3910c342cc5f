//! The connection of a rehearsed request: its bytes are in memory, and what is written is thrown away.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which one request arrives.
#[derive(Debug)]
pub(super) struct MemoryStream {
    bytes: Vec<u8>,
    read: usize,
    is_encrypted: bool,
    /// Carries the state of the connection.
    digest: Arc<ProxyDigest>,
}

impl MemoryStream {
    /// A connection with these bytes, and with TLS or without.
    pub(super) fn new(bytes: Vec<u8>, is_encrypted: bool, digest: Arc<ProxyDigest>) -> Self {
        Self {
            bytes,
            read: 0,
            is_encrypted,
            digest,
        }
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let part = &rest[..rest.len().min(buffer.remaining())];
        buffer.put_slice(part);
        let length = part.len();
        self.read += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for MemoryStream {
    async fn shutdown(&mut self) {}
}

impl UniqueID for MemoryStream {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for MemoryStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        let digest = || SslDigest::new("rehearsed", "rehearsed", None, None, Vec::new());
        self.is_encrypted.then(|| Arc::new(digest()))
    }
}

impl GetTimingDigest for MemoryStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for MemoryStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for MemoryStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl Peek for MemoryStream {}
