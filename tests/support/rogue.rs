//! A client of a node that says whatever the test wants.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::patience::PATIENCE;

/// The protocol in which nodes exchange frames: agreed on by ALPN, and the first frame of both sides.
pub const GOSSIP: &str = "doorward-gossip/1";

/// A connection to a node; dropping it closes it.
pub struct Rogue {
    runtime: Runtime,
    /// `None` once the node has closed it.
    stream: Option<TlsStream<TcpStream>>,
    unread: BytesMut,
}

impl Rogue {
    /// Connects to this node, by this name, in this protocol, and waits until the node accepts.
    pub fn calls(
        address: SocketAddr,
        tls: ClientConfig,
        name: &'static str,
        protocol: &str,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let calling = call(address, tls, name, protocol);
        let called = runtime.block_on(async { timeout(PATIENCE, calling).await });
        let mut rogue = Self {
            stream: Some(called.map_err(io::Error::other)??),
            runtime,
            unread: BytesMut::new(),
        };
        rogue.says(protocol.as_bytes());
        match rogue.hears() {
            Some(greeting) if greeting == protocol => Ok(rogue),
            Some(other) => Err(io::Error::other(format!("it greets with {other:?}"))),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sends a frame, behind its length.
    pub fn says(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap();
        self.says_raw(&[&length.to_be_bytes(), frame].concat());
    }

    /// Sends exactly these bytes.
    #[track_caller]
    pub fn says_raw(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            let sending = async {
                stream.write_all(bytes).await?;
                stream.flush().await
            };
            let sent = async { timeout(PATIENCE, sending).await };
            let sent = self.runtime.block_on(sent).expect("it reads nothing");
            drop(sent); // it may have hung up
        }
    }

    /// The next frame; `None` when the node hangs up first.
    #[track_caller]
    pub fn hears(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            let stream = self.stream.as_mut()?;
            let next = stream.read_buf(&mut self.unread);
            let next = async { timeout(PATIENCE, next).await };
            match self.runtime.block_on(next).expect("it is silent") {
                Ok(1..) => {}
                Ok(0) | Err(_) => self.stream = None,
            }
        }
    }

    /// Waits until the node hangs up.
    #[track_caller]
    pub fn is_hung_up_on(&mut self) {
        while self.hears().is_some() {}
    }

    fn take_frame(&mut self) -> Option<Bytes> {
        let prefix = self.unread.first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap();
        if self.unread.len() < 4 + length {
            return None;
        }
        self.unread.advance(4);
        Some(self.unread.split_to(length).freeze())
    }
}

async fn call(
    address: SocketAddr,
    mut tls: ClientConfig,
    name: &'static str,
    protocol: &str,
) -> io::Result<TlsStream<TcpStream>> {
    tls.alpn_protocols = vec![protocol.into()];
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(tls))
        .connect(name, stream)
        .await
}
