//! Connections that we open.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, Uri};
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::{Carrier, Other, error_of, link, over};
use super::{
    CONNECTION_WINDOW_BYTES, GOSSIP_PATH, HEADERS_BYTES_MAX, JOIN_PATH, Link, STREAM_WINDOW_BYTES,
    Speech, Transport, stays_here, timed_out, tls,
};
use crate::revocation::gossip::settings::NodeName;

/// How long a peer may take to answer on the network.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// How long the two may take to agree, from the first byte of TLS to the head of the answer.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer to somebody who asked to join, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Transport {
    /// Opens a connection to the node at this address. The task that carries it ends with the link.
    pub(in crate::revocation::gossip) async fn dial(
        &self,
        address: SocketAddr,
    ) -> io::Result<Link> {
        let speech = self.0.load_full();
        if matches!(*speech, Speech::Plain) {
            stays_here(address)?;
        }
        let stream = connect(address).await?;
        let agreed = async {
            match &*speech {
                Speech::Plain => open(stream, "http", address, Vec::new()).await,
                Speech::Encrypted(tls) => {
                    let (stream, names) = tls.connect(stream, address).await?;
                    open(stream, "https", address, names).await
                }
            }
        };
        agree(agreed).await
    }
}

/// Asks the node at this address for a certificate. The node must be one of these authorities; we show nothing.
pub(in crate::revocation::gossip) async fn ask_to_join(
    address: SocketAddr,
    authorities: Arc<RootCertStore>,
    question: Bytes,
) -> io::Result<(StatusCode, Bytes)> {
    let stream = connect(address).await?;
    agree(async {
        let stream = tls::connect_unknown(stream, address, authorities).await?;
        ask(stream, address, question).await
    })
    .await
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| timed_out("it does not answer"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn agree<T>(agreed: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let agreed = timeout(HANDSHAKE_PATIENCE, agreed).await;
    agreed.map_err(|_| timed_out("it took the connection and says nothing"))?
}

/// Asks for an exchange of frames.
async fn open(
    carrier: impl Carrier,
    scheme: &str,
    address: SocketAddr,
    names: Vec<NodeName>,
) -> io::Result<Link> {
    let mut wire = h2::client::Builder::new();
    wire.enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX);
    let (requests, mut connection) = wire.handshake(carrier).await.map_err(error_of)?;
    let request = post(scheme, address, GOSSIP_PATH)?;
    let exchanged = async {
        let mut requests = requests.ready().await.map_err(error_of)?;
        let (answer, outward) = requests.send_request(request, false).map_err(error_of)?;
        Ok((answer.await.map_err(error_of)?, outward))
    };
    let (answer, outward) = over(&mut connection, exchanged).await?;
    if answer.status() != StatusCode::OK {
        let text = format!("it answers {} to POST {GOSSIP_PATH}", answer.status());
        return Err(io::Error::new(ErrorKind::PermissionDenied, text));
    }
    let other = Other {
        names,
        remote: address,
        is_dialed: true,
    };
    let (link, carried) = link(other, (outward, answer.into_body()), connection);
    tokio::spawn(carried);
    Ok(link)
}

/// Asks one question.
async fn ask(
    carrier: impl Carrier,
    address: SocketAddr,
    question: Bytes,
) -> io::Result<(StatusCode, Bytes)> {
    let (requests, mut connection) = h2::client::handshake(carrier).await.map_err(error_of)?;
    let request = post("https", address, JOIN_PATH)?;
    let answered = async {
        let mut requests = requests.ready().await.map_err(error_of)?;
        let (answer, mut outward) = requests.send_request(request, false).map_err(error_of)?;
        outward.send_data(question, true).map_err(error_of)?;
        let (head, body) = answer.await.map_err(error_of)?.into_parts();
        let body = read(body, ANSWER_BYTES_MAX).await?;
        let body = body.ok_or_else(|| io::Error::other("its answer is too long"))?;
        Ok((head.status, body))
    };
    over(&mut connection, answered).await
}

/// A whole body; `None` when it is longer than that.
pub(super) async fn read(mut body: h2::RecvStream, most: usize) -> io::Result<Option<Bytes>> {
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

fn post(scheme: &str, address: SocketAddr, path: &str) -> io::Result<Request<()>> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(address.to_string())
        .path_and_query(path)
        .build();
    let request = uri.and_then(|uri| Request::builder().method(Method::POST).uri(uri).body(()));
    request.map_err(io::Error::other)
}
