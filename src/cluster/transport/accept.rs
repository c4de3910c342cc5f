//! Connections that come to us.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Request, Response, StatusCode};
use log::warn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::handshake_limiter::{HandshakeLimiter, HandshakePermit};
use super::http2::{
    ByteStream, CONNECTION_WINDOW_BYTES, GOSSIP_PATH, HEADERS_BYTES_MAX, Http2Connection,
    JOIN_PATH, SEND_BUFFER_BYTES, SMALL_FRAMES_BYTES_MAX, STREAM_WINDOW_BYTES, error_of, over,
    read_body, timed_out,
};
use super::link::Link;
use super::security::{ChannelSecurity, Transport, stays_here};
use super::stream::{LinkEnd, link};
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
    Arc<dyn Fn(SocketAddr, &[u8]) -> (StatusCode, Vec<u8>) + Send + Sync>;

/// A connection that came in, and whether it became a link.
#[derive(Debug)]
pub(crate) struct IncomingLink {
    /// Where from.
    pub(crate) remote: SocketAddr,
    /// The connection, or why there is none. Not every error is told when there are many.
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

/// The client of a connection, as far as its certificate identifies it.
enum PeerIdentity {
    /// A process on this machine, in plain text.
    Neighbour,
    /// A client without a certificate.
    Unknown,
    /// A client whose certificate has these names.
    TestNode(Vec<NodeName>),
}

/// The endpoint that a request names.
enum RequestedEndpoint {
    /// An exchange of frames.
    Gossip,
    /// A certificate.
    Join,
    /// An unknown one.
    LinkEnd,
}

/// What keeps a link going.
type LinkTask = Pin<Box<dyn Future<Output = ()> + Send>>;

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
        drop(place);
        match greeted {
            Ok(Some(running)) => running.await,
            Ok(None) => {}
            Err(error) => self.report(remote, error),
        }
    }

    /// Reports why a connection did not become a link. Half of the queue is reserved for links.
    fn report(&self, remote: SocketAddr, error: io::Error) {
        if self.arrivals.capacity() > self.arrivals.max_capacity() / 2 {
            let link = Err(error);
            let _ = self.arrivals.try_send(IncomingLink { remote, link });
        }
    }

    /// Finds out who the client is, and serves its request.
    async fn identify(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> io::Result<Option<LinkTask>> {
        stream.set_nodelay(true)?;
        let security = self.transport.security();
        match &*security {
            ChannelSecurity::Plain => {
                stays_here(remote)?;
                self.serve_request(stream, remote, PeerIdentity::Neighbour)
                    .await
            }
            ChannelSecurity::Encrypted(tls) => {
                let (stream, names) = tls.accept(stream).await?;
                let identity = if names.is_empty() {
                    PeerIdentity::Unknown
                } else {
                    PeerIdentity::TestNode(names)
                };
                self.serve_request(stream, remote, identity).await
            }
        }
    }

    /// Does what the one request of a connection asks for.
    async fn serve_request(
        &self,
        carrier: impl ByteStream,
        remote: SocketAddr,
        identity: PeerIdentity,
    ) -> io::Result<Option<LinkTask>> {
        let handshake = identity.wire().handshake(carrier);
        let mut connection: h2::server::Connection<_, Bytes> = handshake.await.map_err(error_of)?;
        let Some(request) = connection.accept().await else {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "it asked for nothing",
            ));
        };
        let (request, respond) = request.map_err(error_of)?;
        match (RequestedEndpoint::of(&request), identity) {
            (RequestedEndpoint::Gossip, PeerIdentity::TestNode(names)) => {
                self.link(names, remote, request, respond, connection).await
            }
            (RequestedEndpoint::Gossip, PeerIdentity::Neighbour) => {
                self.link(Vec::new(), remote, request, respond, connection)
                    .await
            }
            (RequestedEndpoint::Gossip, PeerIdentity::Unknown) => {
                let error = "it shows no certificate";
                self.report(remote, io::Error::new(ErrorKind::PermissionDenied, error));
                answer(connection, respond, StatusCode::FORBIDDEN, Vec::new()).await;
                Ok(None)
            }
            (RequestedEndpoint::Join, PeerIdentity::Unknown | PeerIdentity::TestNode(_)) => {
                let question = self.question(remote, request.into_body());
                let (status, body) = over(&mut connection, question).await?;
                answer(connection, respond, status, body).await;
                Ok(None)
            }
            (RequestedEndpoint::Join, PeerIdentity::Neighbour)
            | (
                RequestedEndpoint::LinkEnd,
                PeerIdentity::Neighbour | PeerIdentity::Unknown | PeerIdentity::TestNode(_),
            ) => {
                let error = "it asks for something that is not here";
                self.report(remote, io::Error::new(ErrorKind::InvalidData, error));
                answer(connection, respond, StatusCode::NOT_FOUND, Vec::new()).await;
                Ok(None)
            }
        }
    }

    /// A peer: hands the link over, and returns what keeps it going.
    async fn link(
        &self,
        names: Vec<NodeName>,
        remote: SocketAddr,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        connection: impl Http2Connection + Send + 'static,
    ) -> io::Result<Option<LinkTask>> {
        let place = self
            .arrivals
            .reserve()
            .await
            .map_err(|_| timed_out("we are closing"))?;
        let outward = respond
            .send_response(Response::new(()), false)
            .map_err(error_of)?;
        let other = LinkEnd {
            names,
            remote,
            is_dialed: false,
        };
        let (link, running) = link(other, (outward, request.into_body()), connection);
        place.send(IncomingLink {
            remote,
            link: Ok(link),
        });
        Ok(Some(Box::pin(running)))
    }

    /// Answers a join request.
    async fn question(
        &self,
        remote: SocketAddr,
        body: RecvStream,
    ) -> io::Result<(StatusCode, Vec<u8>)> {
        let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else {
            return Ok((StatusCode::SERVICE_UNAVAILABLE, Vec::new()));
        };
        let Some(question) = read_body(body, QUESTION_BYTES_MAX).await? else {
            return Ok((StatusCode::PAYLOAD_TOO_LARGE, Vec::new()));
        };
        let joins = Arc::clone(&self.joins);
        let answered = spawn_blocking(move || {
            let _place = place; // until it is answered, even if the client has gone
            joins(remote, &question)
        });
        let answered = answered.await;
        Ok(answered.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Vec::new())))
    }
}

impl RequestedEndpoint {
    fn of(request: &Request<RecvStream>) -> Self {
        match (request.method(), request.uri().path()) {
            (&Method::POST, GOSSIP_PATH) => Self::Gossip,
            (&Method::POST, JOIN_PATH) => Self::Join,
            _ => Self::LinkEnd,
        }
    }
}

impl PeerIdentity {
    /// The settings of HTTP/2 for this client: nodes send much, strangers little.
    fn wire(&self) -> h2::server::Builder {
        let mut wire = h2::server::Builder::new();
        wire.max_concurrent_streams(1)
            .max_header_list_size(HEADERS_BYTES_MAX);
        match self {
            Self::Unknown => {}
            Self::Neighbour | Self::TestNode(_) => {
                wire.initial_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                    .data_frame_budget(SMALL_FRAMES_BYTES_MAX)
                    .max_send_buffer_size(SEND_BUFFER_BYTES);
            }
        }
        wire
    }
}

/// Answers, and waits until the answer was taken, or the caller has left.
async fn answer(
    mut connection: impl Http2Connection,
    mut respond: SendResponse<Bytes>,
    status: StatusCode,
    body: Vec<u8>,
) {
    let mut head = Response::new(());
    *head.status_mut() = status;
    let sent = respond.send_response(head, body.is_empty());
    if let Ok(mut outward) = sent
        && !body.is_empty()
    {
        let _ = outward.send_data(body.into(), true);
    }
    drop(respond);
    connection.end();
    let _ = poll_fn(|context| connection.poll_over(context)).await;
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

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::ask_to_join;
    use crate::cluster::transport::certificate_verifier::{CertificateRules, CertificateVerifier};
    use crate::cluster::transport::fixtures::{TestAuthority, TestNode, soon};

    /// A connection to a node, with or without papers of the node's authority.
    async fn encrypted(
        authority: &TestAuthority,
        node: &TestNode,
        name: Option<&str>,
    ) -> tokio_rustls::client::TlsStream<TcpStream> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(authority.store());
        let mut config = match name {
            None => config.with_no_client_auth(),
            Some(name) => {
                let papers = authority.issue(&[name]);
                config
                    .with_client_auth_cert(papers.chain, papers.key)
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(node.address).await.unwrap();
        let host = ServerName::try_from("a").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(host, stream).await.unwrap()
    }

    /// How a node answers this request.
    async fn asked(carrier: impl ByteStream, method: Method, path: &str) -> StatusCode {
        let (requests, mut connection) = h2::client::handshake(carrier).await.unwrap();
        let uri = format!("https://a{path}");
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let answered = async {
            let mut requests = requests.ready().await.unwrap();
            let (answer, _body) = requests.send_request(request, false).unwrap();
            Ok(answer.await.map_err(error_of)?.status())
        };
        soon(over(&mut connection, answered)).await.unwrap()
    }

    #[tokio::test]
    async fn who_shows_no_certificate_is_no_peer() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let stream = encrypted(&authority, &node, None).await;
        assert_eq!(asked(stream, Method::POST, GOSSIP_PATH).await, 403);
        assert_eq!(node.refusal().await, "it shows no certificate");
        let stream = encrypted(&authority, &node, Some("b")).await;
        assert_eq!(asked(stream, Method::POST, GOSSIP_PATH).await, 200);
        assert_eq!(node.link().await.names[0].as_str(), "b");
    }

    #[tokio::test]
    async fn nothing_else_is_here() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        for name in [None, Some("b")] {
            for (method, path) in [
                (Method::GET, GOSSIP_PATH),
                (Method::GET, JOIN_PATH),
                (Method::POST, "/"),
                (Method::POST, "/doorward/gossip/2"),
                (Method::POST, "/doorward/gossip/1/"),
                (Method::POST, "/doorward/../doorward/gossip/1"),
                (Method::CONNECT, "/doorward/gossip/1"),
            ] {
                let stream = encrypted(&authority, &node, name).await;
                assert_eq!(asked(stream, method, path).await, 404, "{path}");
                let why = node.refusal().await;
                assert_eq!(why, "it asks for something that is not here");
            }
        }
        let mut node = TestNode::open(&Security::Loopback).await;
        let stream = TcpStream::connect(node.address).await.unwrap();
        assert_eq!(asked(stream, Method::POST, JOIN_PATH).await, 404);
        node.refusal().await;
    }

    #[tokio::test]
    async fn garbage_is_no_http_2() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let mut clear = TestNode::open(&Security::Loopback).await;
        for junk in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then junk",
        ] {
            let mut stream = encrypted(&authority, &node, Some("b")).await;
            stream.write_all(junk.as_bytes()).await.unwrap();
            soon(stream.read_to_end(&mut Vec::new())).await.ok();
            node.refusal().await;
            let mut stream = TcpStream::connect(clear.address).await.unwrap();
            stream.write_all(junk.as_bytes()).await.unwrap();
            soon(stream.read_to_end(&mut Vec::new())).await.ok();
            clear.refusal().await;
        }
        let stream = TcpStream::connect(node.address).await.unwrap();
        drop(stream); // a probe of the port
        node.refusal().await;
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
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        let joins: EnrolmentHandler = Arc::new(move |remote, question| {
            hearing.lock().push((remote, question.to_vec()));
            (StatusCode::CREATED, vec![b'!'; 60_000])
        });
        let node = TestNode::open_with(&authority.member("a"), joins).await;
        let question = Bytes::from(vec![b'?'; QUESTION_BYTES_MAX]);
        let asked = ask_to_join(node.address, believing(&authority), |_| question.clone());
        let answer = soon(asked).await;
        assert_eq!(
            answer.unwrap(),
            (StatusCode::CREATED, vec![b'!'; 60_000].into())
        );
        let (remote, asked) = heard.lock().pop().unwrap();
        assert!(remote.ip().is_loopback());
        assert_eq!(asked, question);

        for length in [QUESTION_BYTES_MAX + 1, 1 << 20] {
            let longer = Bytes::from(vec![b'?'; length]);
            let asked = ask_to_join(node.address, believing(&authority), |_| longer);
            let answer = soon(asked).await;
            assert_eq!(answer.unwrap().0, StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert!(heard.lock().is_empty());

        let other = believing(&TestAuthority::new());
        let refused = soon(ask_to_join(node.address, other, |_| question)).await;
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("UnknownIssuer"), "{told}");
        assert!(heard.lock().is_empty());
    }

    #[tokio::test]
    async fn few_questions_are_answered_at_once() {
        let authority = TestAuthority::new();
        let (go_on, going_on) = std_mpsc::channel::<()>();
        let going_on = Mutex::new(going_on);
        let joins: EnrolmentHandler = Arc::new(move |_, _| {
            let _ = going_on.lock().recv();
            (StatusCode::OK, Vec::new())
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
        assert_eq!(next().await, StatusCode::SERVICE_UNAVAILABLE);
        drop(go_on);
        for _ in 0..QUESTIONS {
            assert_eq!(next().await, StatusCode::OK);
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
        let says_no_more = encrypted(&authority, &node, Some("b")).await;
        for mut stream in [
            Box::new(silent) as Box<dyn ByteStream>,
            Box::new(says_no_more),
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
        let joins: EnrolmentHandler = Arc::new(|_, _| (StatusCode::NOT_FOUND, Vec::new()));
        let serving = tokio::spawn(Arc::clone(&transport).serve(listener, sender, joins));
        drop(arrivals);
        soon(serving).await.unwrap();
        soon(transport.dial(address)).await.unwrap_err();
    }
}
