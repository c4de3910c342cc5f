//! The lingering close of a connection whose header block was refused: the answer is sent, what still arrives is discarded.

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::request::{Refusal, Refused};
use crate::server::proxy::answer::reply::date;

/// An answer on its way, and the end of the connection after it.
///
/// A connection that is closed while bytes still arrive is reset, and the customer may never see the answer.
/// So bytes that arrive are discarded for a while.
#[derive(Debug)]
pub(super) struct LingeringClose {
    refusal: Refusal,
    unsent: Bytes,
    shut: bool,
    discarded: usize,
    deadline: Pin<Box<Sleep>>,
}

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many bytes are discarded at most.
const DISCARDED_MAX: usize = 1 << 20;

impl LingeringClose {
    /// With the answer to this refusal of the request with this id.
    pub(super) fn answering(refusal: Refusal, id: &str) -> Self {
        Self {
            refusal,
            unsent: answer(refusal, id),
            shut: false,
            discarded: 0,
            deadline: Box::pin(sleep(PATIENCE)),
        }
    }

    /// The refusal.
    pub(super) fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// Ready when the connection may be closed.
    pub(super) fn poll(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        while !self.unsent.is_empty() {
            match Pin::new(&mut *stream).poll_write(context, &self.unsent) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(length)) if length > 0 => self.unsent.advance(length),
                Poll::Ready(Ok(_) | Err(_)) => return Poll::Ready(()),
            }
        }
        if !self.shut {
            match Pin::new(&mut *stream).poll_shutdown(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
        }
        self.poll_discard(stream, context)
    }

    fn poll_discard(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<()> {
        let mut block = [0; 8 << 10];
        while self.discarded < DISCARDED_MAX {
            let mut buffer = ReadBuf::new(&mut block);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.discarded += buffer.filled().len();
                }
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

/// The answer in bytes. No shop is known yet, so its form is that of no shop.
fn answer(refusal: Refusal, id: &str) -> Bytes {
    let (head, ()) = http::Request::new(()).into_parts();
    let answer = Refused::without_shop(refusal).answer(&head);
    let mut text = format!("HTTP/1.1 {}\r\n", answer.status);
    for (name, value) in &answer.headers {
        let value = value.to_str().unwrap_or_default();
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let (date, length) = (date(), answer.body.len());
    let _ = write!(
        text,
        "X-Request-Id: {id}\r\nDate: {date}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [text.as_bytes(), &answer.body].concat().into()
}
