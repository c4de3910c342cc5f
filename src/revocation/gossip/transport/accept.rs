//! Connections that come to us.

use std::io::{self, ErrorKind};
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

use super::dial::read;
use super::lobby::{Lobby, Place};
use super::stream::{Carrier, Connection, Other, error_of, link, over};
use super::{
    CONNECTION_WINDOW_BYTES, GOSSIP_PATH, HEADERS_BYTES_MAX, JOIN_PATH, Link, STREAM_WINDOW_BYTES,
    Speech, Transport, stays_here, timed_out,
};
use crate::revocation::gossip::settings::NodeName;

/// How long somebody may take to become a peer, or to have his question answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// What somebody without a certificate may send, in bytes.
const QUESTION_BYTES_MAX: usize = 16 << 10;

/// How many of them are answered at once.
const QUESTIONS: usize = 4;

/// How long the listener rests when the system gives it no connection.
const REST: Duration = Duration::from_secs(1);

/// Answers who asks to join, from this address with these bytes. It may take its time.
pub type Joins = Arc<dyn Fn(SocketAddr, &[u8]) -> (StatusCode, Vec<u8>) + Send + Sync>;

/// Somebody who came, and whether he became a peer.
#[derive(Debug)]
pub(in crate::revocation::gossip) struct Arrival {
    /// Where from.
    pub(in crate::revocation::gossip) remote: SocketAddr,
    /// The connection, or why there is none. Errors are dropped rather than waited with.
    pub(in crate::revocation::gossip) link: io::Result<Link>,
}

/// Where connections are received.
struct Reception {
    transport: Arc<Transport>,
    arrivals: mpsc::Sender<Arrival>,
    joins: Joins,
    questions: Semaphore,
    lobby: Arc<Lobby>,
}

/// Who opened a connection.
enum Caller {
    /// Somebody on this machine, in plain text.
    Neighbour,
    /// Somebody who showed no certificate.
    Stranger,
    /// Whoever these names were certified for.
    Node(Vec<NodeName>),
}

/// What a request is for.
enum Wish {
    /// An exchange of frames.
    Gossip,
    /// A certificate.
    Join,
    /// Nothing that is here.
    Other,
}

/// What keeps a link going.
type Carried = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Transport {
    /// Receives connections, each in its own task, for as long as somebody takes them.
    pub(in crate::revocation::gossip) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        arrivals: mpsc::Sender<Arrival>,
        joins: Joins,
    ) {
        let reception = Arc::new(Reception {
            transport: self,
            arrivals,
            joins,
            questions: Semaphore::new(QUESTIONS),
            lobby: Arc::default(),
        });
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = reception.arrivals.closed() => return,
            };
            match accepted {
                Ok((stream, remote)) => {
                    let place = reception.lobby.enter(remote.ip());
                    tokio::spawn(Arc::clone(&reception).receive(stream, remote, place));
                }
                Err(why) => {
                    warn!(why:%; "peers can't be let in");
                    sleep(REST).await;
                }
            }
        }
    }
}

impl Reception {
    /// One connection, from its first byte to its last.
    async fn receive(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, mut place: Place) {
        let greeted = tokio::select! {
            greeted = timeout(PATIENCE, self.greet(stream, remote)) => {
                greeted.unwrap_or_else(|_| Err(timed_out("it did not say in time who it is")))
            }
            () = place.lost() => Err(timed_out("it did not say who it is, and others waited")),
        };
        drop(place);
        match greeted {
            Ok(Some(carried)) => carried.await,
            Ok(None) => {}
            Err(error) => {
                let link = Err(error);
                let _ = self.arrivals.try_send(Arrival { remote, link });
            }
        }
    }

    /// Finds out who it is, and what he wants.
    async fn greet(&self, stream: TcpStream, remote: SocketAddr) -> io::Result<Option<Carried>> {
        stream.set_nodelay(true)?;
        let speech = self.transport.0.load_full();
        match &*speech {
            Speech::Plain => {
                stays_here(remote)?;
                self.hear(stream, remote, Caller::Neighbour).await
            }
            Speech::Encrypted(tls) => {
                let (stream, names) = tls.accept(stream).await?;
                let caller = if names.is_empty() {
                    Caller::Stranger
                } else {
                    Caller::Node(names)
                };
                self.hear(stream, remote, caller).await
            }
        }
    }

    /// Does what the one request of a connection asks for.
    async fn hear(
        &self,
        carrier: impl Carrier,
        remote: SocketAddr,
        caller: Caller,
    ) -> io::Result<Option<Carried>> {
        let handshake = caller.wire().handshake(carrier);
        let mut connection: h2::server::Connection<_, Bytes> = handshake.await.map_err(error_of)?;
        let Some(request) = connection.accept().await else {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "it asked for nothing",
            ));
        };
        let (request, respond) = request.map_err(error_of)?;
        match (Wish::of(&request), caller) {
            (Wish::Gossip, Caller::Node(names)) => {
                self.link(names, remote, request, respond, connection).await
            }
            (Wish::Gossip, Caller::Neighbour) => {
                self.link(Vec::new(), remote, request, respond, connection)
                    .await
            }
            (Wish::Gossip, Caller::Stranger) => {
                answer(connection, respond, StatusCode::FORBIDDEN, Vec::new()).await?;
                let text = "it shows no certificate";
                Err(io::Error::new(ErrorKind::PermissionDenied, text))
            }
            (Wish::Join, Caller::Stranger | Caller::Node(_)) => {
                let question = self.question(remote, request.into_body());
                let (status, body) = over(&mut connection, question).await?;
                answer(connection, respond, status, body).await?;
                Ok(None)
            }
            (Wish::Join, Caller::Neighbour)
            | (Wish::Other, Caller::Neighbour | Caller::Stranger | Caller::Node(_)) => {
                answer(connection, respond, StatusCode::NOT_FOUND, Vec::new()).await?;
                let text = "it asked for something that is not here";
                Err(io::Error::new(ErrorKind::InvalidData, text))
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
        connection: impl Connection + Send + 'static,
    ) -> io::Result<Option<Carried>> {
        let place = self
            .arrivals
            .reserve()
            .await
            .map_err(|_| timed_out("we are closing"))?;
        let outward = respond
            .send_response(Response::new(()), false)
            .map_err(error_of)?;
        let other = Other {
            names,
            remote,
            is_dialed: false,
        };
        let (link, carried) = link(other, (outward, request.into_body()), connection);
        place.send(Arrival {
            remote,
            link: Ok(link),
        });
        Ok(Some(Box::pin(carried)))
    }

    /// Has the question of a stranger answered.
    async fn question(
        &self,
        remote: SocketAddr,
        body: RecvStream,
    ) -> io::Result<(StatusCode, Vec<u8>)> {
        let Ok(_place) = self.questions.try_acquire() else {
            return Ok((StatusCode::SERVICE_UNAVAILABLE, Vec::new()));
        };
        let Some(question) = read(body, QUESTION_BYTES_MAX).await? else {
            return Ok((StatusCode::PAYLOAD_TOO_LARGE, Vec::new()));
        };
        let joins = Arc::clone(&self.joins);
        let answered = spawn_blocking(move || joins(remote, &question)).await;
        Ok(answered.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Vec::new())))
    }
}

impl Wish {
    fn of(request: &Request<RecvStream>) -> Self {
        match (request.method(), request.uri().path()) {
            (&Method::POST, GOSSIP_PATH) => Self::Gossip,
            (&Method::POST, JOIN_PATH) => Self::Join,
            _ => Self::Other,
        }
    }
}

impl Caller {
    /// How HTTP/2 is spoken with him: nodes send much, strangers little.
    fn wire(&self) -> h2::server::Builder {
        let mut wire = h2::server::Builder::new();
        wire.max_concurrent_streams(1)
            .max_header_list_size(HEADERS_BYTES_MAX);
        match self {
            Self::Stranger => {}
            Self::Neighbour | Self::Node(_) => {
                wire.initial_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            }
        }
        wire
    }
}

/// Answers, and waits until the answer was taken.
async fn answer(
    mut connection: impl Connection,
    mut respond: SendResponse<Bytes>,
    status: StatusCode,
    body: Vec<u8>,
) -> io::Result<()> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    let mut outward = respond
        .send_response(head, body.is_empty())
        .map_err(error_of)?;
    if !body.is_empty() {
        outward.send_data(body.into(), true).map_err(error_of)?;
    }
    drop((outward, respond));
    connection.end();
    std::future::poll_fn(|context| connection.poll_over(context)).await
}
