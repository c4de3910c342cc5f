//! What is to be said to one peer: answers in a queue, one's own revocations straight from the history.
//!
//! The history is the queue of what is pushed: a peer is a place in it, so that a slow one costs nothing and
//! keeps nobody waiting. One that falls behind what the history keeps is told to compare sets.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};

use super::node::Shared;
use super::transport::Sender;
use crate::cluster::protocol::frame::{Frame, Goodbye, ROWS_MAX};
use crate::revocation::Origin;

/// How many bytes may wait for a peer: more than its own questions can have asked for.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// How long a peer may take for what was said before it is hung up on.
const HANG_UP_PATIENCE: Duration = Duration::from_millis(500);

/// What a connection's writer is to do.
pub(super) enum Order {
    /// Send this.
    Say(Frame),
    /// Send one's own rows after that number, from now on.
    Push { origin: Origin, after: u64 },
    /// Send what is left, say goodbye and hang up.
    Leave,
    /// Hang up, once everything before was sent.
    Close(String),
}

/// The way to a connection's writer.
pub(super) struct Outbox {
    orders: mpsc::UnboundedSender<(Order, usize)>,
    waiting: Arc<AtomicUsize>,
    /// Why to hang up, once that was ordered.
    closing: watch::Sender<Option<String>>,
}

/// The other end of it.
pub(super) struct Inbox {
    orders: mpsc::UnboundedReceiver<(Order, usize)>,
    waiting: Arc<AtomicUsize>,
}

impl Outbox {
    pub(super) fn new() -> (Self, Inbox) {
        let (orders, inbox) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox {
            orders: inbox,
            waiting: Arc::clone(&waiting),
        };
        let outbox = Self {
            orders,
            waiting,
            closing: watch::Sender::new(None),
        };
        (outbox, inbox)
    }

    /// Orders something, unless too much waits already: then the peer is hung up on.
    pub(super) fn order(&self, order: Order) {
        let bytes = order.bytes();
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let order = if waiting > WAITING_BYTES_MAX {
            Order::Close("it asks for more than it takes".to_owned())
        } else {
            order
        };
        if let Order::Close(why) = &order {
            self.closing.send_if_modified(|known| {
                let is_first = known.is_none();
                known.get_or_insert_with(|| why.clone());
                is_first
            });
        }
        let _ = self.orders.send((order, bytes)); // the writer may have ended
    }

    /// Says why to hang up when that was ordered a while ago: the writer may wait for a peer that takes nothing, and
    /// see no order any more.
    pub(super) fn overdue(&self) -> impl Future<Output = String> + use<> {
        let mut closing = self.closing.subscribe();
        async move {
            let Ok(Some(why)) = closing.wait_for(Option::is_some).await.as_deref().cloned() else {
                return pending().await; // the connection has ended
            };
            tokio::time::sleep(HANG_UP_PATIENCE).await;
            why
        }
    }
}

impl Inbox {
    /// The next order, as soon as there is one.
    pub(super) async fn next(&mut self) -> Option<Order> {
        let (order, bytes) = self.orders.recv().await?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(order)
    }

    /// The next order, if there is one already.
    pub(super) fn next_at_hand(&mut self) -> Option<Order> {
        let (order, bytes) = self.orders.try_recv().ok()?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(order)
    }
}

impl Order {
    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        match self {
            Self::Say(frame) => frame.bytes(),
            Self::Push { .. } | Self::Leave | Self::Close(_) => 0,
        }
    }
}

/// One's own rows that a peer has not been sent.
struct Pushing {
    origin: Origin,
    after: u64,
}

/// Carries out the orders until one says to hang up. The text says why.
pub(super) async fn write(
    shared: Arc<Shared>,
    mut inbox: Inbox,
    mut sender: Sender,
) -> io::Result<String> {
    let mut own_number = shared.mesh.history.follow();
    let mut unnumbered = shared.mesh.history.listen();
    let mut pushing = None;
    loop {
        tokio::select! {
            order = inbox.next() => match order {
                Some(Order::Say(frame)) => sender.send(frame.encode()).await?,
                Some(Order::Push { origin, after }) => pushing = Some(Pushing { origin, after }),
                Some(Order::Leave) => {
                    push(&shared, &mut pushing, &mut sender, usize::MAX).await?;
                    // A goodbye says that everything was told. Before the peer's first word nobody knows what that is.
                    if pushing.is_some() {
                        sender.send(Frame::Goodbye(Goodbye::Leaving).encode()).await?;
                    }
                    sender.finish();
                    // It has arrived when the peer hangs up as well. Until then the process had better not end.
                    return pending().await;
                }
                Some(Order::Close(why)) => {
                    sender.finish();
                    return Ok(why);
                }
                None => return Ok("nothing is left to say".to_owned()),
            },
            changed = own_number.changed(), if pushing.is_some() => {
                changed.map_err(io::Error::other)?;
            }
            rows = unnumbered.recv(), if pushing.is_some() => {
                let frame = match rows {
                    Ok(rows) => Frame::Loose(rows),
                    Err(RecvError::Lagged(_)) => Frame::Gone,
                    Err(error @ RecvError::Closed) => return Err(io::Error::other(error)),
                };
                sender.send(frame.encode()).await?;
            }
        }
        push(&shared, &mut pushing, &mut sender, 1).await?;
    }
}

/// Sends rows that were not sent yet, in so many frames at the most.
async fn push(
    shared: &Shared,
    pushing: &mut Option<Pushing>,
    sender: &mut Sender,
    frames: usize,
) -> io::Result<()> {
    let Some(pushing) = pushing else {
        return Ok(());
    };
    let mut sent = 0;
    loop {
        let (origin, number) = shared.mesh.history.own();
        if origin != pushing.origin {
            *pushing = Pushing { origin, after: 0 };
        }
        // Answers wait their turn only while the peer keeps up.
        if number <= pushing.after || (sent >= frames && number - pushing.after < ROWS_MAX as u64) {
            return Ok(());
        }
        let frame = shared.mesh.delta_after(origin, pushing.after);
        pushing.after = if let Frame::Delta { rows, .. } = &frame {
            pushing.after + rows.len() as u64
        } else {
            number // the peer is told to compare sets
        };
        sender.send(frame.encode()).await?;
        sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_takes_nothing_is_hung_up_on_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let (outbox, _inbox) = Outbox::new(); // whose writer is busy for ever
        outbox.order(Order::Close("it was silent".to_owned()));
        outbox.order(Order::Close("it was silent for longer".to_owned()));
        let why = runtime.unwrap().block_on(outbox.overdue());
        assert_eq!(why, "it was silent");
    }
}
