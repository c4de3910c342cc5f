//! Connections that we open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::client::danger::ServerCertVerifier;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::errors::{closed, timed_out};
use super::frames::{ByteStream, halves, is_too_long};
use super::greeting::{GREETING_BYTES_MAX, receive_greeting, send_greeting};
use super::join_status::JoinStatus;
use super::link::Link;
use super::security::{ChannelSecurity, Transport, stays_here};
use super::tls;
use crate::revocation::NodeName;

/// How long a peer may take to answer on the network.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// How long the two may take to agree, from the first byte of TLS to the greeting or the answer of the other one.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer to a join request, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Transport {
    /// Opens a connection to the node at this address.
    pub(crate) async fn dial(&self, address: SocketAddr) -> io::Result<Link> {
        let security = self.security();
        if matches!(*security, ChannelSecurity::Plain) {
            stays_here(address)?;
        }
        let stream = connect(address).await?;
        let agreed = async {
            match &*security {
                ChannelSecurity::Plain => open(stream, address, Vec::new()).await,
                ChannelSecurity::Encrypted(tls) => {
                    let (stream, names) = tls.connect(stream, address).await?;
                    open(stream, address, names).await
                }
            }
        };
        agree(Box::pin(agreed)).await
    }
}

/// Asks the node at this address for a certificate, once it is verified. The question may depend on this machine's address
/// on the way to it.
pub(crate) async fn ask_to_join(
    address: SocketAddr,
    verifier: Arc<dyn ServerCertVerifier>,
    question: impl FnOnce(SocketAddr) -> Bytes,
) -> io::Result<(JoinStatus, Bytes)> {
    let stream = connect(address).await?;
    let question = question(stream.local_addr()?);
    let agreed = async {
        let stream = tls::connect_as_stranger(stream, address, verifier).await?;
        ask(stream, question).await
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

/// Asks for a link. Where sending fails, receiving says why: a node refuses a certificate behind the handshake.
pub(super) async fn open(
    stream: impl ByteStream,
    remote: SocketAddr,
    names: Vec<NodeName>,
) -> io::Result<Link> {
    let (mut sender, mut receiver) = halves(stream, GREETING_BYTES_MAX);
    let _ = send_greeting(&mut sender).await;
    receive_greeting(&mut receiver).await?;
    Ok(Link {
        names,
        remote,
        is_dialed: true,
        sender,
        receiver,
    })
}

/// The answer to a join request.
async fn ask(stream: impl ByteStream, question: Bytes) -> io::Result<(JoinStatus, Bytes)> {
    let (mut sender, mut receiver) = halves(stream, ANSWER_BYTES_MAX);
    let _ = sender.send(question).await; // where it fails, receiving says why
    let answer = receiver.next().await.map_err(|error| {
        if is_too_long(&error) {
            io::Error::other("its answer is too long")
        } else {
            error
        }
    })?;
    JoinStatus::parse(answer.ok_or_else(closed)?)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Context, Poll};

    use std::io::ErrorKind;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        for (answer, expected) in [
            (
                &b"\0\0\0\x11doorward-gossip/2"[..],
                "it speaks doorward-gossip/2, and this node speaks doorward-gossip/1",
            ),
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                "it does not speak doorward-gossip/1",
            ),
            (b"", "it closed the connection without a greeting"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serving = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            };
            let (error, ()) = tokio::join!(refusal(address), serving);
            assert_eq!(error.to_string(), expected);
        }
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
