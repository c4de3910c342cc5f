//! The queue of commands of one connection.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::protocol::frame::Frame;
use crate::revocation::Origin;

/// How many bytes may wait for a peer: more than its own questions can have asked for.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// How long a peer may take for what was sent before its connection is closed.
const HANG_UP_PATIENCE: Duration = Duration::from_millis(500);

/// An order to the writer of a connection.
pub(super) enum LinkCommand {
    /// Send a frame.
    Send(Frame),
    /// Send this node's own rows after a number, from now on.
    Push { origin: Origin, after: u64 },
    /// Send what is left and a goodbye, and close the connection.
    Leave,
    /// Close the connection, once everything before was sent.
    Close(String),
}

/// The sending end of a connection's queue.
pub(super) struct Outbox {
    orders: mpsc::UnboundedSender<(LinkCommand, usize)>,
    waiting: Arc<AtomicUsize>,
    /// Why the connection is to be closed, once that was ordered.
    closing: watch::Sender<Option<String>>,
}

/// The receiving end of a connection's queue, for its writer.
pub(super) struct Inbox {
    orders: mpsc::UnboundedReceiver<(LinkCommand, usize)>,
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

    /// Orders something, unless too much waits already: then the connection is closed.
    pub(super) fn order(&self, order: LinkCommand) {
        let bytes = order.bytes();
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let order = if waiting > WAITING_BYTES_MAX {
            LinkCommand::Close("it asks for more than it takes".to_owned())
        } else {
            order
        };
        if let LinkCommand::Close(why) = &order {
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
    pub(super) async fn next(&mut self) -> Option<LinkCommand> {
        let (order, bytes) = self.orders.recv().await?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(order)
    }

    /// The next order, if there is one already.
    pub(super) fn next_at_hand(&mut self) -> Option<LinkCommand> {
        let (order, bytes) = self.orders.try_recv().ok()?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(order)
    }
}

impl LinkCommand {
    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        match self {
            Self::Send(frame) => frame.bytes(),
            Self::Push { .. } | Self::Leave | Self::Close(_) => 0,
        }
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
        let (outbox, _inbox) = Outbox::new(); // its writer is busy for ever
        outbox.order(LinkCommand::Close("it was silent".to_owned()));
        outbox.order(LinkCommand::Close("it was silent for longer".to_owned()));
        let why = runtime.unwrap().block_on(outbox.overdue());
        assert_eq!(why, "it was silent");
    }
}
