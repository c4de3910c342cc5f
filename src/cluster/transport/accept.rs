//! Connections that come to us.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use log::warn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::errors::timed_out;
use super::frames::{ByteStream, halves, is_too_long};
use super::greeting::{GREETING_BYTES_MAX, receive_greeting, send_greeting};
use super::handshake_limiter::{HandshakeLimiter, HandshakePermit};
use super::join_status::JoinStatus;
use super::link::Link;
use super::security::{ChannelSecurity, Transport, stays_here};
use super::tls::Client;
use crate::revocation::NodeName;

/// How long a handshake, or the answer to a join request, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest join request, in bytes.
pub(crate) const QUESTION_BYTES_MAX: usize = 16 << 10;

/// How many of them are answered at once.
const QUESTIONS: usize = 4;

/// How long the listener rests when the system gives it no connection.
const REST: Duration = Duration::from_millis(100);

/// Answers a join request from this address with these bytes. It may block.
pub(crate) type EnrolmentHandler =
    Arc<dyn Fn(SocketAddr, &[u8]) -> (JoinStatus, Vec<u8>) + Send + Sync>;

/// A connection that came in, and whether it became a link.
#[derive(Debug)]
pub(crate) struct IncomingLink {
    /// Where from.
    pub(crate) remote: SocketAddr,
    /// The link, or why there is none. When there are many errors, some are left out.
    pub(crate) link: io::Result<Link>,
}

/// Where connections are received.
struct LinkAcceptor {
    transport: Arc<Transport>,
    arrivals: mpsc::Sender<IncomingLink>,
    joins: EnrolmentHandler,
    questions: Arc<Semaphore>,
    limiter: Arc<HandshakeLimiter>,
}

impl Transport {
    /// Receives connections, each in its own task, for as long as links are taken.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        arrivals: mpsc::Sender<IncomingLink>,
        joins: EnrolmentHandler,
    ) {
        let acceptor = Arc::new(LinkAcceptor {
            transport: self,
            arrivals,
            joins,
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            limiter: Arc::default(),
        });
        let mut is_warned = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = acceptor.arrivals.closed() => return,
            };
            match accepted {
                Ok((stream, remote)) => {
                    is_warned = false;
                    let place = acceptor.limiter.admit_handshake(remote.ip());
                    tokio::spawn(Arc::clone(&acceptor).receive(stream, remote, place));
                }
                Err(why) => {
                    if !mem::replace(&mut is_warned, true) {
                        warn!(why:%; "cluster connections can't be accepted");
                    }
                    sleep(REST).await;
                }
            }
        }
    }
}

impl LinkAcceptor {
    /// One connection, from its first byte to its last.
    async fn receive(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        mut place: HandshakePermit,
    ) {
        let greeted = tokio::select! {
            greeted = timeout(PATIENCE, self.identify(stream, remote)) => {
                greeted.unwrap_or_else(|_| Err(timed_out("it did not identify itself in time")))
            }
            () = place.lost() => Err(timed_out("it did not identify itself, and others waited")),
        };
        if let Err(error) = greeted {
            self.report(remote, error);
        }
    }

    /// Reports why a connection did not become a link. Half of the queue is reserved for links.
    fn report(&self, remote: SocketAddr, error: io::Error) {
        if self.arrivals.capacity() > self.arrivals.max_capacity() / 2 {
            let link = Err(error);
            let _ = self.arrivals.try_send(IncomingLink { remote, link });
        }
    }

    /// Finds out what the client is, and does what it asks for.
    async fn identify(&self, stream: TcpStream, remote: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let security = self.transport.security();
        match &*security {
            ChannelSecurity::Plain => {
                stays_here(remote)?;
                self.link(stream, remote, Vec::new()).await
            }
            ChannelSecurity::Encrypted(tls) => match tls.accept(stream).await? {
                (stream, Client::Joining) => self.answer(stream, remote).await,
                (_, Client::Peer(names)) if names.is_empty() => {
                    let text = "it shows no certificate";
                    Err(io::Error::new(ErrorKind::PermissionDenied, text))
                }
                (stream, Client::Peer(names)) => self.link(stream, remote, names).await,
            },
        }
    }

    /// Hands the link over to the cluster.
    async fn link(
        &self,
        stream: impl ByteStream,
        remote: SocketAddr,
        names: Vec<NodeName>,
    ) -> io::Result<()> {
        let (mut sender, mut receiver) = halves(stream, GREETING_BYTES_MAX);
        if let Err(error) = receive_greeting(&mut receiver).await {
            let _ = send_greeting(&mut sender).await; // so that the other side can say what it expected
            sender.finish();
            return Err(error);
        }
        let place = self.arrivals.reserve().await;
        let place = place.map_err(|_| timed_out("we are closing"))?;
        send_greeting(&mut sender).await?;
        let link = Link {
            names,
            remote,
            is_dialed: false,
            sender,
            receiver,
        };
        place.send(IncomingLink {
            remote,
            link: Ok(link),
        });
        Ok(())
    }

    /// Answers a join request, and waits until the answer was taken, or the client has left.
    async fn answer(&self, stream: impl ByteStream, remote: SocketAddr) -> io::Result<()> {
        let (mut sender, mut receiver) = halves(stream, QUESTION_BYTES_MAX);
        let (status, body) = match receiver.next().await {
            Ok(Some(question)) => self.question(remote, question).await,
            Ok(None) => {
                let text = "it asked for nothing";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
            }
            Err(error) if is_too_long(&error) => (JoinStatus::TooLong, Vec::new()),
            Err(error) => return Err(error),
        };
        drop(receiver);
        sender.send(status.answer(&body)).await?;
        sender.close().await;
        Ok(())
    }

    /// What a join request is answered.
    async fn question(&self, remote: SocketAddr, question: Bytes) -> (JoinStatus, Vec<u8>) {
        let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else {
            return (JoinStatus::Busy, Vec::new());
        };
        let joins = Arc::clone(&self.joins);
        let answered = spawn_blocking(move || {
            let _place = place; // until it is answered, even if the client has gone
            joins(remote, &question)
        });
        let answered = answered.await;
        answered.unwrap_or((JoinStatus::Failed, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use parking_lot::Mutex;
    use rustls::ClientConfig;
    use rustls::crypto::ring;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinSet;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::ask_to_join;
    use crate::cluster::transport::certificate_verifier::{CertificateRules, CertificateVerifier};
    use crate::cluster::transport::fixtures::{TestAuthority, TestNode, soon};
    use crate::cluster::transport::greeting::{GOSSIP, JOIN};

    /// A connection to a node in this protocol, with or without a certificate of the node's authority.
    async fn encrypted(
        authority: &TestAuthority,
        node: &TestNode,
        name: Option<&str>,
        protocol: &str,
    ) -> TlsStream<TcpStream> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(authority.store());
        let mut config = match name {
            None => config.with_no_client_auth(),
            Some(name) => {
                let certificate = authority.issue(&[name]);
                config
                    .with_client_auth_cert(certificate.chain, certificate.key)
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.into()];
        let stream = TcpStream::connect(node.address).await.unwrap();
        let host = ServerName::try_from("a").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(host, stream).await.unwrap()
    }

    /// What a node answers to this first frame.
    async fn answer_to(stream: impl ByteStream, first: &str) -> io::Result<Option<Bytes>> {
        let (mut sender, mut receiver) = halves(stream, GREETING_BYTES_MAX);
        let _ = sender.send(first.to_owned().into()).await;
        soon(receiver.next()).await
    }

    #[tokio::test]
    async fn who_shows_no_certificate_is_no_peer() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let stream = encrypted(&authority, &node, None, GOSSIP).await;
        let answer = answer_to(stream, GOSSIP).await;
        assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
        assert_eq!(node.refusal().await, "it shows no certificate");
        let stream = encrypted(&authority, &node, Some("b"), GOSSIP).await;
        assert_eq!(answer_to(stream, GOSSIP).await.unwrap().unwrap(), GOSSIP);
        assert_eq!(node.link().await.names[0].as_str(), "b");
    }

    #[tokio::test]
    async fn nothing_else_is_here() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let mut clear = TestNode::open(&Security::Loopback).await;
        for greeting in [
            "",
            "/",
            "doorward-gossip/2",
            "doorward-gossip/1/",
            "doorward-gossip/10",
            "doorward-gossip",
            "Doorward-Gossip/1",
            JOIN,
        ] {
            let stream = encrypted(&authority, &node, Some("b"), GOSSIP).await;
            let answer = answer_to(stream, greeting).await.unwrap();
            assert_eq!(answer.unwrap(), GOSSIP, "{greeting}");
            let stream = TcpStream::connect(clear.address).await.unwrap();
            let answer = answer_to(stream, greeting).await.unwrap();
            assert_eq!(answer.unwrap(), GOSSIP, "{greeting}");
            let why = format!("it speaks {greeting}, and this node speaks doorward-gossip/1");
            assert_eq!(node.refusal().await, why);
            assert_eq!(clear.refusal().await, why);
        }
    }

    #[tokio::test]
    async fn garbage_is_no_greeting() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let mut clear = TestNode::open(&Security::Loopback).await;
        for junk in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then junk",
        ] {
            let mut stream = encrypted(&authority, &node, Some("b"), GOSSIP).await;
            stream.write_all(junk.as_bytes()).await.unwrap();
            soon(stream.read_to_end(&mut Vec::new())).await.ok();
            let why = "it does not speak doorward-gossip/1";
            assert_eq!(node.refusal().await, why);
            let mut stream = TcpStream::connect(clear.address).await.unwrap();
            stream.write_all(junk.as_bytes()).await.unwrap();
            soon(stream.read_to_end(&mut Vec::new())).await.ok();
            assert_eq!(clear.refusal().await, why);
        }
        let stream = TcpStream::connect(node.address).await.unwrap();
        drop(stream); // a probe of the port
        node.refusal().await;
    }

    /// A stranger makes a node keep no more than a greeting, and a peer no more than a frame.
    #[tokio::test]
    async fn a_length_alone_takes_no_memory() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        for length in [GREETING_BYTES_MAX + 1, 1 << 20, usize::MAX >> 32] {
            let length = u32::try_from(length).unwrap().to_be_bytes();
            let mut stream = encrypted(&authority, &node, Some("b"), GOSSIP).await;
            stream.write_all(&length).await.unwrap();
            assert_eq!(node.refusal().await, "it does not speak doorward-gossip/1");
        }
    }

    /// A client that trusts this authority.
    fn believing(authority: &TestAuthority) -> Arc<CertificateVerifier> {
        let provider = Arc::new(ring::default_provider());
        let rules = CertificateRules::new(provider, authority.store(), Vec::new()).unwrap();
        Arc::new(CertificateVerifier::new(&Arc::new(rules)))
    }

    #[tokio::test]
    async fn strangers_may_ask_to_join() {
        let authority = TestAuthority::new();
        let questions = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&questions);
        let joins: EnrolmentHandler = Arc::new(move |remote, question| {
            asked.lock().push((remote, question.to_vec()));
            (JoinStatus::Admitted, vec![b'!'; 60_000])
        });
        let node = TestNode::open_with(&authority.member("a"), joins).await;
        let question = Bytes::from(vec![b'?'; QUESTION_BYTES_MAX]);
        let asked = ask_to_join(node.address, believing(&authority), |_| question.clone());
        let answer = soon(asked).await;
        assert_eq!(
            answer.unwrap(),
            (JoinStatus::Admitted, vec![b'!'; 60_000].into())
        );
        let (remote, asked) = questions.lock().pop().unwrap();
        assert!(remote.ip().is_loopback());
        assert_eq!(asked, question);

        for length in [QUESTION_BYTES_MAX + 1, 1 << 20] {
            let longer = Bytes::from(vec![b'?'; length]);
            let asked = ask_to_join(node.address, believing(&authority), |_| longer);
            let answer = soon(asked).await;
            assert_eq!(answer.unwrap().0, JoinStatus::TooLong);
        }
        assert!(questions.lock().is_empty());

        let other = believing(&TestAuthority::new());
        let refused = soon(ask_to_join(node.address, other, |_| question)).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("UnknownIssuer"), "{error}");
        assert!(questions.lock().is_empty());
    }

    #[tokio::test]
    async fn few_questions_are_answered_at_once() {
        let authority = TestAuthority::new();
        let (go_on, going_on) = std_mpsc::channel::<()>();
        let going_on = Mutex::new(going_on);
        let joins: EnrolmentHandler = Arc::new(move |_, _| {
            let _ = going_on.lock().recv();
            (JoinStatus::Admitted, Vec::new())
        });
        let node = TestNode::open_with(&authority.member("a"), joins).await;
        let mut answers = JoinSet::new();
        for _ in 0..=QUESTIONS {
            let verifier = believing(&authority);
            answers.spawn(ask_to_join(node.address, verifier, |_| {
                Bytes::from_static(b"?")
            }));
        }
        let mut next = async || soon(answers.join_next()).await.unwrap().unwrap().unwrap().0;
        assert_eq!(next().await, JoinStatus::Busy);
        drop(go_on);
        for _ in 0..QUESTIONS {
            assert_eq!(next().await, JoinStatus::Admitted);
        }
    }

    #[tokio::test]
    async fn strangers_who_say_nothing_keep_no_peer_out() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(TcpStream::connect(node.address).await.unwrap());
        }
        let peer = TestNode::open(&authority.member("b")).await;
        let _there = peer.dial(&node).await;
        loop {
            let arrival = node.arrival().await;
            assert!(arrival.remote.ip().is_loopback());
            if let Ok(link) = arrival.link {
                assert_eq!(link.names[0].as_str(), "b");
                break;
            }
        }
        let mut first = silent.remove(0);
        let read = soon(first.read(&mut [0; 1])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }

    #[tokio::test]
    async fn who_says_nothing_is_shown_out() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let silent = TcpStream::connect(node.address).await.unwrap();
        let says_no_more = encrypted(&authority, &node, Some("b"), GOSSIP).await;
        let asks_no_more = encrypted(&authority, &node, None, JOIN).await;
        for mut stream in [
            Box::new(silent) as Box<dyn ByteStream>,
            Box::new(says_no_more),
            Box::new(asks_no_more),
        ] {
            let read = soon(stream.read(&mut [0; 1 << 10])).await;
            assert!(matches!(read, Ok(_) | Err(_)), "{read:?}");
            let why = node.refusal().await;
            assert_eq!(why, "it did not identify itself in time");
        }
    }

    #[tokio::test]
    async fn nobody_is_received_when_nobody_takes_them() {
        let transport = Arc::new(Transport::new(&Security::Loopback).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, arrivals) = mpsc::channel(1);
        let joins: EnrolmentHandler = Arc::new(|_, _| (JoinStatus::Failed, Vec::new()));
        let serving = tokio::spawn(Arc::clone(&transport).serve(listener, sender, joins));
        drop(arrivals);
        soon(serving).await.unwrap();
        soon(transport.dial(address)).await.unwrap_err();
    }
}
