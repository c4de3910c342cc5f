//! Frames over a stream of bytes: each behind its length, which has 32 bits, the most significant first.

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::future::{Either, join, select};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec, LengthDelimitedCodecError};

use super::errors::{closed, explained};

/// The longest frame, in bytes without its length.
pub(crate) const FRAME_BYTES_MAX: usize = 3 << 20;

/// How long the length of a frame is.
const LENGTH_BYTES: usize = 4;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// How long a connection may take to end after its link was dropped: what was sent is still delivered.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// What carries frames between two machines.
pub(super) trait ByteStream:
    AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static
{
}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static> ByteStream for T {}

type Inward = ReadHalf<Box<dyn ByteStream>>;
type Outward = WriteHalf<Box<dyn ByteStream>>;

/// The half of a link that sends frames. Dropping it without [`Sender::finish`] breaks the connection off.
#[derive(Debug)]
pub(crate) struct Sender {
    frames: FramedWrite<Outward, LengthDelimitedCodec>,
    /// What the receiver leaves unread when it is dropped.
    unread: oneshot::Receiver<Inward>,
}

/// The half of a link that receives frames.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// `None` after an error.
    frames: Option<FramedRead<Inward, LengthDelimitedCodec>>,
    unread: Option<oneshot::Sender<Inward>>,
    /// How many bytes a frame may have behind the next one, if that is not the same.
    later_bytes_max: Option<usize>,
}

/// Both halves of a link over this stream; received frames have at most so many bytes.
///
/// What is under way in a direction is one frame at each end and what the system's buffers for the socket hold: beyond
/// that a sender waits for its receiver.
pub(super) fn halves(stream: impl ByteStream, frame_bytes_max: usize) -> (Sender, Receiver) {
    let stream: Box<dyn ByteStream> = Box::new(stream);
    let (inward, outward) = split(stream);
    let (unread, left) = oneshot::channel();
    let mut builder = LengthDelimitedCodec::builder();
    builder.max_frame_length(FRAME_BYTES_MAX);
    let sender = Sender {
        frames: FramedWrite::new(outward, builder.new_codec()),
        unread: left,
    };
    // The length stays before its frame, so that an end behind a length is no end between frames.
    builder
        .max_frame_length(frame_bytes_max)
        .length_adjustment(LENGTH_BYTES.cast_signed())
        .num_skip(0);
    let receiver = Receiver {
        frames: Some(FramedRead::with_capacity(
            inward,
            builder.new_codec(),
            READ_BYTES,
        )),
        unread: Some(unread),
        later_bytes_max: None,
    };
    (sender, receiver)
}

impl Sender {
    /// Sends a frame: as a whole, or not at all, when this is given up while it waits.
    pub(crate) async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        let sent = self.frames.send(frame).await;
        sent.map_err(|error| explained(&error))
    }

    /// Says that nothing more comes. What was sent is still delivered; to be sure of that, read on until the peer has
    /// finished too.
    pub(crate) fn finish(self) {
        tokio::spawn(self.close());
    }

    /// The same, and waits until the peer has read it and has finished too; after the receiver is gone for a while only,
    /// because the peer may not read.
    pub(super) async fn close(self) {
        let Self { mut frames, unread } = self;
        let closing = pin!(SinkExt::<Bytes>::close(&mut frames));
        match select(closing, unread).await {
            Either::Left((_, unread)) => {
                let unread = unread.await;
                let _ = timeout(LINGER_MAX, discard(unread)).await;
            }
            Either::Right((unread, closing)) => {
                let _ = timeout(LINGER_MAX, join(closing, discard(unread))).await;
            }
        }
    }
}

/// Reads to the end: a connection that is closed while bytes are unread is reset, and takes with it what the peer has not
/// read.
async fn discard(unread: Result<Inward, oneshot::error::RecvError>) {
    if let Ok(mut unread) = unread {
        let _ = tokio::io::copy(&mut unread, &mut tokio::io::sink()).await;
    }
}

impl Receiver {
    /// The next frame; `None` after the last one, when the peer said that it was. Nothing is lost when this is given up.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        tokio::task::coop::consume_budget().await; // a peer that never pauses is no reason to starve others
        let Some(frames) = &mut self.frames else {
            return Err(closed());
        };
        match frames.next().await {
            None => Ok(None),
            Some(Ok(mut frame)) => {
                frame.advance(LENGTH_BYTES);
                if let Some(bytes_max) = self.later_bytes_max.take() {
                    frames.decoder_mut().set_max_frame_length(bytes_max);
                }
                Ok(Some(frame.freeze()))
            }
            Some(Err(error)) => {
                self.let_go();
                Err(named(error))
            }
        }
    }

    /// The next frame may have so many bytes, and those behind it so many.
    pub(super) fn allow(&mut self, next_bytes_max: usize, later_bytes_max: usize) {
        if let Some(frames) = &mut self.frames {
            frames.decoder_mut().set_max_frame_length(next_bytes_max);
        }
        self.later_bytes_max = Some(later_bytes_max);
    }

    /// Leaves what is still to be read to the sender, should it have finished.
    fn let_go(&mut self) {
        if let (Some(frames), Some(unread)) = (self.frames.take(), self.unread.take()) {
            let _ = unread.send(frames.into_inner());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Whether a frame had more bytes than the receiver allows.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<LengthDelimitedCodecError>)
}

/// Why nothing is received any more.
fn named(error: io::Error) -> io::Error {
    if is_too_long(&error) {
        error
    } else if error.kind() == ErrorKind::Other {
        // The codec says so of bytes that remain.
        let text = "the peer stopped in the middle of a frame";
        io::Error::new(ErrorKind::UnexpectedEof, text)
    } else {
        explained(&error)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::net::TcpStream;
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::yield_now;

    use super::*;
    use crate::cluster::settings::Security;
    use crate::cluster::transport::fixtures::{
        TestAuthority, TestNode, linked_with_tls, linked_without_tls, soon,
    };
    use crate::cluster::transport::greeting::GOSSIP;
    use crate::cluster::transport::{Link, Transport};

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
        soon(exchange_frames(linked_without_tls().await, 100_000)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_sides_may_send_before_either_reads() {
        let (mut one, mut other) = linked_with_tls().await;
        let count = 3_000; // less than the buffers of a socket
        soon(async {
            tokio::join!(
                send_frames(one.sender, count),
                send_frames(other.sender, count)
            )
        })
        .await;
        soon(receive_frames(&mut one.receiver, count)).await;
        soon(receive_frames(&mut other.receiver, count)).await;
    }

    /// More than may be under way: a frame at each end, and the buffers of both sockets (`tcp_wmem` and `tcp_rmem`).
    const UNDER_WAY_MAX: usize = 32 << 20;

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
        soon(async {
            while sent.load(Ordering::SeqCst) == 0 {
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

    /// A link of which nothing is read: what its halves hold beside the stream itself is one frame.
    #[tokio::test]
    async fn a_sender_keeps_one_frame_for_a_peer_that_does_not_read() {
        let (near, _far) = duplex(64);
        let (mut sender, _receiver) = halves(near, FRAME_BYTES_MAX);
        let frame = Bytes::from(vec![7; 100_000]);
        for _ in 0..3 {
            assert!(sender.send(frame.clone()).now_or_never().is_none());
        }
        let kept = sender.frames.write_buffer().len();
        assert!(kept <= LENGTH_BYTES + frame.len(), "{kept}");
    }

    #[tokio::test]
    async fn many_small_frames_that_wait_end_no_connection() {
        let (mut one, mut other) = linked_with_tls().await;
        for number in 0..30_000_u32 {
            let frame = Bytes::copy_from_slice(&number.to_be_bytes());
            soon(one.sender.send(frame)).await.unwrap(); // each travels alone
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
                soon(link.sender.send(frame)).await.unwrap(); // each travels alone
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

    /// The end that leaves, and the other one.
    fn leaving((dialed, accepted): (Link, Link), is_dialer: bool) -> (Link, Link) {
        if is_dialer {
            (dialed, accepted)
        } else {
            (accepted, dialed)
        }
    }

    #[tokio::test]
    async fn what_was_finished_arrives_though_the_link_is_dropped() {
        for is_dialer in [true, false] {
            for links in [linked_with_tls().await, linked_without_tls().await] {
                let (mut leaves, mut stays) = leaving(links, is_dialer);
                stays.sender.send("is never read".into()).await.unwrap();
                let lingering = Bytes::from(vec![9; 1 << 20]);
                let sending = async {
                    for _ in 0..3 {
                        leaves.sender.send(lingering.clone()).await.unwrap();
                    }
                    leaves.sender.finish();
                    drop(leaves.receiver);
                };
                let receiving = async {
                    for _ in 0..3 {
                        let got = soon(stays.receiver.next()).await.unwrap();
                        assert!(got.as_ref() == Some(&lingering));
                    }
                };
                tokio::join!(sending, receiving);
                assert_eq!(soon(stays.receiver.next()).await.unwrap(), None);
            }
        }
    }

    /// A link and the stream at its other end, which keeps no more than a few bytes.
    fn narrow() -> ((Sender, Receiver), DuplexStream) {
        let (near, far) = duplex(64);
        (halves(near, FRAME_BYTES_MAX), far)
    }

    #[tokio::test]
    async fn what_was_finished_arrives_however_narrow_the_way() {
        let ((mut sender, receiver), far) = narrow();
        let (_sender, mut far) = halves(far, FRAME_BYTES_MAX);
        let lingering = Bytes::from(vec![9; 60_000]);
        assert!(sender.send(lingering.clone()).now_or_never().is_none());
        sender.finish();
        drop(receiver);
        let got = soon(far.next()).await.unwrap();
        assert!(got.as_ref() == Some(&lingering));
        assert_eq!(soon(far.next()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_link_that_is_dropped_is_an_error_to_the_other_side() {
        for is_dialer in [true, false] {
            let (leaves, mut stays) = leaving(linked_with_tls().await, is_dialer);
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

    /// A stream to a node that takes it for a link.
    async fn greeted(node: &TestNode) -> TcpStream {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        let greeting = [b"\0\0\0\x11", GOSSIP.as_bytes()].concat();
        stream.write_all(&greeting).await.unwrap();
        let mut answer = vec![0; greeting.len()];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, greeting);
        stream
    }

    /// What comes of these bytes, each part sent by itself, with the end behind the last one.
    async fn received(parts: &[&[u8]]) -> (Vec<Bytes>, Option<ErrorKind>) {
        let ((_sender, mut receiver), mut far) = narrow();
        let sending = async {
            for part in parts {
                far.write_all(part).await.unwrap();
                yield_now().await;
            }
            far.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut frames = Vec::new();
            loop {
                match soon(receiver.next()).await {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => return (frames, None),
                    Err(error) => return (frames, Some(error.kind())),
                }
            }
        };
        tokio::join!(sending, receiving).1
    }

    #[tokio::test]
    async fn frames_of_others_arrive_however_they_cut_them() {
        let wire = b"\0\0\0\x03one\0\0\0\0\0\0\0\x05three";
        let three = ["one", "", "three"].map(Bytes::from).to_vec();
        let bytes: Vec<_> = wire.chunks(1).collect();
        assert_eq!(received(&bytes).await, (three.clone(), None));
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let parts = [&wire[..first], &wire[first..second], &wire[second..]];
                let whole = (three.clone(), None);
                assert_eq!(received(&parts).await, whole, "at {first} and {second}");
            }
        }
    }

    #[tokio::test]
    async fn the_end_comes_after_every_frame_and_half_a_frame_is_an_error() {
        let wire = b"\0\0\0\x02aa\0\0\0\x03bbb";
        let both = ["aa", "bbb"].map(Bytes::from);
        for cut in 0..=wire.len() {
            let whole = [6, 13].iter().filter(|end| **end <= cut).count();
            let is_half = ![0, 6, 13].contains(&cut);
            let expected = (
                both[..whole].to_vec(),
                is_half.then_some(ErrorKind::UnexpectedEof),
            );
            assert_eq!(received(&[&wire[..cut]]).await, expected, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn half_a_frame_at_the_end_is_an_error() {
        for (rest, kind) in [
            (&b"\0\0\0\x05thr"[..], ErrorKind::UnexpectedEof),
            (b"\0\0\0\x05", ErrorKind::UnexpectedEof),
            (b"\0\0", ErrorKind::UnexpectedEof),
            (b"\0\x30\0\x01", ErrorKind::InvalidData),
        ] {
            let mut node = TestNode::open(&Security::Loopback).await;
            let mut stream = greeted(&node).await;
            let bytes = [b"\0\0\0\x03one", rest].concat();
            stream.write_all(&bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut link = node.link().await;
            let first = soon(link.receiver.next()).await.unwrap();
            assert_eq!(first.unwrap(), "one");
            let error = soon(link.receiver.next()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            soon(link.receiver.next()).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_first_frame_is_no_longer_than_a_hello() {
        let authority = TestAuthority::new();
        let mut node = TestNode::open(&authority.member("a")).await;
        let peer = TestNode::open(&authority.member("b")).await;
        let mut there = peer.dial(&node).await;
        let mut here = node.link().await;
        let long = Bytes::from(vec![b'a'; (512 << 10) + 1]);
        let sending = async {
            let _ = there.sender.send(long).await;
            std::future::pending().await
        };
        let received = tokio::select! {
            received = soon(here.receiver.next()) => received,
            never = sending => never,
        };
        let error = received.unwrap_err();
        assert!(is_too_long(&error), "{error}");
    }

    #[tokio::test]
    async fn the_longest_frame_arrives_and_a_longer_one_is_refused_by_both_sides() {
        let (mut one, mut other) = linked_with_tls().await;
        let longest = Bytes::from(vec![b'a'; FRAME_BYTES_MAX]);
        let sending = async {
            for _ in 0..2 {
                one.sender.send(longest.clone()).await.unwrap();
            }
        };
        let receiving = async {
            for _ in 0..2 {
                let got = soon(other.receiver.next()).await.unwrap();
                assert!(got.as_ref() == Some(&longest));
            }
        };
        tokio::join!(sending, receiving);
        let longer = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
        one.sender.send(longer).await.unwrap_err();
        one.sender.send("and goes on".into()).await.unwrap();
        let got = soon(other.receiver.next()).await.unwrap();
        assert_eq!(got.unwrap(), "and goes on", "nothing of it was sent");
    }

    /// A length is refused before there is memory for its frame.
    #[tokio::test]
    async fn a_longer_frame_is_refused_by_its_length_alone() {
        let longer = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
        for length in [longer, u32::MAX] {
            let ((_sender, mut receiver), mut far) = narrow();
            far.write_all(&length.to_be_bytes()).await.unwrap();
            let error = soon(receiver.next()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(is_too_long(&error));
            soon(receiver.next()).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_came_before_an_error_is_received_before_it() {
        let authority = TestAuthority::new();
        let (a, b) = (authority.member("a"), authority.member("b"));
        let dialer = TestNode::open(&a).await;
        let mut host = TestNode::open(&b).await;
        let mut leaves = dialer.dial(&host).await;
        let mut stays = host.link().await;
        leaves.sender.send("one".into()).await.unwrap();
        drop(leaves);
        assert_eq!(soon(stays.receiver.next()).await.unwrap().unwrap(), "one");
        for _ in 0..2 {
            let error = soon(stays.receiver.next()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
        }
    }

    #[tokio::test]
    async fn a_frame_that_is_given_up_is_not_sent_in_part() {
        let ((mut sender, receiver), far) = narrow();
        let (_sender, mut far) = halves(far, FRAME_BYTES_MAX);
        let frame = Bytes::from(vec![7; 100_000]);
        assert!(sender.send(frame.clone()).now_or_never().is_none()); // it waits, and will be sent
        assert!(sender.send("not sent".into()).now_or_never().is_none());
        let sending = async {
            sender.send("last".into()).await.unwrap();
            sender.finish();
            drop(receiver);
        };
        let receiving = async {
            let got = soon(far.next()).await.unwrap();
            assert!(got == Some(frame));
            assert_eq!(soon(far.next()).await.unwrap().unwrap(), "last");
            assert_eq!(soon(far.next()).await.unwrap(), None);
        };
        tokio::join!(sending, receiving);
    }

    /// What is never read any more does not keep the peer from going on.
    #[tokio::test]
    async fn what_comes_behind_a_finish_is_read_and_thrown_away() {
        let (leaves, mut stays) = linked_with_tls().await;
        leaves.sender.finish();
        drop(leaves.receiver);
        let frame = Bytes::from(vec![1; FRAME_BYTES_MAX]);
        for _ in 0..10 {
            soon(stays.sender.send(frame.clone())).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_no_end() {
        let (mut leaves, mut stays) = linked_with_tls().await;
        leaves.sender.send("one".into()).await.unwrap();
        let got = soon(stays.receiver.next()).await.unwrap();
        assert_eq!(got.unwrap(), "one");
        drop(leaves); // the socket is closed, and TLS has not said so
        soon(stays.receiver.next()).await.unwrap_err();
    }

    /// Ends a link whose peer takes less than is sent, and waits until the connection is over.
    async fn end_unread(is_finished: bool) {
        let ((mut sender, receiver), mut far) = narrow();
        let frame = Bytes::from(vec![1; 100_000]);
        assert!(sender.send(frame).now_or_never().is_none());
        if is_finished {
            sender.finish();
        } else {
            drop(sender);
        }
        drop(receiver);
        let writing = async { while far.write_all(b"?").await.is_ok() {} };
        soon(writing).await;
    }

    #[tokio::test]
    async fn a_link_ends_though_its_peer_reads_nothing() {
        tokio::join!(end_unread(false), end_unread(true));
    }

    #[tokio::test]
    async fn a_second_greeting_is_a_frame_like_any_other() {
        let mut node = TestNode::open(&Security::Loopback).await;
        let mut stream = greeted(&node).await;
        let greeting = [b"\0\0\0\x11", GOSSIP.as_bytes()].concat();
        stream.write_all(&greeting).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut link = node.link().await;
        assert_eq!(soon(link.receiver.next()).await.unwrap().unwrap(), GOSSIP);
        assert_eq!(soon(link.receiver.next()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn frames_that_come_with_the_greeting_are_not_lost() {
        let (near, mut far) = duplex(1 << 10);
        let wire = [b"\0\0\0\x11", GOSSIP.as_bytes(), b"\0\0\0\x03one"].concat();
        far.write_all(&wire).await.unwrap();
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        let opened = crate::cluster::transport::dial::open(near, remote, Vec::new());
        let mut link = soon(opened).await.unwrap();
        assert_eq!(soon(link.receiver.next()).await.unwrap().unwrap(), "one");
    }
}
