//! The connection behind a link: one stream of HTTP/2 in both directions (RFC 9113).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use tokio::time::{Sleep, sleep};

use super::frames::{self, Buffers, Sending};
use super::http2::{Http2Connection, closed, error_of};
use super::link::Link;
use crate::revocation::NodeName;

/// How long a connection may take to end after its link was dropped: what was sent is still delivered.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// The node at the other end.
pub(super) struct LinkEnd {
    pub(super) names: Vec<NodeName>,
    pub(super) remote: SocketAddr,
    pub(super) is_dialed: bool,
}

/// A link over this connection. The future must run for as long as there is a link, and ends a while after it.
pub(super) fn link(
    other: LinkEnd,
    streams: (SendStream<Bytes>, RecvStream),
    mut connection: impl Http2Connection + Send + 'static,
) -> (Link, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver, buffers) = frames::halves();
    let link = Link {
        names: other.names,
        remote: other.remote,
        is_dialed: other.is_dialed,
        sender,
        receiver,
    };
    let mut exchange = Exchange {
        buffers,
        streams: Some(streams),
        has_ended: false,
        has_finished: false,
        lingering: None,
    };
    let running = async move {
        poll_fn(|context| exchange.poll(&mut connection, context)).await;
    };
    (link, running)
}

/// What a connection and the halves of its link exchange.
struct Exchange {
    buffers: Arc<Buffers>,
    /// Dropped when they are no longer needed.
    streams: Option<(SendStream<Bytes>, RecvStream)>,
    /// The peer sends nothing more.
    has_ended: bool,
    /// The end of our frames was sent, or can't be.
    has_finished: bool,
    /// Runs once the link is gone.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Exchange {
    /// Ready when the connection is over, or its link has been gone for long enough.
    fn poll(
        &mut self,
        connection: &mut impl Http2Connection,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.buffers.watch(context);
        self.push(context);
        self.credit();
        let over = connection.poll_over(context);
        self.pull(context);
        if let Poll::Ready(over) = over {
            self.buffers.fail(&over.err().unwrap_or_else(closed));
            return Poll::Ready(());
        }
        if self.buffers.is_abandoned() {
            return self.poll_lingering(connection, context);
        }
        Poll::Pending
    }

    /// Hands over as much of what waits to be sent as the peer has room for.
    fn push(&mut self, context: &mut Context<'_>) {
        let Some((outward, _)) = &mut self.streams else {
            return;
        };
        while let waiting @ 1.. = self.buffers.waiting() {
            outward.reserve_capacity(waiting);
            let room = outward.capacity();
            let sent = if room > 0 {
                let bytes = self.buffers.take(room);
                outward.send_data(bytes, false).map_err(error_of)
            } else {
                match outward.poll_capacity(context) {
                    Poll::Ready(Some(room)) => room.map(drop).map_err(error_of),
                    Poll::Ready(None) => Err(takes_nothing()),
                    Poll::Pending => return,
                }
            };
            if let Err(error) = sent {
                self.buffers.break_off(&error);
                self.has_finished = true;
                return;
            }
        }
        if self.buffers.sending() == Sending::Finished && !self.has_finished {
            self.has_finished = true;
            let _ = outward.send_data(Bytes::new(), true); // it may be over already
        }
    }

    /// Tells the peer how much was read.
    fn credit(&mut self) {
        if let Some((_, inward)) = &mut self.streams {
            let credit = self.buffers.take_credit();
            if credit > 0 {
                let _ = inward.flow_control().release_capacity(credit); // it may be over already
            }
        }
    }

    /// Takes everything that came: h2 keeps it frame by frame, the buffers byte by byte.
    fn pull(&mut self, context: &mut Context<'_>) {
        let Some((_, inward)) = &mut self.streams else {
            return;
        };
        while !self.has_ended
            && let Poll::Ready(item) = inward.poll_data(context)
        {
            match item {
                Some(Ok(bytes)) => self.buffers.add(&bytes),
                Some(Err(error)) => {
                    self.buffers.fail(&error_of(error));
                    self.has_ended = true;
                }
                None => {
                    self.buffers.end();
                    self.has_ended = true;
                }
            }
        }
    }

    /// Delivers what was finished, then lets the connection end; for a while only, for the peer may not read.
    fn poll_lingering(
        &mut self,
        connection: &mut impl Http2Connection,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let lingering = self
            .lingering
            .get_or_insert_with(|| Box::pin(sleep(LINGER_MAX)));
        if lingering.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // h2 drops what it has not yet sent of a stream that is given back. That all was sent shows when the peer, which
        // has read the end, ends as well.
        let is_delivered = self.has_finished && self.has_ended;
        let is_over = is_delivered || self.buffers.sending() == Sending::Dropped;
        if is_over && self.streams.take().is_some() {
            connection.end();
            return connection.poll_over(context).map(drop);
        }
        Poll::Pending
    }
}

fn takes_nothing() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the peer takes nothing more")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use http::{Method, Request, Response};
    use tokio::net::TcpStream;
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::yield_now;

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::Transport;
    use crate::cluster::transport::dial::open;
    use crate::cluster::transport::fixtures::{
        TestNode, linked_in_the_clear, linked_with_tls, soon,
    };
    use crate::cluster::transport::frames::{FRAME_BYTES_MAX, Receiver, Sender};
    use crate::cluster::transport::http2::{GOSSIP_PATH, STREAM_WINDOW_BYTES, over};

    /// Frame number so and so: of every small length, and some long ones.
    fn frame(number: usize) -> Bytes {
        let length = match number % 1000 {
            0 => 100_000,
            short => short % 70,
        };
        let mut frame = vec![0; length];
        let number = number.to_be_bytes();
        let known = length.min(number.len());
        frame[..known].copy_from_slice(&number[number.len() - known..]);
        frame.into()
    }

    async fn send_frames(mut sender: Sender, count: usize) {
        for number in 0..count {
            sender.send(frame(number)).await.unwrap();
        }
        sender.finish();
    }

    async fn receive_frames(receiver: &mut Receiver, count: usize) {
        for number in 0..count {
            let got = receiver.next().await.unwrap();
            assert!(got == Some(frame(number)), "frame {number}");
        }
        assert_eq!(receiver.next().await.unwrap(), None);
    }

    async fn exchange_frames((mut one, mut other): (Link, Link), count: usize) {
        let sending = tokio::spawn(send_frames(one.sender, count));
        let sending_too = tokio::spawn(send_frames(other.sender, count));
        let receiving = tokio::spawn(async move {
            receive_frames(&mut one.receiver, count).await;
        });
        receive_frames(&mut other.receiver, count).await;
        for task in [sending, sending_too, receiving] {
            task.await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_sides_send_a_hundred_thousand_frames_at_once() {
        soon(exchange_frames(linked_with_tls().await, 100_000)).await;
        soon(exchange_frames(linked_in_the_clear().await, 100_000)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_sides_may_send_before_either_reads() {
        let (mut one, mut other) = linked_with_tls().await;
        let count = 30_000; // less than a window
        tokio::join!(
            send_frames(one.sender, count),
            send_frames(other.sender, count)
        );
        soon(receive_frames(&mut one.receiver, count)).await;
        soon(receive_frames(&mut other.receiver, count)).await;
    }

    /// What may be under way at the most: a window, what waits for room in it, and a frame that waits to wait.
    const UNDER_WAY_MAX: usize = STREAM_WINDOW_BYTES as usize + 3 * FRAME_BYTES_MAX;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_reads_slowly_slows_the_sender() {
        let (mut one, mut other) = linked_with_tls().await;
        let sent = Arc::new(AtomicUsize::new(0));
        let sending = {
            let sent = Arc::clone(&sent);
            tokio::spawn(async move {
                for _ in 0..64 {
                    let frame = Bytes::from(vec![1; FRAME_BYTES_MAX]);
                    sent.fetch_add(frame.len(), Ordering::SeqCst);
                    one.sender.send(frame).await.unwrap();
                }
            })
        };
        let enough = || sent.load(Ordering::SeqCst) > STREAM_WINDOW_BYTES as usize;
        soon(async {
            while !enough() {
                yield_now().await;
            }
        })
        .await;
        let mut read = 0;
        for _ in 0..64 {
            let ahead = sent.load(Ordering::SeqCst) - read;
            assert!(ahead <= UNDER_WAY_MAX, "{ahead} bytes are under way");
            read += soon(other.receiver.next()).await.unwrap().unwrap().len();
        }
        soon(sending).await.unwrap();
    }

    #[tokio::test]
    async fn many_small_frames_that_wait_end_no_connection() {
        let (mut one, mut other) = linked_with_tls().await;
        for number in 0..30_000_u32 {
            let frame = Bytes::copy_from_slice(&number.to_be_bytes());
            one.sender.send(frame).await.unwrap();
            yield_now().await; // so that each travels alone
        }
        one.sender.finish();
        for number in 0..30_000_u32 {
            let got = soon(other.receiver.next()).await.unwrap();
            assert_eq!(got.unwrap(), number.to_be_bytes()[..]);
        }
        assert_eq!(soon(other.receiver.next()).await.unwrap(), None);
    }

    fn runtime() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    }

    #[test]
    fn a_node_that_stood_still_catches_up() {
        const COUNT: u32 = 100_000;
        let (address, addresses) = mpsc::channel();
        let (go_on, going_on) = mpsc::channel();
        let standing = thread::spawn(move || {
            runtime().block_on(async {
                let mut node = TestNode::open(&Security::Loopback).await;
                address.send(node.address).unwrap();
                let mut link = node.link().await;
                soon(link.receiver.next()).await.unwrap();
                going_on.recv().unwrap(); // nothing runs in this runtime meanwhile
                for number in 0..COUNT {
                    let got = soon(link.receiver.next()).await.unwrap();
                    assert_eq!(got.unwrap(), number.to_be_bytes()[..]);
                }
            });
        });
        runtime().block_on(async {
            let transport = Transport::new(&Security::Loopback).unwrap();
            let address = addresses.recv().unwrap();
            let mut link = soon(transport.dial(address)).await.unwrap();
            link.sender.send(Bytes::new()).await.unwrap();
            for number in 0..COUNT {
                if number == 40_000 {
                    go_on.send(()).unwrap();
                }
                let frame = Bytes::copy_from_slice(&number.to_be_bytes());
                link.sender.send(frame).await.unwrap();
                yield_now().await; // so that each travels alone
            }
            link.sender.finish();
            let _ = soon(link.receiver.next()).await; // the other leaves
        });
        standing.join().unwrap();
    }

    #[tokio::test]
    async fn a_frame_that_is_sent_leaves_at_once() {
        let (mut one, mut other) = linked_with_tls().await;
        for number in 0..1000 {
            one.sender.send(frame(number)).await.unwrap();
            let got = soon(other.receiver.next()).await.unwrap();
            assert!(got == Some(frame(number)));
            other.sender.send(frame(number)).await.unwrap();
            let got = soon(one.receiver.next()).await.unwrap();
            assert!(got == Some(frame(number)));
        }
    }

    #[tokio::test]
    async fn one_direction_may_finish_before_the_other() {
        let (one, mut other) = linked_with_tls().await;
        let mut receiver = one.receiver;
        one.sender.finish();
        assert_eq!(soon(other.receiver.next()).await.unwrap(), None);
        for number in 0..100 {
            other.sender.send(frame(number)).await.unwrap();
        }
        other.sender.finish();
        soon(receive_frames(&mut receiver, 100)).await;
    }

    #[tokio::test]
    async fn what_was_finished_arrives_though_the_link_is_dropped() {
        for is_caller in [true, false] {
            let (there, here) = linked_with_tls().await;
            let (mut leaves, mut stays) = if is_caller {
                (there, here)
            } else {
                (here, there)
            };
            let lingering = Bytes::from(vec![9; 1 << 20]);
            for _ in 0..3 {
                leaves.sender.send(lingering.clone()).await.unwrap();
            }
            leaves.sender.finish();
            drop(leaves.receiver);
            for _ in 0..3 {
                let got = soon(stays.receiver.next()).await.unwrap();
                assert!(got.as_ref() == Some(&lingering));
            }
            assert_eq!(soon(stays.receiver.next()).await.unwrap(), None);
        }
    }

    /// Both ends of a connection that carries a few bytes at a time.
    async fn linked_narrowly() -> (Link, Link) {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (near, far) = tokio::io::duplex(64);
        let host = async {
            let mut connection = h2::server::handshake(far).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            let outward = respond.send_response(Response::new(()), false).unwrap();
            let other = LinkEnd {
                names: Vec::new(),
                remote: address,
                is_dialed: false,
            };
            let (link, running) = link(other, (outward, request.into_body()), connection);
            tokio::spawn(running);
            link
        };
        let (there, here) = tokio::join!(open(near, "http", address, Vec::new()), host);
        (there.unwrap(), here)
    }

    #[tokio::test]
    async fn what_was_finished_arrives_however_narrow_the_way() {
        for is_caller in [true, false] {
            let (there, here) = linked_narrowly().await;
            let (mut leaves, mut stays) = if is_caller {
                (there, here)
            } else {
                (here, there)
            };
            let lingering = Bytes::from(vec![9; 60_000]);
            leaves.sender.send(lingering.clone()).await.unwrap();
            leaves.sender.finish();
            drop(leaves.receiver);
            let got = soon(stays.receiver.next()).await.unwrap();
            assert!(got.as_ref() == Some(&lingering), "{is_caller}");
            assert_eq!(soon(stays.receiver.next()).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_link_that_is_dropped_is_an_error_to_the_other_side() {
        for is_caller in [true, false] {
            let (there, here) = linked_with_tls().await;
            let (leaves, mut stays) = if is_caller {
                (there, here)
            } else {
                (here, there)
            };
            drop(leaves);
            soon(stays.receiver.next()).await.unwrap_err();
            let refused = soon(async {
                loop {
                    if let Err(error) = stays.sender.send(Bytes::from_static(b"?")).await {
                        return error;
                    }
                    yield_now().await;
                }
            });
            refused.await;
        }
    }

    /// A node that is called by hand.
    async fn by_hand(
        node: &TestNode,
    ) -> (
        SendStream<Bytes>,
        RecvStream,
        h2::client::Connection<TcpStream, Bytes>,
    ) {
        let stream = TcpStream::connect(node.address).await.unwrap();
        let (requests, mut connection) = h2::client::handshake(stream).await.unwrap();
        let request = Request::builder().method(Method::POST);
        let request = request
            .uri(format!("http://a{GOSSIP_PATH}"))
            .body(())
            .unwrap();
        let opened = async {
            let mut requests = requests.ready().await.unwrap();
            let (answer, outward) = requests.send_request(request, false).unwrap();
            Ok((outward, answer.await.unwrap().into_body()))
        };
        let (outward, inward) = soon(over(&mut connection, opened)).await.unwrap();
        (outward, inward, connection)
    }

    /// What comes of these DATA frames, with the end behind the last of them.
    async fn received(parts: &[&[u8]]) -> (Vec<Bytes>, Option<ErrorKind>) {
        let mut node = TestNode::open(&Security::Loopback).await;
        let (mut outward, _inward, connection) = by_hand(&node).await;
        let _running = tokio::spawn(connection);
        for part in parts {
            outward
                .send_data(Bytes::copy_from_slice(part), false)
                .unwrap();
        }
        outward.send_data(Bytes::new(), true).unwrap();
        let mut link = node.link().await;
        let mut frames = Vec::new();
        loop {
            match soon(link.receiver.next()).await {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error.kind())),
            }
        }
    }

    #[tokio::test]
    async fn frames_of_others_arrive_however_they_cut_them() {
        let wire = b"\0\0\0\x03one\0\0\0\0\0\0\0\x05three";
        let three = ["one", "", "three"].map(Bytes::from).to_vec();
        let bytes: Vec<_> = wire.chunks(1).collect();
        assert_eq!(received(&bytes).await, (three.clone(), None));
        for cut in 0..=wire.len() {
            let (first, second) = wire.split_at(cut);
            assert_eq!(
                received(&[first, second]).await,
                (three.clone(), None),
                "at {cut}"
            );
        }
    }

    #[tokio::test]
    async fn half_a_frame_at_the_end_is_an_error() {
        let one = vec![Bytes::from("one")];
        let half = received(&[b"\0\0\0\x03one\0\0\0\x05thr"]).await;
        assert_eq!(half, (one.clone(), Some(ErrorKind::UnexpectedEof)));
        let half = received(&[b"\0\0\0\x03one\0\0"]).await;
        assert_eq!(half, (one.clone(), Some(ErrorKind::UnexpectedEof)));
        let long = received(&[b"\0\0\0\x03one\0\x30\0\x01"]).await;
        assert_eq!(long, (one, Some(ErrorKind::InvalidData)));
        assert_eq!(received(&[]).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_no_end() {
        let mut node = TestNode::open(&Security::Loopback).await;
        let (mut outward, _inward, mut connection) = by_hand(&node).await;
        outward
            .send_data(Bytes::from_static(b"\0\0\0\x03one"), false)
            .unwrap();
        let mut link = node.link().await;
        let got = soon(over(&mut connection, link.receiver.next()))
            .await
            .unwrap();
        assert_eq!(got.unwrap(), "one");
        drop(connection); // without a word of HTTP/2
        soon(link.receiver.next()).await.unwrap_err();
    }

    /// Ends a link whose peer takes less than is sent, and waits until the connection is over.
    async fn end_unread(is_finished: bool) {
        let mut node = TestNode::open(&Security::Loopback).await;
        let (_outward, _inward, mut connection) = by_hand(&node).await;
        let mut link = node.link().await;
        for _ in 0..3 {
            let frame = Bytes::from(vec![1; 100_000]);
            link.sender.send(frame).await.unwrap();
        }
        if is_finished {
            link.sender.finish();
        } else {
            drop(link.sender);
        }
        drop(link.receiver);
        let _ = soon(&mut connection).await;
    }

    #[tokio::test]
    async fn a_link_ends_though_its_peer_reads_nothing() {
        tokio::join!(end_unread(false), end_unread(true));
    }

    #[tokio::test]
    async fn a_second_stream_is_refused_and_the_first_goes_on() {
        let mut node = TestNode::open(&Security::Loopback).await;
        let stream = TcpStream::connect(node.address).await.unwrap();
        let (mut requests, connection) = h2::client::handshake::<_>(stream).await.unwrap();
        let _running = tokio::spawn(connection);
        let request = || {
            let request = Request::builder().method(Method::POST);
            request
                .uri(format!("http://a{GOSSIP_PATH}"))
                .body(())
                .unwrap()
        };
        let (answer, mut outward) = requests.send_request(request(), false).unwrap();
        let second = requests.send_request(request(), false);
        soon(answer).await.unwrap();
        let mut link = node.link().await;
        if let Ok((answer, _)) = second {
            soon(answer).await.unwrap_err();
        }
        outward
            .send_data(Bytes::from_static(b"\0\0\0\x03one"), true)
            .unwrap();
        assert_eq!(soon(link.receiver.next()).await.unwrap().unwrap(), "one");
        assert_eq!(soon(link.receiver.next()).await.unwrap(), None);
    }
}
