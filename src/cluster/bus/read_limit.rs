//! A connection that reads at most a given number of bytes of an answer: any client of the bus may have written them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes may still be read.
#[derive(Clone, Debug)]
pub(super) struct ReadBudget(Arc<AtomicUsize>);

impl ReadBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// So much may be read from now on.
    pub(super) fn reset(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Whether nothing more may be read.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn spend(&self, bytes: usize) {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(bytes);
        self.0.store(left, Ordering::Relaxed); // only the reader takes, and it is asked one thing at a time
    }
}

/// A stream that fails when the room is used up.
pub(super) struct LimitedStream<S> {
    stream: S,
    room: ReadBudget,
}

impl<S> LimitedStream<S> {
    pub(super) fn new(stream: S, room: ReadBudget) -> Self {
        Self { stream, room }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.room.is_used_up() {
            return Poll::Ready(Err(io::Error::other("an answer is too large")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.room.spend(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn no_more_is_read_than_there_is_room_for() {
        let room = ReadBudget::new(5);
        let bytes: &[u8] = b"0123456789";
        let mut limited =
            LimitedStream::new(tokio::io::join(bytes, tokio::io::sink()), room.clone());
        let mut some = [0; 5];
        limited.read_exact(&mut some).await.unwrap();
        assert!(room.is_used_up());
        assert!(limited.read_exact(&mut some).await.is_err());
        room.reset(6);
        limited.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"56789");
        assert!(!room.is_used_up());
    }
}
