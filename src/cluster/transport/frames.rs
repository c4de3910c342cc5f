//! Frames: messages behind their lengths, and the buffers between a link and its connection.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};

/// The longest frame, in bytes without its length.
pub(crate) const FRAME_BYTES_MAX: usize = 3 << 20;

/// How long the length of a frame is: 32 bits, the most significant first.
const PREFIX_BYTES: usize = 4;

/// What may wait to be sent: beyond it a sender waits too.
const OUTGOING_BYTES: usize = 256 << 10;

/// What is read before the peer hears that there is room again: much less than a window, much more than a frame.
const CREDIT_BYTES: usize = 256 << 10;

/// The half of a link that sends frames.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Buffers>);

/// The half of a link that receives frames.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Buffers>);

/// What lies between the halves of a link and its connection.
///
/// The bytes of many small frames travel and wait together: each alone in a DATA frame would take ten times its length
/// in memory on the other side, and h2 ends a connection where too many wait.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<BufferState>);

#[derive(Debug, Default)]
struct BufferState {
    outgoing: BytesMut,
    sending: Sending,
    /// Why nothing can be sent any more.
    broken: Option<StoredError>,
    incoming: BytesMut,
    /// Bytes that were read and are not yet credited to the peer.
    credit: usize,
    /// How the peer stopped sending.
    end: Option<Result<(), StoredError>>,
    receiver_is_gone: bool,
    connection: WakerSlot,
    sender: WakerSlot,
    receiver: WakerSlot,
}

/// What the sender intends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sending {
    /// To go on.
    #[default]
    Going,
    /// Nothing more, after what was sent.
    Finished,
    /// It was dropped without a word.
    Dropped,
}

/// An error that can be told more than once.
#[derive(Clone, Debug)]
pub(super) struct StoredError {
    kind: ErrorKind,
    text: String,
}

/// A task that waits, if there is one.
#[derive(Debug, Default)]
struct WakerSlot(Option<Waker>);

/// Both halves of a link, and what lies behind them.
pub(super) fn halves() -> (Sender, Receiver, Arc<Buffers>) {
    let buffers = Arc::new(Buffers::default());
    let sender = Sender(Arc::clone(&buffers));
    (sender, Receiver(Arc::clone(&buffers)), buffers)
}

impl Sender {
    /// Sends a frame: as a whole, or not at all when this is given up while it waits.
    pub(crate) async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if frame.len() > FRAME_BYTES_MAX {
            return Err(too_long(length));
        }
        poll_fn(|context| self.0.lock().poll_room(context)).await?;
        let mut inside = self.0.lock();
        if inside.outgoing.is_empty() {
            inside.connection.wake(); // otherwise it knows already
        }
        inside.outgoing.put_u32(length);
        inside.outgoing.put(frame);
        Ok(())
    }

    /// Says that nothing more comes. What was sent is still delivered; to be sure of that, read on until the peer has
    /// finished too.
    pub(crate) fn finish(self) {
        self.0.stop_sending(Sending::Finished);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.stop_sending(Sending::Dropped);
    }
}

impl Receiver {
    /// The next frame; `None` after the last one, when the peer said that it was. Nothing is lost when this is given up.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        tokio::task::coop::consume_budget().await; // a peer that never pauses is no reason to starve others
        poll_fn(|context| self.0.lock().poll_next(context)).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut inside = self.0.lock();
        inside.receiver_is_gone = true;
        inside.credit += inside.incoming.len();
        inside.incoming = BytesMut::new();
        inside.connection.wake();
    }
}

/// The connection's side.
impl Buffers {
    /// Has the connection woken when there is something to do.
    pub(super) fn watch(&self, context: &Context<'_>) {
        self.lock().connection.set(context);
    }

    /// How many bytes wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.lock().outgoing.len()
    }

    /// Takes so many of them.
    pub(super) fn take(&self, bytes: usize) -> Bytes {
        let mut inside = self.lock();
        let bytes = bytes.min(inside.outgoing.len());
        let taken = inside.outgoing.split_to(bytes).freeze();
        if inside.outgoing.len() < OUTGOING_BYTES {
            inside.sender.wake();
        }
        taken
    }

    /// Adds what the peer sent.
    pub(super) fn add(&self, bytes: &[u8]) {
        let mut inside = self.lock();
        if inside.receiver_is_gone {
            inside.credit += bytes.len();
            inside.connection.wake();
            return;
        }
        inside.incoming.extend_from_slice(bytes);
        inside.receiver.wake();
    }

    /// How many more bytes the peer may send.
    pub(super) fn take_credit(&self) -> usize {
        std::mem::take(&mut self.lock().credit)
    }

    /// The peer said that nothing more comes.
    pub(super) fn end(&self) {
        let mut inside = self.lock();
        inside.end.get_or_insert(Ok(()));
        inside.receiver.wake();
    }

    /// Nothing can be sent any more.
    pub(super) fn break_off(&self, error: &io::Error) {
        let mut inside = self.lock();
        inside.broken.get_or_insert(StoredError::of(error));
        inside.sender.wake();
    }

    /// Nothing can be sent any more, and nothing comes.
    pub(super) fn fail(&self, error: &io::Error) {
        let fault = StoredError::of(error);
        let mut inside = self.lock();
        inside.broken.get_or_insert(fault.clone());
        inside.end.get_or_insert(Err(fault));
        inside.sender.wake();
        inside.receiver.wake();
    }

    /// What the sender intends.
    pub(super) fn sending(&self) -> Sending {
        self.lock().sending
    }

    /// Whether both halves of the link are gone.
    pub(super) fn is_abandoned(&self) -> bool {
        let inside = self.lock();
        inside.sending != Sending::Going && inside.receiver_is_gone
    }

    fn stop_sending(&self, how: Sending) {
        let mut inside = self.lock();
        if inside.sending == Sending::Going {
            inside.sending = how;
            inside.connection.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.0.lock()
    }
}

impl BufferState {
    fn poll_room(&mut self, context: &Context<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = &self.broken {
            return Poll::Ready(Err(fault.error()));
        }
        if self.outgoing.len() < OUTGOING_BYTES {
            return Poll::Ready(Ok(()));
        }
        self.sender.set(context);
        Poll::Pending
    }

    fn poll_next(&mut self, context: &Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let Some(frame) = self.take_frame()? {
            return Poll::Ready(Ok(Some(frame)));
        }
        match &self.end {
            Some(Ok(())) if self.incoming.is_empty() => Poll::Ready(Ok(None)),
            Some(Ok(())) => Poll::Ready(Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the peer stopped in the midst of a frame",
            ))),
            Some(Err(fault)) => Poll::Ready(Err(fault.error())),
            None => {
                self.receiver.set(context);
                Poll::Pending
            }
        }
    }

    fn take_frame(&mut self) -> io::Result<Option<Bytes>> {
        let Some(prefix) = self.incoming.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let prefix = u32::from_be_bytes(*prefix);
        let length = usize::try_from(prefix).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(too_long(prefix));
        }
        if self.incoming.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.incoming.advance(PREFIX_BYTES);
        let frame = self.incoming.split_to(length).freeze();
        self.credit += PREFIX_BYTES + length;
        if self.credit >= CREDIT_BYTES {
            self.connection.wake();
        }
        Ok(Some(frame))
    }
}

fn too_long(length: u32) -> io::Error {
    let text = format!("a frame of {length} bytes, and {FRAME_BYTES_MAX} is the most");
    io::Error::new(ErrorKind::InvalidData, text)
}

impl StoredError {
    fn of(error: &io::Error) -> Self {
        Self {
            kind: error.kind(),
            text: error.to_string(),
        }
    }

    fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.text.clone())
    }
}

impl WakerSlot {
    fn set(&mut self, context: &Context<'_>) {
        match &mut self.0 {
            Some(waker) => waker.clone_from(context.waker()),
            none @ None => *none = Some(context.waker().clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// What arrives at once; the next call waits.
    fn arrived(receiver: &mut Receiver) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while let Some(Ok(Some(frame))) = receiver.next().now_or_never() {
            frames.push(frame);
        }
        frames
    }

    fn wire(frames: &[Bytes]) -> Bytes {
        let (mut sender, _receiver, buffers) = halves();
        for frame in frames {
            sender.send(frame.clone()).now_or_never().unwrap().unwrap();
        }
        buffers.take(usize::MAX)
    }

    fn frames(lengths: &[usize]) -> Vec<Bytes> {
        let lengths = lengths.iter().zip(b'a'..);
        lengths
            .map(|(length, byte)| Bytes::from(vec![byte; *length]))
            .collect()
    }

    #[test]
    fn frames_arrive_however_they_are_split() {
        let sent = frames(&[0, 1, 2, 0, 0, 5, 3]);
        let wire = wire(&sent);
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let (_sender, mut receiver, buffers) = halves();
                let mut got = Vec::new();
                for part in [&wire[..first], &wire[first..second], &wire[second..]] {
                    buffers.add(part);
                    got.extend(arrived(&mut receiver));
                }
                assert_eq!(got, sent, "split at {first} and {second}");
            }
        }
        let (_sender, mut receiver, buffers) = halves();
        let bytes = wire.iter().flat_map(|byte| {
            buffers.add(&[*byte]);
            arrived(&mut receiver)
        });
        assert_eq!(bytes.collect::<Vec<_>>(), sent);
    }

    #[test]
    fn the_longest_frame_arrives_and_a_longer_one_is_refused_by_both_sides() {
        let sent = frames(&[FRAME_BYTES_MAX, FRAME_BYTES_MAX]);
        let (_sender, mut receiver, buffers) = halves();
        for chunk in wire(&sent[..1]).chunks(16 << 10) {
            buffers.add(chunk);
        }
        buffers.add(&wire(&sent[1..]));
        assert_eq!(arrived(&mut receiver), sent);

        let (mut sender, mut receiver, buffers) = halves();
        let longer = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
        let refused = sender.send(longer).now_or_never().unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(buffers.waiting(), 0);
        buffers.add(&[0, 0x30, 0, 1]); // its length is enough
        for _ in 0..2 {
            let error = receiver.next().now_or_never().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn the_end_comes_after_every_frame_and_half_a_frame_is_an_error() {
        let sent = frames(&[2, 3]);
        let wire = wire(&sent);
        for cut in 0..=wire.len() {
            let (_sender, mut receiver, buffers) = halves();
            buffers.add(&wire[..cut]);
            buffers.end();
            let whole = [6, 13].iter().filter(|end| **end <= cut).count();
            assert_eq!(arrived(&mut receiver), sent[..whole], "cut at {cut}");
            for _ in 0..2 {
                let end = receiver.next().now_or_never().unwrap();
                if [0, 6, 13].contains(&cut) {
                    assert_eq!(end.unwrap(), None, "cut at {cut}");
                } else {
                    let error = end.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn what_came_before_an_error_is_received_before_it() {
        let sent = frames(&[2]);
        let (mut sender, mut receiver, buffers) = halves();
        buffers.add(&wire(&sent));
        buffers.fail(&io::Error::new(ErrorKind::ConnectionReset, "cut"));
        buffers.fail(&io::Error::other("and what came of it"));
        assert_eq!(arrived(&mut receiver), sent);
        for _ in 0..2 {
            let error = receiver.next().now_or_never().unwrap().unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::ConnectionReset, "cut".into())
            );
            let error = sender
                .send(Bytes::new())
                .now_or_never()
                .unwrap()
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::ConnectionReset, "cut".into())
            );
        }
    }

    #[test]
    fn a_frame_that_is_given_up_is_not_sent_in_part() {
        let (mut sender, _receiver, buffers) = halves();
        let frame = Bytes::from(vec![7; 100_000]);
        let mut sent = 0;
        while sender.send(frame.clone()).now_or_never().is_some() {
            sent += 1;
            assert!(sent < 10, "nothing ever waits");
        }
        assert_eq!(buffers.waiting(), sent * (PREFIX_BYTES + frame.len()));
        let mut waits = Box::pin(sender.send(Bytes::from_static(b"last")));
        assert!(waits.as_mut().now_or_never().is_none());
        buffers.take(frame.len());
        waits.now_or_never().unwrap().unwrap();
        let rest = buffers.take(usize::MAX);
        assert_eq!(
            rest.len(),
            (sent - 1) * frame.len() + sent * PREFIX_BYTES + 8
        );
        assert!(rest.ends_with(b"\0\0\0\x04last"));
    }

    #[test]
    fn what_was_read_or_will_never_be_is_credited() {
        let sent = frames(&[10, 20]);
        let wire = wire(&sent);
        let (_sender, mut receiver, buffers) = halves();
        buffers.add(&wire);
        assert_eq!(buffers.take_credit(), 0);
        arrived(&mut receiver);
        assert_eq!(buffers.take_credit(), wire.len());
        buffers.add(&wire);
        drop(receiver);
        buffers.add(&wire);
        assert_eq!(buffers.take_credit(), 2 * wire.len());
        assert_eq!(buffers.take_credit(), 0);
    }
}
