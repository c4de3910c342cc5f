//! Connections that we open.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use rustls::client::danger::ServerCertVerifier;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http2::{
    ByteStream, CONNECTION_WINDOW_BYTES, GOSSIP_PATH, HEADERS_BYTES_MAX, JOIN_PATH,
    SEND_BUFFER_BYTES, SMALL_FRAMES_BYTES_MAX, STREAM_WINDOW_BYTES, error_of, over, read_body,
    timed_out,
};
use super::link::Link;
use super::security::{ChannelSecurity, Transport, stays_here};
use super::stream::{LinkEnd, link};
use super::tls;
use crate::revocation::NodeName;

/// How long a peer may take to answer on the network.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// How long the two may take to agree, from the first byte of TLS to the head of the answer.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer to a join request, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Transport {
    /// Opens a connection to the node at this address. The task that carries it ends with the link.
    pub(crate) async fn dial(&self, address: SocketAddr) -> io::Result<Link> {
        let security = self.security();
        if matches!(*security, ChannelSecurity::Plain) {
            stays_here(address)?;
        }
        let stream = connect(address).await?;
        let agreed = async {
            match &*security {
                ChannelSecurity::Plain => open(stream, "http", address, Vec::new()).await,
                ChannelSecurity::Encrypted(tls) => {
                    let (stream, names) = tls.connect(stream, address).await?;
                    open(stream, "https", address, names).await
                }
            }
        };
        agree(Box::pin(agreed)).await
    }
}

/// Asks the node at this address for a certificate, once it is verified; we show nothing. The question may depend on the
/// address that we have towards it.
pub(crate) async fn ask_to_join(
    address: SocketAddr,
    verifier: Arc<dyn ServerCertVerifier>,
    question: impl FnOnce(SocketAddr) -> Bytes,
) -> io::Result<(StatusCode, Bytes)> {
    let stream = connect(address).await?;
    let question = question(stream.local_addr()?);
    let agreed = async {
        let stream = tls::connect_as_stranger(stream, address, verifier).await?;
        ask(stream, address, question).await
    };
    agree(Box::pin(agreed)).await
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
pub(super) async fn open(
    carrier: impl ByteStream,
    scheme: &str,
    address: SocketAddr,
    names: Vec<NodeName>,
) -> io::Result<Link> {
    let mut wire = h2::client::Builder::new();
    wire.enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .data_frame_budget(SMALL_FRAMES_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
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
    let other = LinkEnd {
        names,
        remote: address,
        is_dialed: true,
    };
    let (link, running) = link(other, (outward, answer.into_body()), connection);
    tokio::spawn(running);
    Ok(link)
}

/// Asks one question.
async fn ask(
    carrier: impl ByteStream,
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
        let body = read_body(body, ANSWER_BYTES_MAX).await?;
        let body = body.ok_or_else(|| io::Error::other("its answer is too long"))?;
        Ok((head.status, body))
    };
    over(&mut connection, answered).await
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Context, Poll};

    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::fixtures::{TestNode, soon};

    async fn refusal(address: SocketAddr) -> io::Error {
        let transport = Transport::new(&Security::Loopback).unwrap();
        soon(transport.dial(address)).await.unwrap_err()
    }

    #[tokio::test]
    async fn where_nobody_listens_nobody_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(refusal(address).await.kind(), ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn who_takes_a_call_and_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = refusal(listener.local_addr().unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_does_not_know_the_gossip_is_no_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let answer = http::Response::builder().status(404).body(()).unwrap();
            respond.send_response(answer, true).unwrap();
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
        };
        let (error, ()) = tokio::join!(refusal(address), serving);
        let text = error.to_string();
        assert!(
            text.contains("it answers 404 Not Found to POST /doorward/gossip/1"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_leaves_nothing_behind() {
        let mut node = TestNode::open(&Security::Loopback).await;
        let transport = Transport::new(&Security::Loopback).unwrap();
        let mut call = Box::pin(transport.dial(node.address));
        let mut poll =
            |context: &mut Context<'_>| Poll::Ready(call.as_mut().poll(context).is_pending());
        while poll_fn(&mut poll).await && node.is_quiet() {
            tokio::task::yield_now().await;
        }
        drop(call);
        let mut link = node.link().await;
        assert!(!matches!(soon(link.receiver.next()).await, Ok(Some(_))));
    }
}
