//! Somebody who calls a node and says whatever the test wants.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::Request;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::patience::PATIENCE;

/// Where nodes exchange frames.
pub const GOSSIP: &str = "/doorward/gossip/1";

/// A connection to a node; dropping it closes it.
pub struct Rogue {
    runtime: Runtime,
    outward: SendStream<Bytes>,
    inward: Option<RecvStream>,
    unread: BytesMut,
    /// What the node answered to the call itself.
    pub status: u16,
}

impl Rogue {
    /// Calls this node, by this name, at this path.
    pub fn calls(
        address: SocketAddr,
        tls: ClientConfig,
        name: &'static str,
        path: &str,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let calling = call(address, tls, name, path);
        let called = runtime.block_on(async { timeout(PATIENCE, calling).await });
        let (outward, status, inward) = called.map_err(io::Error::other)??;
        Ok(Self {
            runtime,
            outward,
            inward: Some(inward),
            unread: BytesMut::new(),
            status,
        })
    }

    /// Sends a frame, behind its length.
    pub fn says(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap();
        self.says_raw(&[&length.to_be_bytes(), frame].concat());
    }

    /// Sends exactly these bytes.
    pub fn says_raw(&mut self, bytes: &[u8]) {
        let _inside = self.runtime.enter();
        drop(self.outward.send_data(Bytes::copy_from_slice(bytes), false)); // it may have hung up
    }

    /// The next frame; `None` when the node hangs up first.
    #[track_caller]
    pub fn hears(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            let inward = self.inward.as_mut()?;
            let next = async { timeout(PATIENCE, inward.data()).await };
            match self.runtime.block_on(next).expect("it is silent") {
                Some(Ok(bytes)) => {
                    drop(inward.flow_control().release_capacity(bytes.len()));
                    self.unread.extend_from_slice(&bytes);
                }
                Some(Err(_)) | None => self.inward = None,
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
    path: &str,
) -> io::Result<(SendStream<Bytes>, u16, RecvStream)> {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    let (client, connection) = h2::client::handshake(stream.await?)
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    let mut client = client.ready().await.map_err(io::Error::other)?;
    let uri = format!("https://node{path}");
    let request = Request::post(uri).body(()).map_err(io::Error::other)?;
    let (answer, outward) = client
        .send_request(request, false)
        .map_err(io::Error::other)?;
    let answer = answer.await.map_err(io::Error::other)?;
    let status = answer.status().as_u16();
    Ok((outward, status, answer.into_body()))
}
